/**
 * A place in a queue, as `--from` and `--to` take it:
 *
 *     17                  the record with that ID, or where it would be
 *     -10                 the tenth live record from the end
 *     first, last         the first and the last live record
 *     @2026-11-01T10:00Z  a moment: of records pushed then or later (`--from`), or then or earlier (`--to`)
 *     @-15m               a moment so long ago
 */
import { parseTime } from './point-in-time.js';

export type Position =
  | { readonly kind: 'id'; readonly id: number }
  | { readonly kind: 'first' }
  /** 1 is the last. */
  | { readonly kind: 'from-end'; readonly count: number }
  | { readonly kind: 'time'; readonly ms: number };

export const POSITION_HELP = 'ID, -N (from the end), first, last, @TIME or @-15m';

/** `undefined` for what is none. */
export function parsePosition(text: string, nowMs: number): Position | undefined {
  if (text === 'first') return { kind: 'first' };
  if (text === 'last') return { kind: 'from-end', count: 1 };
  if (text.startsWith('@')) {
    const ms = parseTime(text.slice(1), nowMs);
    return ms === undefined ? undefined : { kind: 'time', ms };
  }
  if (!/^-?\d+$/.test(text)) return undefined;
  const value = Math.abs(Number(text));
  if (!Number.isSafeInteger(value)) return undefined;
  if (!text.startsWith('-')) return { kind: 'id', id: value };
  return value === 0 ? undefined : { kind: 'from-end', count: value };
}
