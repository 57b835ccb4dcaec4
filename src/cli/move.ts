/** `evaq move`: records from one queue to another, each once. Says what it would do; with --yes it does it. */
import { Command, Option } from 'commander';
import { ReadOnlyEvaq } from '../raw.js';
import { parseIds, parseQueue } from './arguments.js';
import { queueToRead } from './damage-told.js';
import { notThere } from './dead-letters/letters.js';
import { openExisting } from './existing-store.js';
import { say, UsageError } from './exit-code.js';
import { interruptible } from './interrupt.js';
import { addMove, isMeant, MoveBar, type MoveFlags, sayNothingChanged } from './planned-move.js';
import { formatCount } from './record-format.js';
import type { Position } from './selection/position.js';
import { selectedRecords } from './selection/selected-records.js';
import { type SelectionFlags, selectionOf } from './selection/selection.js';
import { addSelection } from './selection/selection-options.js';

interface MoveCommandFlags extends MoveFlags, Omit<SelectionFlags, 'from' | 'to'> {
  readonly from: string;
  readonly to: string;
  readonly first?: Position;
  readonly last?: Position;
  readonly all: boolean;
}

export function moveCommand(): Command {
  const command = new Command('move')
    .argument('<dir>', 'the store')
    .argument('[id...]', 'the IDs of the records', parseIds)
    .addOption(new Option('--from <queue>', 'where they are').argParser(parseQueue).makeOptionMandatory())
    .addOption(
      new Option('--to <queue>', 'where they go; it must be there').argParser(parseQueue).makeOptionMandatory(),
    );
  addPlaces(command);
  return addMove(command)
    .option('--all', 'every record of the queue', false)
    .addHelpText(
      'after',
      '\nThey keep payload, headers and history, and get new IDs. Does it with --yes, which opens the store for writing.\n\nExamples:\n  evaq move ./orders 17 18 --from jobs --to later --yes\n  evaq move ./orders --from jobs --to slow --header kind=report --rate 100 --yes',
    )
    .action((dir: string, ids: number[] | undefined, flags: MoveCommandFlags) =>
      interruptible((signal) => move(dir, ids ?? [], flags, signal)),
    );
}

/** The options of a selection; where it begins and ends has other names here. */
function addPlaces(command: Command): void {
  const renamed: Readonly<Record<string, string>> = { '--from': '--first', '--to': '--last' };
  for (const option of addSelection(new Command()).options) {
    const long = renamed[option.long ?? ''];
    if (long === undefined) {
      command.addOption(option);
      continue;
    }
    const other = new Option(`${long} <pos>`, option.description);
    if (option.parseArg !== undefined) other.argParser(option.parseArg);
    command.addOption(other);
  }
}

async function move(dir: string, ids: readonly number[], flags: MoveCommandFlags, signal: AbortSignal): Promise<void> {
  const { from, to, rate } = flags;
  if (from === to) throw new UsageError(`--from and --to are the same queue, ${from}`);
  const chosen = await planOf(dir, ids, flags, signal);
  if (!isMeant(flags, `move to ${to}`, from, chosen)) {
    sayNothingChanged();
    return;
  }
  await using evaq = await openExisting(dir, { signal });
  const bar = new MoveBar(chosen.length);
  let done = 0;
  try {
    const { moved, gone } = await evaq.move(from, chosen, to, {
      signal,
      ...(rate === undefined ? {} : { ratePerSecond: rate }),
      onProgress: (progress) => {
        done = progress.moved;
        bar.show(done);
      },
    });
    bar.stop();
    say(
      `moved ${formatCount(moved, 'record')} from ${from} to ${to}${gone === 0 ? '' : `; ${gone} were gone by then`}`,
    );
  } catch (error) {
    bar.stop();
    if (signal.aborted) say(`stopped: ${formatCount(done, 'record')} had moved`);
    throw error;
  }
}

async function planOf(
  dir: string,
  ids: readonly number[],
  flags: MoveCommandFlags,
  signal: AbortSignal,
): Promise<number[]> {
  const { from, to, first, last, all, limit = Infinity, ...rest } = flags;
  const selection = selectionOf({
    ...rest,
    ...(first === undefined ? {} : { from: first }),
    ...(last === undefined ? {} : { to: last }),
  });
  const { since, until, grep, header, reason, count } = rest;
  const isSelected = [first, last, since, until, grep, header, reason, count].some((one) => one !== undefined);
  if ([ids.length > 0, isSelected, all].filter(Boolean).length !== 1)
    throw new UsageError('say which records: their IDs, a selection, or --all, and one of these');
  await using store = await ReadOnlyEvaq.open(dir);
  await store.queue(to);
  const queue = await queueToRead(store, from);
  const chosen: number[] = [];
  if (ids.length > 0) {
    for (const id of new Set(ids)) if ((await queue.get(id)) === undefined) throw notThere(from, id);
    chosen.push(...new Set(ids));
  } else {
    for await (const { id } of selectedRecords(queue, selection, signal)) {
      if (chosen.length >= limit) break;
      chosen.push(id);
    }
  }
  return chosen.slice(0, limit);
}
