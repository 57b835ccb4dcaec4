/** `evaq cat`: the records of a queue, or of segment files by themselves, to standard output. Takes no lock, writes nothing. */
import { Command } from 'commander';
import { EvaqError, type PackedPayloads, RawSegment, ReadOnlyEvaq } from '../raw.js';
import { damagedPlaces, queueToRead, sayPassedOver } from './damage-told.js';
import { say, UsageError } from './exit-code.js';
import { interruptible } from './interrupt.js';
import { isSpare, type PathKind, pathKind } from './path-kind.js';
import { formatCount } from './record-format.js';
import { addOutput, type OutputFlags, RecordPrinter } from './records/record-printer.js';
import type { ShownRecord } from './records/shown-record.js';
import { isReplicated, openReplicated, selectableOf } from './replicated-store.js';
import { queuesMeant, queuesOption } from './selection/queue-names.js';
import { segmentRange } from './selection/segment-range.js';
import { selectedPayloads } from './selection/selected-payloads.js';
import { type SelectedFrom, selectedBatches } from './selection/selected-records.js';
import { isSelected, type Selection, type SelectionFlags, selectionOf } from './selection/selection.js';
import { addSelection } from './selection/selection-options.js';

interface CatFlags extends SelectionFlags, OutputFlags {
  readonly queue: readonly string[];
  readonly skipDamaged: boolean;
}

export function catCommand(): Command {
  const command = new Command('cat')
    .argument('<path...>', 'stores, queue folders, segment files, quarantine/, nats://HOST/STORE')
    .addOption(queuesOption());
  return addOutput(addSelection(command))
    .option('--skip-damaged', 'go on behind records that are damaged; exits with 3 all the same', false)
    .addHelpText(
      'after',
      "\nSeveral queues come one after the other.\n\nExamples:\n  evaq cat ./orders --since 15m -g 'total: [0-9]{4}'\n  evaq cat ./orders -q '*' --format '%i %t %q %h{content-type} %p'",
    )
    .action((paths: string[], flags: CatFlags) => interruptible((signal) => cat(paths, flags, signal)));
}

async function cat(paths: readonly string[], flags: CatFlags, signal: AbortSignal): Promise<void> {
  const printer = new LimitedPrinter(flags, signal);
  try {
    for (const path of paths) {
      if (printer.isDone) break;
      await catPath(path, flags, printer);
    }
  } finally {
    await printer.flush();
  }
  if (signal.aborted) say(`stopped behind ${printer.place ?? 'nothing'}`);
  signal.throwIfAborted();
  sayPassedOver(printer.damaged);
}

/** Prints no more than was asked for, over all paths and queues, and nothing more once the program is asked to end. */
class LimitedPrinter {
  readonly #printer: RecordPrinter;
  /** Without the bound, which is kept here. */
  readonly selection: Selection;
  readonly #signal: AbortSignal;
  #left: number;
  #lastId: number | undefined;
  #lastQueue: string | undefined;
  damaged = 0;

  constructor(flags: CatFlags, signal: AbortSignal) {
    this.#signal = signal;
    this.#printer = new RecordPrinter(flags);
    const { count, ...rest } = selectionOf(flags);
    this.#left = count;
    this.selection = Object.assign(rest, { count: Infinity });
  }

  get isDone(): boolean {
    return this.#left <= 0 || this.#signal.aborted;
  }

  get isBounded(): boolean {
    return this.#left !== Infinity;
  }

  /** The last record, for people. */
  get place(): string | undefined {
    if (this.#lastId === undefined) return undefined;
    return `ID ${this.#lastId}${this.#lastQueue === undefined ? '' : ` of queue '${this.#lastQueue}'`}`;
  }

  /** To be awaited where it returns something. */
  print(shown: ShownRecord): Promise<void> | undefined {
    this.#left--;
    this.#lastId = shown.record.id;
    this.#lastQueue = shown.queue;
    return this.#printer.print(shown);
  }

  /** See `RecordPrinter.behind`. */
  get behind(): Buffer | undefined {
    return this.#printer.behind;
  }

  /** Payloads of a queue, without a bound on their number. Resolves when the buffer that they are in may be used again. */
  async printPacked({ bytes, lastId }: PackedPayloads, queue: string): Promise<void> {
    this.#lastId = lastId;
    this.#lastQueue = queue;
    await this.#printer.printPacked(bytes);
  }

  flush(): Promise<void> {
    return this.#printer.flush();
  }
}

async function catPath(path: string, flags: CatFlags, printer: LimitedPrinter): Promise<void> {
  if (isReplicated(path)) return catReplicated(path, flags, printer);
  const found = pathKind(path);
  switch (found.kind) {
    case 'queue':
      say(`${path} is queue '${found.queue}' of the store ${found.store}`);
      return catStore(found.store, [found.queue], flags, printer);
    case 'files':
      return catFiles(path, found, flags, printer);
    case 'segment':
      if (isSpare(path)) return say(`${path} is a spare file: nothing is in it`);
      if (found.what !== undefined) say(`${path} is ${found.what}`);
      return catSegment(path, flags, printer);
    case 'other-file':
      return catSegment(path, flags, printer);
    case 'store':
    case 'none':
      return catStore(path, flags.queue, flags, printer);
    default:
      throw new UsageError(`${path} is ${found.what}; evaq inspect shows what is in it`);
  }
}

async function catStore(
  path: string,
  wanted: readonly string[],
  flags: CatFlags,
  printer: LimitedPrinter,
): Promise<void> {
  await using store = await ReadOnlyEvaq.open(path, { onCorruption: flags.skipDamaged ? 'quarantine' : 'fail' });
  for (const name of queuesMeant(wanted, await store.queueNames())) {
    const queue = await queueToRead(store, name);
    await printAll(queue, name, printer);
    if (flags.skipDamaged) printer.damaged += await damagedPlaces(queue);
    if (printer.isDone) return;
  }
}

async function catReplicated(url: string, flags: CatFlags, printer: LimitedPrinter): Promise<void> {
  await using store = await openReplicated(url);
  for (const name of queuesMeant(flags.queue, await store.queueNames())) {
    await printAll(selectableOf(await store.queue(name)), name, printer);
    if (printer.isDone) return;
  }
}

async function printAll(queue: SelectedFrom, name: string, printer: LimitedPrinter): Promise<void> {
  const { behind, selection } = printer;
  const packed = behind === undefined || printer.isBounded ? undefined : selectedPayloads(queue, selection, behind);
  if (packed !== undefined) {
    for await (const some of packed) {
      await printer.printPacked(some, name);
      if (printer.isDone) return;
    }
    return;
  }
  for await (const batch of selectedBatches(queue, selection)) {
    for (const record of batch) {
      const full = printer.print({ record, queue: name });
      if (full !== undefined) await full;
      if (printer.isDone) return;
    }
  }
}

async function catFiles(
  path: string,
  { what, files }: Extract<PathKind, { kind: 'files' }>,
  flags: CatFlags,
  printer: LimitedPrinter,
): Promise<void> {
  say(`${path} holds ${what}: ${formatCount(files.length, 'segment file')}`);
  for (const file of files) {
    if (printer.isDone) return;
    if (!isSpare(file)) await catSegment(file, flags, printer);
  }
}

async function catSegment(path: string, flags: CatFlags, printer: LimitedPrinter): Promise<void> {
  await using segment = await RawSegment.open(path);
  const { selection } = printer;
  const { first, last } = await segmentRange(segment, selection);
  // Behind the last good commit of an unsealed file there may be a torn tail, or leftovers: only a good one after a bad one makes it damage.
  let bad: EvaqError | undefined;
  // A commit that was begun.
  let tornAt: number | undefined;
  for await (const entry of segment.records()) {
    if (!entry.valid) {
      const { offset, bytes, headerIntact } = entry.damage;
      if (headerIntact) tornAt ??= offset;
      bad ??= damagedAt(segment.path, offset, bytes);
      if (segment.footer === undefined) continue;
    }
    if (bad !== undefined) {
      if (!flags.skipDamaged) throw bad;
      printer.damaged++;
      bad = tornAt = undefined;
    }
    if (!entry.valid || entry.record.id < first) continue;
    if (entry.record.id > last || printer.isDone) return;
    if (!isSelected(entry.record, selection)) continue;
    const full = printer.print({ record: entry.record, offset: entry.record.offset });
    if (full !== undefined) await full;
    if (printer.isDone) return;
  }
  if (tornAt !== undefined)
    say(`${path} ends in a commit that is not whole, at offset ${tornAt}: torn, or damaged; evaq inspect shows it`);
}

function damagedAt(path: string, offset: number, bytes: number): EvaqError {
  return new EvaqError('EVAQ_CORRUPT', `${path} is damaged at offset ${offset}, ${formatCount(bytes, 'byte')}`, {
    details: { path, offset, bytes },
    hint: 'Use --skip-damaged to go on behind it.',
  });
}
