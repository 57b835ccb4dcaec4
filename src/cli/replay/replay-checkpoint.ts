/**
 * How far a replay has come, in a file: so that one that was interrupted goes on where it was. Written whole under another name, synced, and renamed, so
 * that after a crash it is the one before or the new one.
 */
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { messageOf } from '../../errors.js';
import { Refused, UsageError } from '../exit-code.js';
import { readTextFile } from '../text-file.js';

export interface FailedRecord {
  readonly id: number;
  readonly error: string;
}

/** What the selection meant when the replay was begun: of positions and times that are told from the end or from now. `null`: without a bound. */
export interface KeptSelection {
  /** As it was given, option by option: another one goes on with another replay. */
  readonly given: readonly string[];
  readonly first: number;
  readonly last: number | null;
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
  /** Records that may still be settled, of those that `-n` allows. */
  readonly left: number | null;
}

export interface Checkpoint {
  readonly v: 1;
  /** Of the store that is replayed. */
  readonly store: string;
  readonly queue: string;
  /** Where to. Missing: it is of an older version. */
  readonly to?: string;
  readonly selection: KeptSelection;
  /** All that are selected up to here are settled, and these beyond it. */
  readonly through: number;
  readonly beyond: readonly number[];
  /** Settled, and not delivered: tried again by the next run. */
  readonly failed: readonly FailedRecord[];
  readonly delivered: number;
  /** Delivered, and with `--remove` to be removed, if that has not been done. */
  readonly removing: readonly number[];
}

/** `undefined`: there is none yet. @throws UsageError for a file that is none, or of another store, queue or destination */
export function readCheckpoint(path: string, store: string, queue: string, to: string): Checkpoint | undefined {
  const text = readTextFile(path);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (!isCheckpoint(value)) throw new UsageError(`${path} is no checkpoint of a replay`);
  if (value.store !== store || value.queue !== queue) {
    throw new UsageError(`${path} is the checkpoint of queue '${value.queue}' of the store ${value.store}`);
  }
  if (value.to !== undefined && value.to !== to) {
    throw new UsageError(
      `${path} is the checkpoint of a replay to ${value.to}, and this one is to ${to}: say the same, or name another file`,
    );
  }
  return value;
}

/** @throws Refused where it cannot be written */
export function writeCheckpoint(path: string, checkpoint: Checkpoint): void {
  const draft = `${path}.tmp`;
  try {
    const fd = openSync(draft, 'w');
    try {
      writeFileSync(fd, `${JSON.stringify(checkpoint)}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(draft, path);
  } catch (error) {
    throw new Refused(`the checkpoint cannot be written: ${messageOf(error)}`);
  }
}

function isCheckpoint(value: unknown): value is Checkpoint {
  if (typeof value !== 'object' || value === null) return false;
  if (!('v' in value) || value.v !== 1 || !('store' in value) || !('queue' in value)) return false;
  if (!('through' in value) || !isId(value.through) || !('delivered' in value) || !isId(value.delivered)) return false;
  if (!('beyond' in value) || !Array.isArray(value.beyond) || !value.beyond.every(isId)) return false;
  if (!('removing' in value) || !Array.isArray(value.removing) || !value.removing.every(isId)) return false;
  if (!('failed' in value) || !Array.isArray(value.failed) || !value.failed.every(isFailed)) return false;
  if ('to' in value && typeof value.to !== 'string') return false;
  return 'selection' in value && isKept(value.selection);
}

function isKept(value: unknown): value is KeptSelection {
  if (typeof value !== 'object' || value === null) return false;
  if (!('given' in value) || !Array.isArray(value.given) || !value.given.every((one) => typeof one === 'string'))
    return false;
  if (!('first' in value) || !isId(value.first) || !('last' in value) || !isBound(value.last)) return false;
  if (!('sinceMs' in value) || !isBound(value.sinceMs) || !('untilMs' in value) || !isBound(value.untilMs))
    return false;
  return 'left' in value && isBound(value.left);
}

function isBound(value: unknown): value is number | null {
  return value === null || typeof value === 'number';
}

function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isFailed(value: unknown): value is FailedRecord {
  return typeof value === 'object' && value !== null && 'id' in value && isId(value.id) && 'error' in value;
}
