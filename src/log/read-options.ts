/**
 * What a caller may say about which records are to be read, and what that comes to: the same for writers and readers.
 */
import { requireCount, requireRecordId } from '../ids.js';
import type { ReadLimits } from './segment-walk.js';

export interface ReadOptions {
  /** Lowest ID to return. Default 0: from the front. */
  readonly from?: number;
  /** Payload bytes; at least one record is returned whatever its size. Default 1 MiB, or no bound if `maxRecords` is given. */
  readonly maxBytes?: number;
  readonly maxRecords?: number;
}

export interface RecordsOptions {
  /** Lowest ID. Default 0. */
  readonly from?: number;
  /** Highest ID. Default: no bound. */
  readonly to?: number;
  /** Ends the iteration: it throws the signal's reason. */
  readonly signal?: AbortSignal;
}

const READ_BYTES_DEFAULT = 1024 * 1024;

/** Throws a TypeError or RangeError for a wrong value. */
export function wantedOf(options: ReadOptions): { readonly from: number; readonly limits: ReadLimits } {
  const { from = 0, maxRecords } = options;
  requireRecordId(from, 'from');
  if (maxRecords !== undefined) requireCount(maxRecords, 'maxRecords', 1);
  const maxBytes = options.maxBytes ?? (maxRecords === undefined ? READ_BYTES_DEFAULT : Number.MAX_SAFE_INTEGER);
  requireCount(maxBytes, 'maxBytes', 0);
  const limits: ReadLimits = { maxBytes, maxRecords: maxRecords ?? Number.MAX_SAFE_INTEGER };
  return { from, limits };
}

/** The same of an iteration. */
export function rangeOf(options: RecordsOptions): { from: number; to: number; signal: AbortSignal | undefined } {
  const { from = 0, to = Number.MAX_SAFE_INTEGER, signal } = options;
  requireRecordId(from, 'from');
  requireRecordId(to, 'to');
  return { from, to, signal };
}
