/** `evaq remove`: takes records out of a queue, durably: by their IDs, or those that are selected. Opens the store for writing. */
import { Command, Option } from 'commander';
import { EvaqError } from '../errors.js';
import { DEAD_LETTERS_QUEUE, WAL_QUEUE } from '../layout/store-file.js';
import { ReadOnlyEvaq } from '../raw.js';
import { parseId, parseIds, queueOption } from './arguments.js';
import { queueToRead } from './damage-told.js';
import { openExisting } from './existing-store.js';
import { say, UsageError } from './exit-code.js';
import { describeIds } from './id-ranges-text.js';
import { interruptible } from './interrupt.js';
import { Meter } from './meter.js';
import { addPlan, isMeant, type PlanFlags, sayNothingChanged, sayPlan, sayStopped, tallyOf } from './planned-move.js';
import { inPortions, LateWriter } from './portions.js';
import { formatCount } from './record-format.js';
import { idsOf } from './selection/selected-records.js';
import { type Selection, type SelectionFlags, selectionOf } from './selection/selection.js';
import { addSelection } from './selection/selection-options.js';

interface RemoveFlags extends SelectionFlags, PlanFlags {
  readonly queue: string;
  readonly through?: number;
}

export function removeCommand(): Command {
  const command = new Command('remove')
    .argument('<dir>', 'the store')
    .argument('[id...]', 'the IDs of the records', parseIds)
    .addOption(queueOption())
    .addOption(new Option('--through <id>', 'all records up to and including this one').argParser(parseId));
  return addPlan(addSelection(command))
    .addHelpText(
      'after',
      "\nIDs and --through are taken at their word; what a selection comes to is said first, and done with --yes.\n\nExamples:\n  evaq remove ./orders 17 18 19\n  evaq remove ./orders -q dead-letters --reason 'no route' --until 30d --yes",
    )
    .action((dir: string, ids: number[] | undefined, flags: RemoveFlags) =>
      interruptible((signal) => remove(dir, ids ?? [], flags, signal)),
    );
}

async function remove(dir: string, ids: readonly number[], flags: RemoveFlags, signal: AbortSignal): Promise<void> {
  const { from, to, since, until, grep, header, reason, count, through } = flags;
  const isSelected = [from, to, since, until, grep, header, reason, count].some((one) => one !== undefined);
  if ([ids.length > 0, through !== undefined, isSelected].filter(Boolean).length !== 1) {
    throw new UsageError('name the IDs to remove, or --through one, or a selection, and one of these');
  }
  if (isSelected) return removeSelected(dir, selectionOf(flags), flags, signal);
  // Who names one twice means it once.
  const wanted = [...new Set(ids)];
  if (flags.dryRun) return sayWhich(dir, wanted, flags, signal);
  await requireQueue(dir, flags.queue);
  await using evaq = await openExisting(dir);
  const queue = await evaq.queue(flags.queue);
  if (through !== undefined) {
    say(`removed ${formatCount(await queue.removeThrough(through), 'record')}`);
    return;
  }
  const results = await Promise.all(wanted.map((id) => queue.remove(id)));
  say(`removed ${formatCount(results.filter((removed) => removed).length, 'record')}`);
  requireAll(
    queue.name,
    wanted.filter((_, i) => results[i] !== true),
  );
}

/** @throws EVAQ_RECORD_NOT_FOUND for those that were named and are not there */
function requireAll(queue: string, missing: readonly number[]): void {
  if (missing.length === 0) return;
  throw new EvaqError('EVAQ_RECORD_NOT_FOUND', `queue '${queue}' has no live record ${describeIds(missing)}`, {
    details: { queue },
  });
}

/** What would be removed of what is named. */
async function sayWhich(
  dir: string,
  ids: readonly number[],
  { queue: name, through }: RemoveFlags,
  signal: AbortSignal,
): Promise<void> {
  await using store = await ReadOnlyEvaq.open(dir);
  const queue = await queueToRead(store, name);
  const missing: number[] = [];
  async function* live(): AsyncGenerator<number, void, undefined> {
    for (const id of ids) {
      if ((await queue.get(id)) !== undefined) yield id;
      else missing.push(id);
    }
  }
  const upTo = through === undefined ? undefined : selectionOf({ to: { kind: 'id', id: through } });
  sayPlan('remove', name, await tallyOf(upTo === undefined ? live() : idsOf(queue, upTo, signal)));
  say('nothing was changed; without --dry-run it is done');
  requireAll(name, missing);
}

async function removeSelected(
  dir: string,
  selection: Selection,
  flags: RemoveFlags,
  signal: AbortSignal,
): Promise<void> {
  await using store = await ReadOnlyEvaq.open(dir);
  const chosen = idsOf(await queueToRead(store, flags.queue), selection, signal);
  if (!isMeant(flags)) {
    sayPlan('remove', flags.queue, await tallyOf(chosen));
    sayNothingChanged();
    return;
  }
  await using writer = new LateWriter(dir, signal);
  const meter = new Meter('removed');
  let [removed, gone] = [0, 0];
  let lastId: number | undefined;
  try {
    await inPortions(chosen, { signal }, async (portion) => {
      const count = await (await writer.queue(flags.queue)).removeMany(portion);
      removed += count;
      gone += portion.length - count;
      lastId = portion.at(-1);
      meter.add(count);
      return count;
    });
  } catch (error) {
    meter.end();
    if (signal.aborted) sayStopped(removed, 'were removed', lastId);
    throw error;
  }
  meter.end();
  say(`removed ${formatCount(removed, 'record')} of ${flags.queue}${gone === 0 ? '' : `; ${gone} were gone by then`}`);
}

/** Opening a queue for writing would make it; those that every store has are there. */
async function requireQueue(dir: string, name: string): Promise<void> {
  if (name === WAL_QUEUE || name === DEAD_LETTERS_QUEUE) return;
  await using store = await ReadOnlyEvaq.open(dir);
  await store.queue(name);
}
