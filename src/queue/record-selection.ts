/**
 * Which records a call is about: what callers may say, and what that comes to. What says nothing is refused: it would mean all of them.
 */
import { isIterable, optionNames, requireOptions } from '../arguments.js';
import { describe, requireRecordId } from '../ids.js';
import type { QueueRecord } from '../log/queue-record.js';
import { codeOfFailure } from './dead-letter.js';

/** Records for which all of it holds that is given; at least one is. */
export interface RecordCriteria {
  /** Why they are dead letters: exactly that text. */
  readonly reason?: string;
  /** The code of what was thrown, or of the nearest cause that has one. */
  readonly code?: string;
  /** Lowest ID. */
  readonly from?: number;
  /** Highest ID. */
  readonly to?: number;
}

/**
 * Record IDs, criteria, a function that says yes to a record (what it resolves with is awaited), or all. Of IDs a second mention counts for nothing.
 * What comes after the call is never meant.
 */
export type RecordSelection<R extends QueueRecord = QueueRecord> =
  | 'all'
  | Iterable<number>
  | RecordCriteria
  | ((record: R) => boolean | Promise<boolean>);

/** Whether a record is meant; a promise of it is awaited. */
type Accepts<R> = (record: R) => unknown;

export interface IdSelection {
  readonly kind: 'ids';
  /** Each once, in the order given. */
  readonly ids: readonly number[];
}

export interface RangeSelection<R extends QueueRecord> {
  readonly kind: 'range';
  readonly from: number;
  readonly to: number;
  /** Without one: all that there are from the one to the other. */
  readonly accepts: Accepts<R> | undefined;
}

export type ResolvedSelection<R extends QueueRecord = QueueRecord> = IdSelection | RangeSelection<R>;

export const CRITERIA_NAMES = ['reason', 'code', 'from', 'to'] as const;
const NAMES = optionNames(...CRITERIA_NAMES);

/** Throws a TypeError or RangeError that names what is wrong. `where`: the call. */
export function selectionOf<R extends QueueRecord>(selection: unknown, where: string): ResolvedSelection<R> {
  if (selection === 'all') return rangeOfCriteria({});
  if (typeof selection === 'function') {
    const accepts: Accepts<R> = (record) => Reflect.apply(selection, undefined, [record]);
    return { kind: 'range', from: 0, to: Number.MAX_SAFE_INTEGER, accepts };
  }
  if (isIterable(selection) && !ArrayBuffer.isView(selection)) {
    const ids = new Set<number>();
    for (const id of selection) {
      requireRecordId(id, 'ids');
      ids.add(id);
    }
    return { kind: 'ids', ids: [...ids] };
  }
  if (typeof selection !== 'object' || selection === null || ArrayBuffer.isView(selection)) {
    throw new TypeError(
      `${where}: a selection is record IDs, { reason, code, from, to }, a function or 'all', got ${describe(selection)}`,
    );
  }
  requireOptions(selection, `${where}: selection`, NAMES);
  const criteria: RecordCriteria = selection;
  requireCriteria(criteria);
  if (CRITERIA_NAMES.every((name) => criteria[name] === undefined)) {
    throw new TypeError(`${where}: the selection names nothing (reason, code, from, to); to mean all, say 'all'`);
  }
  return rangeOfCriteria(criteria);
}

/** Throws a TypeError or RangeError for a value that is none. */
export function requireCriteria({ reason, code, from, to }: RecordCriteria): void {
  for (const [name, value] of Object.entries({ reason, code })) {
    if (value !== undefined && typeof value !== 'string')
      throw new TypeError(`${name} must be a text, got ${describe(value)}`);
  }
  if (from !== undefined) requireRecordId(from, 'from');
  if (to !== undefined) requireRecordId(to, 'to');
}

/** The same for criteria that were looked at; none at all mean all. */
export function rangeOfCriteria({
  reason,
  code,
  from = 0,
  to = Number.MAX_SAFE_INTEGER,
}: RecordCriteria): RangeSelection<QueueRecord> {
  if (reason === undefined && code === undefined) return { kind: 'range', from, to, accepts: undefined };
  const accepts = (record: QueueRecord): boolean =>
    (reason === undefined || record.reason === reason) && (code === undefined || codeOfFailure(record.error) === code);
  return { kind: 'range', from, to, accepts };
}
