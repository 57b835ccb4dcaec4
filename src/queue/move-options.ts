/**
 * Moves of many records: what a caller may say about them, and what he is told.
 */
import { signalOf, type WaitOptions } from '../abortable.js';
import { optionNames, requireFunction, requireOptions } from '../arguments.js';
import { describe, requireCount } from '../ids.js';

export interface MoveOptions extends WaitOptions {
  /** So many a second, evenly: a tenth of it at a time, from 10 a second on. Default: as fast as it goes. */
  readonly ratePerSecond?: number;
  /** So many at most. Default: no bound. */
  readonly limit?: number;
  /** True: nothing is moved, and the result says what would be. Default false. */
  readonly dryRun?: boolean;
  /** Called after each batch of up to 256. What it throws ends the call, which rejects with that. */
  readonly onProgress?: (progress: MoveProgress) => unknown;
}

export interface RedriveOptions extends MoveOptions {
  /** A dead letter that has gone back so often stays, so that none goes round for ever. Default 3. */
  readonly maxRedrives?: number;
  /** True: however often it has gone back. Default false. */
  readonly force?: boolean;
}

export interface PurgeOptions extends WaitOptions {
  /** True: nothing is removed, and the result says what would be. Default false. */
  readonly dryRun?: boolean;
}

/** How far a move of many has come. */
export interface MoveProgress extends MoveResult {
  /** So many may be meant in all, at most. */
  readonly total: number;
  /** What this batch has moved: where each was, and where it is. */
  readonly batch: readonly { readonly id: number; readonly queue: string; readonly newId: number }[];
}

/** What a move of many came to. */
export interface MoveResult {
  readonly moved: number;
  /** The same by the queue that they went to. */
  readonly queues: Readonly<Record<string, number>>;
  /** Meant, and not there, or not any more, when their turn came. */
  readonly gone: number;
  /** Left because they have gone back `maxRedrives` times. */
  readonly refused: number;
  /** The first hundred of them. */
  readonly refusedIds: readonly number[];
}

export interface PurgeResult {
  readonly purged: number;
  /** Meant, and not there, or not any more, when their turn came. */
  readonly gone: number;
}

export interface ResolvedMove {
  readonly ratePerSecond: number | undefined;
  readonly limit: number;
  readonly dryRun: boolean;
  readonly onProgress: ((progress: MoveProgress) => unknown) | undefined;
  readonly maxRedrives: number;
  readonly signal: AbortSignal | undefined;
}

/** How often a dead letter goes back unless it is said otherwise. */
export const MAX_REDRIVES = 3;
const MOVE_NAMES = ['ratePerSecond', 'limit', 'dryRun', 'signal', 'onProgress'] as const;
const NAMES = optionNames(...MOVE_NAMES);
const REDRIVE_NAMES = optionNames(...MOVE_NAMES, 'maxRedrives', 'force');
const PURGE_NAMES = optionNames('dryRun', 'signal');

/** Throws a TypeError or RangeError that names what is wrong. */
export function resolveMove(options: MoveOptions = {}, where = 'move'): ResolvedMove {
  requireOptions(options, where, NAMES);
  return resolved(options, where);
}

export function resolveRedrive(options: RedriveOptions = {}): ResolvedMove {
  requireOptions(options, 'redrive', REDRIVE_NAMES);
  return resolved(options, 'redrive');
}

export function resolvePurge(options: PurgeOptions = {}): {
  readonly dryRun: boolean;
  readonly signal: AbortSignal | undefined;
} {
  requireOptions(options, 'purge', PURGE_NAMES);
  const { dryRun = false } = options;
  requireBoolean(dryRun, 'dryRun');
  return { dryRun, signal: signalOf(options, 'purge') };
}

function resolved(options: RedriveOptions, where: string): ResolvedMove {
  const {
    ratePerSecond,
    limit = Infinity,
    dryRun = false,
    onProgress,
    maxRedrives = MAX_REDRIVES,
    force = false,
  } = options;
  if (ratePerSecond !== undefined) requireRate(ratePerSecond);
  if (limit !== Infinity) requireCount(limit, 'limit', 0);
  requireBoolean(dryRun, 'dryRun');
  requireBoolean(force, 'force');
  requireFunction(onProgress, 'onProgress');
  if (maxRedrives !== Infinity) requireCount(maxRedrives, 'maxRedrives', 0);
  return {
    ratePerSecond,
    limit,
    dryRun,
    onProgress,
    maxRedrives: force ? Infinity : maxRedrives,
    signal: signalOf(options, where),
  };
}

function requireRate(value: unknown): void {
  if (typeof value !== 'number') throw new TypeError(`ratePerSecond must be a number, got ${describe(value)}`);
  if (!(value > 0) || value === Infinity)
    throw new RangeError(`ratePerSecond must be a number above 0, got ${describe(value)}`);
}

function requireBoolean(value: unknown, name: string): void {
  if (typeof value !== 'boolean') throw new TypeError(`${name} must be true or false, got ${describe(value)}`);
}
