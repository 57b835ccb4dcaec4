/**
 * What a caller may say about which records are to be read, and what that comes to: the same for writers and readers.
 */
import { type OptionNames, optionNames, requireOptions, requireSignal } from '../arguments.js';
import { requireCount, requireRecordId } from '../ids.js';
import type { ReadLimits } from './segment-walk.js';

export interface ReadOptions {
  /** Lowest ID to return. Default 0: from the front. */
  readonly from?: number;
  /** Payload bytes; at least one record is returned whatever its size. Default 1 MiB, or no bound if `maxRecords` is given. */
  readonly maxBytes?: number;
  readonly maxRecords?: number;
  /** Aborted: the call rejects with its reason. */
  readonly signal?: AbortSignal;
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

const READ_NAMES = optionNames('from', 'maxBytes', 'maxRecords', 'signal');
const RECORDS_NAMES: OptionNames = optionNames('from', 'to', 'signal');

export interface Wanted {
  readonly from: number;
  readonly limits: ReadLimits;
  readonly signal: AbortSignal | undefined;
}

/** Throws a TypeError or RangeError for a wrong value. */
export function wantedOf(options: ReadOptions = {}): Wanted {
  requireOptions(options, 'read', READ_NAMES);
  const { from = 0, maxRecords, signal } = options;
  requireSignal(signal, 'read');
  requireRecordId(from, 'from');
  if (maxRecords !== undefined) requireCount(maxRecords, 'maxRecords', 1);
  const maxBytes = options.maxBytes ?? (maxRecords === undefined ? READ_BYTES_DEFAULT : Number.MAX_SAFE_INTEGER);
  requireCount(maxBytes, 'maxBytes', 0);
  const limits: ReadLimits = { maxBytes, maxRecords: maxRecords ?? Number.MAX_SAFE_INTEGER };
  return { from, limits, signal };
}

export interface Range {
  readonly from: number;
  readonly to: number;
  readonly signal: AbortSignal | undefined;
}

/** The same of an iteration, which `where` names; `more`: options that it has beside. */
export function rangeOf(options: RecordsOptions | undefined, where: string, more: readonly string[] = []): Range {
  requireOptions(options, where, more.length === 0 ? RECORDS_NAMES : optionNames(...RECORDS_NAMES, ...more));
  const { from = 0, to = Number.MAX_SAFE_INTEGER, signal } = options ?? {};
  requireRecordId(from, 'from');
  requireRecordId(to, 'to');
  requireSignal(signal, where);
  return { from, to, signal };
}
