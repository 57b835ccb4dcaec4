/** `evaq stats`: what is on disk in numbers: rates, sizes, batches, ages. Reads all of it; takes no lock, writes nothing. */
import { Command, Option } from 'commander';
import { queueDir } from '../layout/store-file.js';
import { walkQueue } from '../raw/record-walk.js';
import { ReadOnlyEvaq } from '../raw.js';
import { nodeVfs } from '../vfs/node-vfs.js';
import { damagedPlaces, queueToRead, sayPassedOver } from './damage-told.js';
import { interruptible } from './interrupt.js';
import { Output } from './output.js';
import { isoTime } from './record-format.js';
import { queuesMeant, queuesOption } from './selection/queue-names.js';
import { rangeOf } from './selection/selected-records.js';
import { isSelected, type SelectionFlags, selectionOf } from './selection/selection.js';
import { addSelection } from './selection/selection-options.js';
import { FiguresCounter, type FiguresPart, type QueueFigures, rateOf } from './stats/queue-figures.js';
import { renderFigures, type StatsBy } from './stats/stats-view.js';
import { terminalWidth } from './terminal-width.js';

interface StatsFlags extends SelectionFlags {
  readonly queue: readonly string[];
  readonly by?: StatsBy;
  readonly json: boolean;
}

export function statsCommand(): Command {
  const command = new Command('stats').argument('<dir>', 'the store').addOption(queuesOption('*'));
  return addSelection(command, { count: 'at most so many records of each queue' })
    .addOption(
      new Option('--by <what>', 'a line for each, instead of histograms').choices(['minute', 'segment', 'queue']),
    )
    .option('--json', 'as JSON', false)
    .addHelpText(
      'after',
      '\nReads the whole store, unless a selection says less.\n\nExamples:\n  evaq stats ./orders -q wal --since 1h\n  evaq stats ./orders --by minute',
    )
    .action((dir: string, flags: StatsFlags) => interruptible((signal) => stats(dir, flags, signal)));
}

async function stats(dir: string, flags: StatsFlags, signal: AbortSignal): Promise<void> {
  const selection = selectionOf(flags);
  await using store = await ReadOnlyEvaq.open(dir);
  const storeUuid = Buffer.from(store.uuid.replaceAll('-', ''), 'hex');
  const gathered: QueueFigures[] = [];
  let damaged = 0;
  for (const queue of queuesMeant(flags.queue, await store.queueNames())) {
    const reader = await queueToRead(store, queue);
    const { first, last } = await rangeOf(reader, selection);
    let left = selection.count;
    const counter = new FiguresCounter(queue, Date.now(), (record) => {
      return record.id >= first && record.id <= last && isSelected(record, selection) && left-- > 0;
    });
    await walkQueue({ vfs: nodeVfs, dir: queueDir(store.path, queue), queue, storeUuid }, counter, signal);
    const figures = counter.result();
    gathered.push(figures);
    damaged += Math.max(figures.damagedPlaces, await damagedPlaces(reader));
  }
  const out = new Output();
  await out.line(flags.json ? toJson(gathered, flags.by) : renderFigures(gathered, flags.by, terminalWidth()));
  await out.flush();
  sayPassedOver(damaged);
}

/** Version 1 of this layout. */
function toJson(gathered: readonly QueueFigures[], by: StatsBy | undefined): string {
  const queues = gathered.map(({ queue, total, sizes, batches, ages, minutes, segments }) => ({
    queue,
    ...(total === undefined ? { records: 0, live: 0 } : partToJson(total)),
    payloadBytesOfRecords: sizes,
    recordsOfCommits: batches,
    ageMsOfLive: ages,
    ...(by === 'minute' ? { minutes: minutes.map(partToJson) } : {}),
    ...(by === 'segment' ? { segments: segments.map(partToJson) } : {}),
  }));
  return JSON.stringify({ v: 1, queues }, null, 2);
}

function partToJson(part: FiguresPart): object {
  const { records, live, payloadBytes, firstId, lastId, fromMs, toMs } = part;
  return {
    records,
    live,
    payloadBytes,
    firstId,
    lastId,
    from: isoTime(fromMs),
    to: isoTime(toMs),
    ratePerSecond: rateOf(part),
  };
}
