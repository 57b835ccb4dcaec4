/** Dead letters that go back, or go for good. What is planned is told without a lock; with --yes the store is opened for writing. */

import { MAX_REDRIVES } from '../../queue/move-options.js';
import { type QueueRecord, ReadOnlyEvaq } from '../../raw.js';
import { say, UsageError } from '../exit-code.js';
import { IdTally } from '../id-ranges-text.js';
import { Meter } from '../meter.js';
import { isMeant, type MoveFlags, sayNothingChanged, sayPlan, sayStopped, tallyOf } from '../planned-move.js';
import { inPortions, LateWriter } from '../portions.js';
import { formatCount } from '../record-format.js';
import {
  boxesOf,
  type LetterBox,
  type LetterFlags,
  type LettersLeft,
  lettersIn,
  lettersLeft,
  requireOneBox,
} from './letters.js';

export interface ChangeFlags extends LetterFlags, MoveFlags {
  readonly all?: boolean;
  readonly force?: boolean;
}

type Change = 'redrive' | 'purge';

export async function changeLetters(
  dir: string,
  ids: readonly number[],
  flags: ChangeFlags,
  what: Change,
  signal: AbortSignal,
): Promise<void> {
  requireChoice(ids, flags, what);
  await using store = await ReadOnlyEvaq.open(dir);
  const boxes = await boxesOf(store, flags.queue);
  requireOneBox(boxes, ids);
  await using writer = new LateWriter(dir, signal);
  let found = 0;
  let left = flags.limit ?? Infinity;
  const selected = lettersLeft(flags);
  for (const box of boxes) {
    const chosen = new ChosenLetters(store, box, ids, flags, what, selected, signal);
    const changed = isMeant(flags) ? await change(writer, chosen, left) : await sayPlanOf(chosen, left);
    left -= changed;
    found += chosen.seen;
  }
  if (found === 0) say(isChoice(ids, flags) ? 'no dead letter is meant by that' : 'there are no dead letters');
  else if (!isMeant(flags)) sayNothingChanged();
}

/** Not all of a queue are meant. */
function isChoice(ids: readonly number[], flags: ChangeFlags): boolean {
  const { from, to, since, until, grep, header, reason, count, code } = flags;
  return ids.length > 0 || [from, to, since, until, grep, header, reason, count, code].some((one) => one !== undefined);
}

/** What goes for good is named. @throws UsageError unless it is said in one way which are meant */
function requireChoice(ids: readonly number[], flags: ChangeFlags, what: Change): void {
  const { from, to, since, until, grep, header, reason, count, code, queue, all } = flags;
  const isSelected = [from, to, since, until, grep, header, reason, count, code].some((one) => one !== undefined);
  const ways = [ids.length > 0, isSelected, all === true].filter(Boolean).length;
  if (ways > 1) throw new UsageError('say which dead letters in one way: their IDs, a selection, or all');
  if (ways === 0 && what === 'purge' && queue === undefined)
    throw new UsageError('say which dead letters: their IDs, a selection, or --all');
}

/** Those of one box that are meant, found as they are asked for; of those that there were when it was made. */
class ChosenLetters {
  readonly box: LetterBox;
  readonly what: Change;
  readonly flags: ChangeFlags;
  readonly signal: AbortSignal;
  /** Met, and left where they are: they have gone back often enough. */
  readonly refused: IdTally = new IdTally();
  /** How many were looked at. */
  seen = 0;
  readonly #records: () => AsyncIterable<QueueRecord>;
  readonly #nextId: () => Promise<number>;

  constructor(
    store: ReadOnlyEvaq,
    box: LetterBox,
    ids: readonly number[],
    flags: ChangeFlags,
    what: Change,
    left: LettersLeft,
    signal: AbortSignal,
  ) {
    this.box = box;
    this.what = what;
    this.flags = flags;
    this.signal = signal;
    this.#records = () => lettersIn(store, box, ids, flags, left, signal);
    this.#nextId = async () => (await (await store.queue(box.name)).stats()).nextId;
  }

  async *ids(): AsyncGenerator<number, void, undefined> {
    // What has gone back may come again, with another ID: it is not meant.
    const end = await this.#nextId();
    const isBound = this.what === 'redrive' && this.flags.force !== true;
    for await (const { id, redrives = 0 } of this.#records()) {
      if (id >= end) return;
      this.seen++;
      if (isBound && redrives >= MAX_REDRIVES) this.refused.add(id);
      else yield id;
    }
  }

  tellRefused(verb: string): void {
    const { count } = this.refused;
    if (count === 0) return;
    say(
      `${verb} ${formatCount(count, 'record')} that had gone back often enough: ${this.refused.describe()}; --force takes them, too`,
    );
  }
}

async function sayPlanOf(chosen: ChosenLetters, limit: number): Promise<number> {
  const tally = await tallyOf(chosen.ids(), limit);
  if (chosen.seen > 0) sayPlan(chosen.what, chosen.box.name, tally);
  chosen.tellRefused('would leave');
  return tally.count;
}

interface Tally {
  done: number;
  gone: number;
  lastId: number | undefined;
  readonly queues: Map<string, number>;
}

/** Changes a portion, and resolves with how many of it. */
type Step = (
  writer: LateWriter,
  box: LetterBox,
  portion: readonly number[],
  tally: Tally,
  meter: Meter,
  signal: AbortSignal,
) => Promise<number>;

/** Resolves with how many were changed. */
async function change(writer: LateWriter, chosen: ChosenLetters, limit: number): Promise<number> {
  const { box, what, flags, signal } = chosen;
  const meter = new Meter(what === 'purge' ? 'purged' : 'redrove');
  const tally: Tally = { done: 0, gone: 0, lastId: undefined, queues: new Map() };
  const step = what === 'purge' ? purgeStep : redriveStep;
  const { rate } = flags;
  try {
    await inPortions(chosen.ids(), { limit, signal, ...(rate === undefined ? {} : { rate }) }, (portion) =>
      step(writer, box, portion, tally, meter, signal),
    );
  } catch (error) {
    if (signal.aborted) await writer.close();
    meter.end();
    if (signal.aborted) sayStopped(tally.done, what === 'purge' ? 'were purged' : 'had gone back', tally.lastId);
    throw error;
  }
  meter.end();
  const { done, gone, queues } = tally;
  if (chosen.seen === 0) return 0;
  const where = Array.from(queues, ([queue, count]) => `${count} to ${queue}`).join(', ');
  const verb = what === 'purge' ? 'purged' : 'redrove';
  say(
    `${verb} ${formatCount(done, 'record')} of ${box.name}${where === '' ? '' : ` (${where})`}${gone === 0 ? '' : `; ${gone} were gone by then`}`,
  );
  chosen.tellRefused('left');
  return done;
}

const purgeStep: Step = async (writer, { name }, portion, tally, meter, signal) => {
  const letters = (await writer.queue(name)).deadLetters;
  signal.throwIfAborted();
  // A round that was begun is one: it is waited for.
  const { purged, gone } = await letters.purge(portion);
  tally.done += purged;
  tally.gone += gone;
  tally.lastId = portion.at(-1);
  meter.add(purged);
  return purged;
};

const redriveStep: Step = async (writer, { name }, portion, tally, meter, signal) => {
  const letters = (await writer.queue(name)).deadLetters;
  // What it has refused is told already; and the records are bounded by what was read of them.
  const { moved, gone } = await letters.redrive(portion, {
    signal,
    force: true,
    onProgress: ({ batch }) => {
      tally.done += batch.length;
      tally.lastId = batch.at(-1)?.id ?? tally.lastId;
      for (const { queue } of batch) tally.queues.set(queue, (tally.queues.get(queue) ?? 0) + 1);
      meter.add(batch.length);
    },
  });
  tally.gone += gone;
  return moved;
};
