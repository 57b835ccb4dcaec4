/** Dead letters that go back, or go for good. The plan is made without a lock; with --yes the store is opened for writing. */
import type { Evaq } from '../../evaq.js';
import { ReadOnlyEvaq } from '../../raw.js';
import { openExisting } from '../existing-store.js';
import { say, UsageError } from '../exit-code.js';
import { describeIds } from '../id-ranges-text.js';
import { isMeant, MoveBar, type MoveFlags, sayNothingChanged } from '../planned-move.js';
import { formatCount } from '../record-format.js';
import { boxesOf, type LetterBox, type LetterFlags, lettersIn, requireOneBox } from './letters.js';

export interface ChangeFlags extends LetterFlags, MoveFlags {
  readonly all?: boolean;
  readonly force?: boolean;
}

interface Planned {
  readonly box: LetterBox;
  readonly ids: number[];
}

export async function changeLetters(
  dir: string,
  ids: readonly number[],
  flags: ChangeFlags,
  what: 'redrive' | 'purge',
  signal: AbortSignal,
): Promise<void> {
  if (what === 'purge') requireChoice(ids, flags);
  const plans = await planOf(dir, ids, flags, signal);
  const meant = plans.filter(({ box, ids: chosen }) => isMeant(flags, what, box.name, chosen));
  if (meant.length === 0) {
    if (plans.length === 0) say('there are no dead letters');
    else sayNothingChanged();
    return;
  }
  await using evaq = await openExisting(dir, { signal });
  for (const { box, ids: chosen } of meant) {
    if (chosen.length === 0) continue;
    if (what === 'purge') await purge(evaq, box, chosen, signal);
    else await redrive(evaq, box, chosen, flags, signal);
  }
}

/** What goes for good is named. */
function requireChoice(ids: readonly number[], flags: ChangeFlags): void {
  const { from, to, since, until, grep, header, reason, count, code, queue, all } = flags;
  const isChosen = [from, to, since, until, grep, header, reason, count, code, queue].some((one) => one !== undefined);
  if (ids.length === 0 && !isChosen && all !== true)
    throw new UsageError('say which dead letters: their IDs, a selection, or --all');
}

async function planOf(
  dir: string,
  ids: readonly number[],
  flags: ChangeFlags,
  signal: AbortSignal,
): Promise<Planned[]> {
  await using store = await ReadOnlyEvaq.open(dir);
  const boxes = await boxesOf(store, flags.queue);
  requireOneBox(boxes, ids);
  const plans: Planned[] = [];
  let left = flags.limit ?? Infinity;
  for (const box of boxes) {
    const chosen: number[] = [];
    for await (const { id } of lettersIn(store, box, ids, flags, signal)) {
      if (left-- <= 0) break;
      chosen.push(id);
    }
    if (chosen.length > 0) plans.push({ box, ids: chosen });
  }
  return plans;
}

async function purge(evaq: Evaq, { name }: LetterBox, ids: readonly number[], signal: AbortSignal): Promise<void> {
  const { purged, gone } = await (await evaq.queue(name)).deadLetters.purge(ids, { signal });
  say(`purged ${formatCount(purged, 'record')} of ${name}${ofGone(gone)}`);
}

async function redrive(
  evaq: Evaq,
  { name }: LetterBox,
  ids: readonly number[],
  { rate, force }: ChangeFlags,
  signal: AbortSignal,
): Promise<void> {
  const bar = new MoveBar(ids.length);
  let done = 0;
  try {
    const { moved, gone, refused, refusedIds, queues } = await (await evaq.queue(name)).deadLetters.redrive(ids, {
      signal,
      force: force === true,
      ...(rate === undefined ? {} : { ratePerSecond: rate }),
      onProgress: (progress) => {
        done = progress.moved;
        bar.show(done);
      },
    });
    bar.stop();
    const where = Object.entries(queues).map(([queue, count]) => `${count} to ${queue}`);
    say(
      `redrove ${formatCount(moved, 'record')} of ${name}${where.length === 0 ? '' : ` (${where.join(', ')})`}${ofGone(gone)}`,
    );
    if (refused > 0) {
      say(
        `left ${formatCount(refused, 'record')} that had gone back often enough: ${describeIds(refusedIds)}; --force takes them, too`,
      );
    }
  } catch (error) {
    bar.stop();
    if (signal.aborted) say(`stopped: ${formatCount(done, 'record')} had gone back`);
    throw error;
  }
}

function ofGone(gone: number): string {
  return gone === 0 ? '' : `; ${gone} were gone by then`;
}
