/**
 * Which records a replay is about, so that one that goes on later is about the same: positions from the end and times from now are what they were when it
 * was begun, and of a number of records it is known how many are left.
 */
import type { Command } from 'commander';
import type { ReadOnlyQueue } from '../../raw.js';
import { UsageError } from '../exit-code.js';
import { parsePosition } from '../selection/position.js';
import { rangeOf } from '../selection/selected-records.js';
import type { Selection } from '../selection/selection.js';
import type { Checkpoint, KeptSelection } from './replay-checkpoint.js';

const OPTIONS = ['from', 'to', 'since', 'until', 'grep', 'header', 'reason', 'count'] as const;

/** The options of the selection as they are given, which is told when the command line is read: each once, headers all. */
export function selectionGiven(command: Command): () => string[] {
  const texts = new Map<string, string[]>();
  for (const name of OPTIONS) {
    command.on(`option:${name}`, (text: string) => {
      // Where to is another matter.
      if (name === 'to' && parsePosition(text, 0) === undefined) return;
      const before = name === 'header' ? (texts.get(name) ?? []) : [];
      texts.set(name, [...before, `--${name} ${text}`]);
    });
  }
  return () => OPTIONS.flatMap((name) => texts.get(name) ?? []);
}

/** What it means now. */
export async function keptSelection(
  queue: ReadOnlyQueue,
  selection: Selection,
  given: readonly string[],
): Promise<KeptSelection> {
  const { first, last } = await rangeOf(queue, selection);
  const { sinceMs, untilMs, count } = selection;
  return {
    given,
    first,
    last: selection.to === undefined ? null : last,
    sinceMs: boundOf(sinceMs),
    untilMs: boundOf(untilMs),
    left: boundOf(count),
  };
}

/** @throws UsageError where the checkpoint at `path` is of a replay of another selection */
export function requireSame(path: string, { selection }: Checkpoint, given: readonly string[]): void {
  if (JSON.stringify(selection.given) === JSON.stringify(given)) return;
  throw new UsageError(
    `${path} is the checkpoint of a replay of ${told(selection.given)}, and this one is of ${told(given)}: say the same, or name another file`,
  );
}

/** What is still to be read of it, of records up to `end`. How many is not bounded here. */
export function unread(selection: Selection, kept: KeptSelection, through: number, end: number): Selection {
  const { grep, headers, reason } = selection;
  return {
    from: { kind: 'id', id: Math.max(kept.first, through + 1) },
    to: { kind: 'id', id: Math.min(kept.last ?? end, end) },
    sinceMs: kept.sinceMs ?? -Infinity,
    untilMs: kept.untilMs ?? Infinity,
    grep,
    headers,
    reason,
    count: Infinity,
  };
}

function boundOf(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

function told(given: readonly string[]): string {
  return given.length === 0 ? 'all records' : given.join(' ');
}
