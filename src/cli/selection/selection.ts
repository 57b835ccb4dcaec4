/**
 * Which records a command is about: the same grammar for all of them. `selectionOf` makes of flags what a record is held against; where in a queue to look
 * for them is another matter (`selected-records.ts`). Pure.
 */
import type { QueueRecord } from '../../log/queue-record.js';
import type { Position } from './position.js';

/** As the command line has them, each parsed (`selection-options.ts`). */
export interface SelectionFlags {
  readonly from?: Position;
  readonly to?: Position;
  readonly since?: number;
  readonly until?: number;
  readonly grep?: RegExp;
  readonly header?: readonly HeaderWanted[];
  readonly reason?: string;
  readonly count?: number;
}

export interface HeaderWanted {
  readonly name: string;
  /** `undefined`: any. */
  readonly value: string | undefined;
}

/** A place that is not a moment. */
export type Place = Exclude<Position, { kind: 'time' }>;

export interface Selection {
  readonly from: Place;
  /** `undefined`: to the end. */
  readonly to: Place | undefined;
  /** Both belong to it; without bounds infinite. */
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly grep: RegExp | undefined;
  /** All of them. */
  readonly headers: readonly HeaderWanted[];
  readonly reason: string | undefined;
  /** At most so many; `Infinity` without a bound. */
  readonly count: number;
}

export function selectionOf(flags: SelectionFlags): Selection {
  const { from, to, since = -Infinity, until = Infinity, grep, header = [], reason, count = Infinity } = flags;
  return {
    from: from === undefined || from.kind === 'time' ? { kind: 'first' } : from,
    to: to === undefined || to.kind === 'time' ? undefined : to,
    sinceMs: Math.max(since, from?.kind === 'time' ? from.ms : -Infinity),
    untilMs: Math.min(until, to?.kind === 'time' ? to.ms : Infinity),
    grep,
    headers: header,
    reason,
    count,
  };
}

/** A record's time is bounded: others can be passed over without being read. */
export function hasTimes({ sinceMs, untilMs }: Selection): boolean {
  return sinceMs !== -Infinity || untilMs !== Infinity;
}

/** Not every record in its range of IDs belongs to it. */
export function isSelective(selection: Selection): boolean {
  const { grep, headers, reason } = selection;
  return hasTimes(selection) || grep !== undefined || headers.length > 0 || reason !== undefined;
}

/** Whether a record between its places is one of them. */
export function isSelected(
  { timestamp, headers, reason, payload }: Pick<QueueRecord, 'timestamp' | 'headers' | 'reason' | 'payload'>,
  selection: Selection,
): boolean {
  if (timestamp < selection.sinceMs || timestamp > selection.untilMs) return false;
  if (selection.reason !== undefined && reason !== selection.reason) return false;
  for (const { name, value } of selection.headers) {
    const text = headers !== undefined && Object.hasOwn(headers, name) ? headers[name] : undefined;
    if (text === undefined || (value !== undefined && text !== value)) return false;
  }
  // Bytes that are no UTF-8 are replacement characters to it.
  return selection.grep === undefined || selection.grep.test(payload.toString());
}
