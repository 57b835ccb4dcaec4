/** `evaq move`: records from one queue to another, each once. Says what it would do; with --yes it does it. */
import { Command, Option } from 'commander';
import { ReadOnlyEvaq } from '../raw.js';
import { parseIds, parseQueue } from './arguments.js';
import { queueToRead } from './damage-told.js';
import { notThere } from './dead-letters/letters.js';
import { say, UsageError } from './exit-code.js';
import { interruptible } from './interrupt.js';
import { Meter } from './meter.js';
import { addMove, isMeant, type MoveFlags, sayNothingChanged, sayPlan, sayStopped, tallyOf } from './planned-move.js';
import { inPortions, iterated, LateWriter } from './portions.js';
import { formatCount } from './record-format.js';
import type { Position } from './selection/position.js';
import { idsOf } from './selection/selected-records.js';
import { type Selection, type SelectionFlags, selectionOf } from './selection/selection.js';
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
  const { from, to, rate, limit } = flags;
  if (from === to) throw new UsageError(`--from and --to are the same queue, ${from}`);
  const selection = requireChoice(ids, flags);
  await using store = await ReadOnlyEvaq.open(dir);
  await store.queue(to);
  const queue = await queueToRead(store, from);
  const named = [...new Set(ids)].sort((a, b) => a - b);
  for (const id of named) if ((await queue.get(id)) === undefined) throw notThere(from, id);
  const chosen = named.length > 0 ? iterated(named) : idsOf(queue, selection, signal);
  if (!isMeant(flags)) {
    sayPlan(`move to ${to}`, from, await tallyOf(chosen, limit));
    sayNothingChanged();
    return;
  }
  await using writer = new LateWriter(dir, signal);
  const meter = new Meter('moved');
  let [done, gone] = [0, 0];
  let lastId: number | undefined;
  const bounds = { signal, ...(rate === undefined ? {} : { rate }), ...(limit === undefined ? {} : { limit }) };
  try {
    await inPortions(chosen, bounds, async (portion) => {
      const evaq = await writer.store();
      const result = await evaq.move(from, portion, to, {
        signal,
        onProgress: ({ batch }) => {
          done += batch.length;
          lastId = batch.at(-1)?.id ?? lastId;
          meter.add(batch.length);
        },
      });
      gone += result.gone;
      return result.moved;
    });
  } catch (error) {
    if (signal.aborted) await writer.close();
    meter.end();
    if (signal.aborted) sayStopped(done, 'had moved', lastId);
    throw error;
  }
  meter.end();
  say(`moved ${formatCount(done, 'record')} from ${from} to ${to}${gone === 0 ? '' : `; ${gone} were gone by then`}`);
}

/** @throws UsageError unless it is said in one way which records are meant */
function requireChoice(ids: readonly number[], flags: MoveCommandFlags): Selection {
  const { from: _, to: __, first, last, all, ...rest } = flags;
  const { since, until, grep, header, reason, count } = rest;
  const isSelected = [first, last, since, until, grep, header, reason, count].some((one) => one !== undefined);
  if ([ids.length > 0, isSelected, all].filter(Boolean).length !== 1)
    throw new UsageError('say which records: their IDs, a selection, or --all, and one of these');
  return selectionOf({
    ...rest,
    ...(first === undefined ? {} : { from: first }),
    ...(last === undefined ? {} : { to: last }),
  });
}
