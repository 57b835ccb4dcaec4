/**
 * `evaq tail`: the last records, and with `-f` those that come, across rolled segments, GC, a writer's death and the next writer. Takes no lock, writes
 * nothing.
 */
import { join } from 'node:path';
import { Command } from 'commander';
import { QUEUES_DIR, queueDir } from '../layout/store-file.js';
import type { QueueRecord } from '../log/queue-record.js';
import { FolderWatch } from '../raw/folder-watch.js';
import { ReadOnlyEvaq, type ReadOnlyQueue } from '../raw.js';
import { nodeVfs } from '../vfs/node-vfs.js';
import { damagedPlaces, queueToRead, sayPassedOver } from './damage-told.js';
import { say } from './exit-code.js';
import { interruptible } from './interrupt.js';
import { addOutput, type OutputFlags, RecordPrinter } from './records/record-printer.js';
import { queuesMeant, queuesOption } from './selection/queue-names.js';
import { rangeOf, rangesOf } from './selection/selected-records.js';
import { hasTimes, isSelected, type Selection, type SelectionFlags, selectionOf } from './selection/selection.js';
import { addSelection } from './selection/selection-options.js';
import { lastRecords } from './tail/last-records.js';
import { mergedRecords, type RecordSource } from './tail/merged-records.js';
import { QuietFolders } from './tail/quiet-folders.js';

interface TailFlags extends SelectionFlags, OutputFlags {
  readonly queue: readonly string[];
  readonly follow: boolean;
  readonly skipDamaged: boolean;
}

const COUNT_DEFAULT = 10;
/** Between two looks at a store that is being written, and where the system tells nothing. */
const POLL_MS = 100;
const BATCH = { maxBytes: 1024 * 1024, maxRecords: 8192 };

export function tailCommand(): Command {
  const command = new Command('tail')
    .argument('<dir>', 'the store')
    .addOption(queuesOption())
    .option('-f, --follow', 'go on with what comes, until Ctrl-C', false);
  return addOutput(
    addSelection(command, { count: `the last so many records that are selected (default: ${COUNT_DEFAULT})` }),
  )
    .option('--skip-damaged', 'go on behind records that are damaged; exits with 3 all the same', false)
    .addHelpText(
      'after',
      "\nExamples:\n  evaq tail ./orders -n 3 --format '%i %t %p'\n  evaq tail ./orders -f -q '*' -g error --format '%t %q %p'",
    )
    .action((dir: string, flags: TailFlags) => interruptible((signal) => tail(dir, flags, signal)));
}

async function tail(dir: string, flags: TailFlags, signal: AbortSignal): Promise<void> {
  const printer = new RecordPrinter(flags);
  const selection = selectionOf(flags);
  // Who says from where on wants all of it, unless he says how many.
  const isWhole = flags.count === undefined && (flags.from !== undefined || flags.since !== undefined);
  const count = isWhole ? 0 : (flags.count ?? COUNT_DEFAULT);
  await using store = await ReadOnlyEvaq.open(dir, { onCorruption: flags.skipDamaged ? 'quarantine' : 'fail' });
  const followed = new Map<string, Follower>();
  for (const name of queuesMeant(flags.queue, await store.queueNames())) {
    followed.set(name, await Follower.begin(await queueToRead(store, name), selection, count));
  }
  await printLast([...followed.values()], count, printer);
  if (!flags.follow) {
    if (isWhole) await printNew([...followed.values()], selection, printer, signal);
    else for (const follower of followed.values()) await follower.requireEnd();
    if (flags.skipDamaged) for (const { from } of followed.values()) sayPassedOver(await damagedPlaces(from));
    return signal.throwIfAborted();
  }
  await follow(store, flags, selection, followed, printer, signal);
  if (!signal.aborted) return;
  for (const { queue, seenId } of followed.values()) say(`stopped behind ID ${seenId} of queue '${queue}'`);
  signal.throwIfAborted();
}

/** Until nothing more can come, or the program is asked to end. */
async function follow(
  store: ReadOnlyEvaq,
  flags: TailFlags,
  selection: Selection,
  followed: Map<string, Follower>,
  printer: RecordPrinter,
  signal: AbortSignal,
): Promise<void> {
  const quiet = new QuietFolders(store.path);
  const watch = new FolderWatch({ vfs: nodeVfs, timer, elapsed: () => performance.now(), pollMs: POLL_MS });
  const folderOf = (name: string): string => queueDir(store.path, name);
  // A queue is named in the one and made in the other.
  const ofNames = hasPattern(flags) ? [store.path, join(store.path, QUEUES_DIR)] : [];
  try {
    for (;;) {
      const before = followed.size;
      await findNew(store, flags, selection, followed);
      const names = [...followed.keys()];
      const folders = [...ofNames, ...names.map(folderOf)];
      const told = watch.looking(folders);
      const stirring = new Set(quiet.stirring(names));
      const sources = [...followed.values()].filter(({ queue }) => stirring.has(queue) || told.has(folderOf(queue)));
      let hasFound = followed.size > before;
      await printNew(sources, selection, printer, signal, (queue, id) => {
        hasFound = true;
        followed.get(queue)?.note(id);
      });
      if (signal.aborted || [...followed.values()].every(({ isDone }) => isDone)) return;
      await watch.wait(folders, hasFound, signal);
    }
  } finally {
    watch.close();
  }
}

function timer(ms: number, action: () => void): () => void {
  const timeout = setTimeout(action, ms);
  return () => clearTimeout(timeout);
}

function hasPattern({ queue }: TailFlags): boolean {
  return queue.some((name) => name.includes('*'));
}

/** What has come since, of all of them by time. */
async function printNew(
  sources: readonly RecordSource[],
  selection: Selection,
  printer: RecordPrinter,
  signal: AbortSignal,
  seen: (queue: string, id: number) => void = () => undefined,
): Promise<void> {
  for await (const { queue, record } of mergedRecords(sources)) {
    if (signal.aborted) break;
    seen(queue, record.id);
    if (!isSelected(record, selection)) continue;
    const full = printer.print({ record, queue });
    if (full !== undefined) await full;
  }
  await printer.flush();
}

/** The last of all of them together, by time. */
async function printLast(followers: readonly Follower[], count: number, printer: RecordPrinter): Promise<void> {
  const merged: { readonly queue: string; readonly record: QueueRecord }[] = [];
  const sources = followers.map(({ queue, takeLast }): RecordSource => ({ queue, read: takeLast }));
  for await (const one of mergedRecords(sources)) merged.push(one);
  for (const one of merged.slice(-count)) await printer.print(one);
  await printer.flush();
}

/** Queues that are meant by a pattern and have been made meanwhile: all that they hold has come. */
async function findNew(
  store: ReadOnlyEvaq,
  flags: TailFlags,
  selection: Selection,
  followed: Map<string, Follower>,
): Promise<void> {
  if (!hasPattern(flags)) return;
  for (const name of queuesMeant(flags.queue, await store.queueNames())) {
    if (!followed.has(name)) followed.set(name, await Follower.begin(await store.queue(name), selection, 0));
  }
}

class Follower implements RecordSource {
  readonly from: ReadOnlyQueue;
  readonly #to: number;
  #last: readonly QueueRecord[];
  #nextId: number;
  /** Up to here all has been shown that is selected. */
  seenId: number;

  private constructor(from: ReadOnlyQueue, last: readonly QueueRecord[], nextId: number, to: number) {
    this.from = from;
    this.#last = last;
    this.#nextId = nextId;
    this.seenId = nextId - 1;
    this.#to = to;
  }

  /** Begins behind the last `count` records; with `count` 0 in front of all that are selected. */
  static async begin(queue: ReadOnlyQueue, selection: Selection, count: number): Promise<Follower> {
    const { first, last: to } = await rangeOf(queue, selection);
    const end = count === 0 ? undefined : await queue.idFromEnd(1);
    if (end === undefined) {
      const ranges = hasTimes(selection) ? await rangesOf(queue, selection) : [];
      return new Follower(queue, [], Math.max(first, ranges[0]?.first ?? 0, 1), to);
    }
    return new Follower(queue, await lastRecords(queue, selection, count, end), Math.max(first, end + 1), to);
  }

  get queue(): string {
    return this.from.name;
  }

  /** Nothing that is selected can come any more. */
  get isDone(): boolean {
    return this.#nextId > this.#to;
  }

  note(id: number): void {
    this.seenId = id;
  }

  /** @throws EVAQ_CORRUPT where records behind those that were shown are lost, or all there were: an answer that is short, or empty, would be none */
  async requireEnd(): Promise<void> {
    if (!this.isDone) await this.from.records({ from: this.#nextId, to: this.#to }).next();
  }

  readonly takeLast = (): Promise<readonly QueueRecord[]> => {
    const last = this.#last;
    this.#last = [];
    return Promise.resolve(last);
  };

  readonly read = async (): Promise<readonly QueueRecord[]> => {
    if (this.isDone) return [];
    const records = await this.from.read({ from: this.#nextId, ...BATCH });
    this.#nextId = (records.at(-1)?.id ?? this.#nextId - 1) + 1;
    return this.isDone ? records.filter(({ id }) => id <= this.#to) : records;
  };
}
