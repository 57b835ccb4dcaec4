/** Which dead letters a command is about: in which queues, and which of them. Read without a lock. */

import type { Command } from 'commander';
import { Option } from 'commander';
import { codeOfFailure } from '../../queue/dead-letter.js';
import { EvaqError, type QueueRecord, type ReadOnlyEvaq } from '../../raw.js';
import { holdsDeadLetters, homeNameOf } from '../../store/dead-letters.js';
import { queueToRead } from '../damage-told.js';
import { UsageError } from '../exit-code.js';
import { queuesMeant } from '../selection/queue-names.js';
import { selectedRecords } from '../selection/selected-records.js';
import { type SelectionFlags, selectionOf } from '../selection/selection.js';
import { addSelection } from '../selection/selection-options.js';

export interface LetterFlags extends SelectionFlags {
  readonly queue?: string;
  readonly code?: string;
}

/** The dead letters of one queue. */
export interface LetterBox {
  /** Whose they are. */
  readonly home: string;
  /** The queue that they are in. */
  readonly name: string;
}

/** Adds the selection, `-q` and `--code`. */
export function addLetterSelection(command: Command): Command {
  return addSelection(command)
    .addOption(
      new Option('-q, --queue <name>', "dead letters of this queue; '*' for any part of a name; default: of all"),
    )
    .option('--code <code>', 'of that error code');
}

/** @throws EVAQ_QUEUE_NAME where `-q` names none */
export async function boxesOf(store: ReadOnlyEvaq, wanted: string | undefined): Promise<LetterBox[]> {
  const names = await store.queueNames();
  // By the queues that hold them: whose they are may not be there, after an import of them alone.
  const boxes = new Map(names.filter(holdsDeadLetters).map((name) => [homeNameOf(name), name]));
  const homes = [...boxes.keys()].sort();
  // Whose they are, or the queue that they are in.
  const holder = homes.find((home) => boxes.get(home) === wanted);
  const meant = wanted === undefined ? homes : queuesMeant([holder ?? wanted], homes);
  return meant.flatMap((home) => {
    const name = boxes.get(home);
    return name === undefined ? [] : [{ home, name }];
  });
}

/** How many more are selected, of all boxes together: `-n`. */
export interface LettersLeft {
  count: number;
}

export function lettersLeft({ count = Infinity }: LetterFlags): LettersLeft {
  return { count };
}

/** The selected letters of one box, in the order of their IDs. `ids`: these alone, if there are any. */
export async function* lettersIn(
  store: ReadOnlyEvaq,
  { name }: LetterBox,
  ids: readonly number[],
  flags: LetterFlags,
  left: LettersLeft,
  signal: AbortSignal,
): AsyncGenerator<QueueRecord, void, undefined> {
  const queue = await queueToRead(store, name);
  if (ids.length > 0) {
    for (const id of new Set(ids)) {
      const record = await queue.get(id);
      if (record === undefined) throw notThere(name, id);
      yield record;
    }
    return;
  }
  const { count: _, ...rest } = flags;
  if (left.count <= 0) return;
  for await (const record of selectedRecords(queue, selectionOf(rest), signal)) {
    if (flags.code !== undefined && codeOfFailure(record.error) !== flags.code) continue;
    left.count--;
    yield record;
    if (left.count <= 0) return;
  }
}

/** IDs are those of one queue. @throws UsageError where it is not said which */
export function requireOneBox(boxes: readonly LetterBox[], ids: readonly number[]): void {
  if (ids.length === 0 || boxes.length <= 1) return;
  throw new UsageError(
    `IDs are those of one queue: say whose dead letters by -q (${boxes.map(({ home }) => home).join(', ')})`,
  );
}

export function notThere(queue: string, id: number): EvaqError {
  return new EvaqError('EVAQ_RECORD_NOT_FOUND', `queue '${queue}' has no live record ${id}`, {
    details: { queue, id },
  });
}
