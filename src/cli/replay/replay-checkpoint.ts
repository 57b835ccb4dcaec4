/**
 * How far a replay has come, in a file: so that one that was interrupted goes on where it was. Written whole under another name, synced, and renamed, so
 * that after a crash it is the one before or the new one.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { isNotFound } from '../../errors.js';
import { UsageError } from '../exit-code.js';

export interface FailedRecord {
  readonly id: number;
  readonly error: string;
}

export interface Checkpoint {
  readonly v: 1;
  /** Of the store that is replayed. */
  readonly store: string;
  readonly queue: string;
  /** All that are selected up to here are settled, and these beyond it. */
  readonly through: number;
  readonly beyond: readonly number[];
  /** Settled, and not delivered: tried again by the next run. */
  readonly failed: readonly FailedRecord[];
  readonly delivered: number;
}

/** `undefined`: there is none yet. @throws UsageError for a file that is none, or of another store or queue */
export function readCheckpoint(path: string, store: string, queue: string): Checkpoint | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
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
  return value;
}

export function writeCheckpoint(path: string, checkpoint: Checkpoint): void {
  const draft = `${path}.tmp`;
  const fd = openSync(draft, 'w');
  try {
    writeSync(fd, `${JSON.stringify(checkpoint)}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(draft, path);
}

function isCheckpoint(value: unknown): value is Checkpoint {
  if (typeof value !== 'object' || value === null) return false;
  if (!('v' in value) || value.v !== 1 || !('store' in value) || !('queue' in value)) return false;
  if (!('through' in value) || !isId(value.through) || !('delivered' in value) || !isId(value.delivered)) return false;
  if (!('beyond' in value) || !Array.isArray(value.beyond) || !value.beyond.every(isId)) return false;
  return 'failed' in value && Array.isArray(value.failed) && value.failed.every(isFailed);
}

function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isFailed(value: unknown): value is FailedRecord {
  return typeof value === 'object' && value !== null && 'id' in value && isId(value.id) && 'error' in value;
}
