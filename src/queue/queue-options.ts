/**
 * Options, resolved once at the door into a complete type. Wrong values are a `TypeError` or `RangeError` that names the option.
 */
import { optionNames, requireOptions } from '../arguments.js';
import { COMMIT_BODY_BYTES_MAX } from '../frame/commit-header.js';
import { describe, requireCount } from '../ids.js';
import { type LimitOptions, type ResolvedLimits, resolveLimits } from './limit-options.js';

/**
 * When a push or removal resolves.
 * - `'sync'`: when fdatasync has returned. Survives the process, the machine, the power.
 * - `{ intervalMs }`: when written; synced at least that often. A power cut may cost what came since the last sync; a crash of the process nothing.
 * - `'os'`: when written; the operating system syncs when it likes. Survives the process, not the machine.
 */
export type Durability = 'sync' | { readonly intervalMs: number } | 'os';

/** What comes in twice, and is known by its `messageId`. */
export interface DedupeOptions {
  /** For how long a message is known after it came in, in ms. Default 5 minutes. */
  readonly windowMs?: number;
  /** How many messages are known, the last ones, each 48 B of memory at most. Default 1,000,000; at most 2^24. Whichever bound is met first counts. */
  readonly windowRecords?: number;
}

/** What can be set for a queue. Everything is optional. */
export interface QueueOptions {
  /** Default 'sync'. */
  readonly durability?: Durability;
  /**
   * Size at which a segment is left for the next, in bytes; from 64 KiB to 1 GiB. Default 64 MiB. A commit is never split, so a segment is as
   * large as the largest commit if that is larger.
   */
  readonly segmentBytes?: number;
  /** The largest payload (with its headers) in bytes. Default 16 MiB; at most 1 GiB - 1. */
  readonly recordBytesMax?: number;
  /** Bytes of pushes accepted and not yet committed; past it `push` waits. Default 64 MiB. */
  readonly maxPendingBytes?: number;
  /** Distance of index entries in bytes: less is more memory and shorter reads. Default 4096; 0 = every record. */
  readonly indexIntervalBytes?: number;
  /** Dead segment files kept to be overwritten, which is faster than new ones. Default 2; 0 = unlink at once. */
  readonly recycleSegments?: number;
  /**
   * Rewriting of sparse segments: below which share of live records or bytes (default 0.55, so that what is on the disk stays below twice what is
   * live, frames included), and how fast at most (default: no bound). `false`: only `compact()` rewrites; segments without any live record are
   * removed all the same.
   */
  readonly gc?: false | { readonly liveShareMax?: number; readonly bytesPerSecond?: number };
  /** With it pushes may have a `messageId`: of those with one ID the first alone comes in. Default `false`. */
  readonly dedupe?: false | DedupeOptions;
  /** How much the queue may hold, and for how long. Default `false`. Those of the store are not those of queues of dead letters. */
  readonly limits?: false | LimitOptions;
}

export interface ResolvedDedupe {
  readonly windowMs: number;
  readonly windowRecords: number;
}

export interface ResolvedQueueOptions {
  readonly durability: Durability;
  readonly segmentBytes: number;
  readonly recordBytesMax: number;
  readonly maxPendingBytes: number;
  readonly indexIntervalBytes: number;
  readonly recycleSegments: number;
  /** Whether sparse segments are rewritten without being asked. */
  readonly gcAutomatic: boolean;
  readonly gcLiveShareMax: number;
  readonly gcBytesPerSecond: number | undefined;
  readonly dedupe: ResolvedDedupe | undefined;
  readonly limits: ResolvedLimits | undefined;
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const DEFAULT_QUEUE_OPTIONS: ResolvedQueueOptions = {
  durability: 'sync',
  segmentBytes: 64 * MIB,
  recordBytesMax: 16 * MIB,
  maxPendingBytes: 64 * MIB,
  indexIntervalBytes: 4 * KIB,
  recycleSegments: 2,
  gcAutomatic: true,
  gcLiveShareMax: 0.55,
  gcBytesPerSecond: undefined,
  dedupe: undefined,
  limits: undefined,
};

const DEDUPE_WINDOW_MS = 5 * 60_000;
const DEDUPE_WINDOW_RECORDS = 1_000_000;
const DEDUPE_WINDOW_RECORDS_MAX = 2 ** 24;

/** Names of the options of a queue. */
export const QUEUE_OPTION_NAMES: readonly string[] = [
  'durability',
  'segmentBytes',
  'recordBytesMax',
  'maxPendingBytes',
  'indexIntervalBytes',
  'recycleSegments',
  'gc',
  'dedupe',
  'limits',
];

const GC_NAMES = optionNames('liveShareMax', 'bytesPerSecond');
const DEDUPE_NAMES = optionNames('windowMs', 'windowRecords');
const DURABILITY_NAMES = optionNames('intervalMs');

/** Throws a TypeError that names an option which is not as it is of a queue that is open. Those that are left out may be anything. */
export function requireSameOptions(queue: string, wanted: QueueOptions, open: ResolvedQueueOptions): void {
  const resolved = resolveQueueOptions(wanted, open);
  for (const name of RESOLVED_NAMES) {
    if (JSON.stringify(resolved[name]) === JSON.stringify(open[name])) continue;
    const is = open[name] === undefined ? 'none' : JSON.stringify(open[name]);
    throw new TypeError(
      `queue '${queue}' is open with another ${OPTION_OF.get(name) ?? name} (${is}); options count at the first call for a name`,
    );
  }
}

const RESOLVED_NAMES = [
  'durability',
  'segmentBytes',
  'recordBytesMax',
  'maxPendingBytes',
  'indexIntervalBytes',
  'recycleSegments',
  'gcAutomatic',
  'gcLiveShareMax',
  'gcBytesPerSecond',
  'dedupe',
  'limits',
] as const;
const OPTION_OF: ReadonlyMap<string, string> = new Map([
  ['gcAutomatic', 'gc'],
  ['gcLiveShareMax', 'gc.liveShareMax'],
  ['gcBytesPerSecond', 'gc.bytesPerSecond'],
]);

/** `options` over `defaults`. Throws a TypeError or RangeError for a wrong value. */
export function resolveQueueOptions(options: QueueOptions, defaults: ResolvedQueueOptions): ResolvedQueueOptions {
  const durability = options.durability ?? defaults.durability;
  requireDurability(durability);
  const segmentBytes = within(options.segmentBytes ?? defaults.segmentBytes, 'segmentBytes', 64 * KIB, 1024 * MIB);
  const recordBytesMax = within(
    options.recordBytesMax ?? defaults.recordBytesMax,
    'recordBytesMax',
    1,
    COMMIT_BODY_BYTES_MAX - KIB,
  );
  const gc = options.gc;
  if (gc !== undefined && gc !== false && (typeof gc !== 'object' || gc === null)) {
    throw new TypeError(`gc must be false or an object, got ${describe(gc)}`);
  }
  if (gc !== undefined && gc !== false) requireOptions(gc, 'gc', GC_NAMES);
  const share = gc === undefined || gc === false ? undefined : gc.liveShareMax;
  if (share !== undefined && !(typeof share === 'number' && share >= 0 && share <= 1)) {
    throw new RangeError(`gc.liveShareMax must be a number from 0 to 1, got ${describe(share)}`);
  }
  const rate = gc === undefined || gc === false ? undefined : gc.bytesPerSecond;
  if (rate !== undefined) requireCount(rate, 'gc.bytesPerSecond', 1);
  return {
    durability,
    segmentBytes,
    recordBytesMax,
    maxPendingBytes: within(
      options.maxPendingBytes ?? defaults.maxPendingBytes,
      'maxPendingBytes',
      1,
      Number.MAX_SAFE_INTEGER,
    ),
    indexIntervalBytes: within(
      options.indexIntervalBytes ?? defaults.indexIntervalBytes,
      'indexIntervalBytes',
      0,
      1024 * MIB,
    ),
    recycleSegments: within(options.recycleSegments ?? defaults.recycleSegments, 'recycleSegments', 0, 1024),
    gcAutomatic: gc === undefined ? defaults.gcAutomatic : gc !== false,
    gcLiveShareMax: share ?? defaults.gcLiveShareMax,
    gcBytesPerSecond: rate ?? defaults.gcBytesPerSecond,
    dedupe: resolveDedupe(options.dedupe, defaults.dedupe),
    limits: resolveLimits(options.limits, defaults.limits),
  };
}

function resolveDedupe(value: unknown, before: ResolvedDedupe | undefined): ResolvedDedupe | undefined {
  if (value === undefined) return before;
  if (value === false) return undefined;
  if (typeof value !== 'object' || value === null)
    throw new TypeError(`dedupe must be false or an object, got ${describe(value)}`);
  requireOptions(value, 'dedupe', DEDUPE_NAMES);
  const windowMs = 'windowMs' in value ? value.windowMs : undefined;
  const windowRecords = 'windowRecords' in value ? value.windowRecords : undefined;
  return {
    windowMs: within(windowMs ?? DEDUPE_WINDOW_MS, 'dedupe.windowMs', 1, Number.MAX_SAFE_INTEGER),
    windowRecords: within(windowRecords ?? DEDUPE_WINDOW_RECORDS, 'dedupe.windowRecords', 1, DEDUPE_WINDOW_RECORDS_MAX),
  };
}

function within(value: unknown, name: string, min: number, max: number): number {
  requireCount(value, name, min);
  if (value > max) throw new RangeError(`${name} must be at most ${max}, got ${value}`);
  return value;
}

function requireDurability(value: unknown): asserts value is Durability {
  if (value === 'sync' || value === 'os') return;
  if (typeof value === 'object' && value !== null && 'intervalMs' in value) {
    requireOptions(value, 'durability', DURABILITY_NAMES);
    requireCount(value.intervalMs, 'durability.intervalMs', 1);
    return;
  }
  throw new TypeError(`durability must be 'sync', 'os' or { intervalMs }, got ${describe(value)}`);
}
