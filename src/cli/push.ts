/**
 * `evaq push`: standard input, record by record, into a queue. Several blocks of input are under way together, so that they
 * share commits, and no more than that, so that memory stays flat however slow the disk is.
 */
import { Command, Option } from 'commander';
import { EvaqError } from '../errors.js';
import { Evaq, type Queue } from '../evaq.js';
import { DEFAULT_QUEUE_OPTIONS } from '../queue/queue-options.js';
import { RecordSplitter } from '../streams/record-splitter.js';
import { parseCount, queueOption } from './arguments.js';
import { say } from './exit-code.js';
import { interruptible } from './interrupt.js';
import { formatCount } from './record-format.js';

interface PushFlags {
  readonly queue: string;
  readonly null: boolean;
  readonly batch: number;
  readonly create: boolean;
}

const NEWLINE_BYTE = 0x0a;
/** Blocks of input (64 KiB from a pipe) whose pushes may be under way together. */
const BLOCKS_MAX = 16;

export function pushCommand(): Command {
  return new Command('push')
    .description('read records from standard input, one a line, and push them; makes the store if there is none')
    .argument('<dir>', 'the store')
    .addOption(queueOption())
    .option('-0, --null', 'records end with a NUL byte instead of a newline', false)
    .addOption(
      new Option('--batch <n>', 'push n records at a time, each batch as a whole').argParser(parseCount).default(1),
    )
    .option('--no-create', 'fail where there is no store')
    .addHelpText('after', '\nExits with 0 when every record is durable. Standard error tells how many, and their IDs.')
    .action((dir: string, flags: PushFlags) => interruptible((signal) => push(dir, flags, signal)));
}

async function push(dir: string, flags: PushFlags, signal: AbortSignal): Promise<void> {
  const evaq = await Evaq.open(dir, { create: flags.create });
  const tally = new Tally();
  try {
    if (evaq.recovery.created) say(`made a new store at ${evaq.path}`);
    const queue = await evaq.queue(flags.queue);
    if (process.stdin.isTTY) say('reading records from the terminal, one a line; Ctrl-D ends');
    await pushInput(queue, flags, tally, signal);
  } finally {
    try {
      await evaq.close();
    } finally {
      say(tally.toString());
    }
  }
  signal.throwIfAborted();
}

function tooLong(limit: number): Error {
  return new EvaqError('EVAQ_RECORD_TOO_LARGE', `a record of more than ${limit} bytes on standard input`, {
    details: { limit },
    hint: 'Records end at a newline, or with --null at a NUL byte.',
  });
}

async function pushInput(queue: Queue, flags: PushFlags, tally: Tally, signal: AbortSignal): Promise<void> {
  const splitter = new RecordSplitter(flags.null ? 0 : NEWLINE_BYTE, DEFAULT_QUEUE_OPTIONS.recordBytesMax, tooLong);
  const pusher = new Pusher(queue, flags.batch, tally);
  const stop = (): void => {
    process.stdin.destroy();
  };
  signal.addEventListener('abort', stop);
  try {
    const input: AsyncIterable<Buffer> = process.stdin;
    for await (const chunk of input) {
      for (const record of splitter.split(chunk)) pusher.add(record);
      await pusher.endOfBlock();
    }
    const rest = splitter.rest();
    if (rest !== undefined) pusher.add(rest);
  } catch (error) {
    // An aborted read rejects; what had been read is pushed all the same.
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
    await pusher.finish();
  }
  if (tally.failed) throw tally.error;
}

/** Pushes in order, with a bounded number of blocks under way. */
export class Pusher {
  readonly #queue: Pick<Queue, 'push' | 'pushMany'>;
  readonly #batchSize: number;
  readonly #tally: Tally;
  #batch: Buffer[] = [];
  #block: Promise<void>[] = [];
  readonly #blocks: Promise<unknown>[] = [];

  constructor(queue: Pick<Queue, 'push' | 'pushMany'>, batchSize: number, tally: Tally) {
    this.#queue = queue;
    this.#batchSize = batchSize;
    this.#tally = tally;
  }

  add(record: Buffer): void {
    if (this.#batchSize === 1) {
      this.#block.push(this.#tally.watch(this.#queue.push(record).then((id) => ({ firstId: id, lastId: id }))));
      return;
    }
    this.#batch.push(record);
    if (this.#batch.length >= this.#batchSize) this.#pushBatch();
  }

  /** Waits while too much is under way. Rejects once a push was rejected: there is no point in reading on. */
  async endOfBlock(): Promise<void> {
    this.#blocks.push(Promise.all(this.#block));
    this.#block = [];
    if (this.#blocks.length > BLOCKS_MAX) await this.#blocks.shift();
    if (this.#tally.failed) throw this.#tally.error;
  }

  async finish(): Promise<void> {
    if (this.#batch.length > 0) this.#pushBatch();
    await Promise.all([...this.#blocks, ...this.#block]);
  }

  #pushBatch(): void {
    const batch = this.#batch;
    this.#batch = [];
    this.#block.push(this.#tally.watch(this.#queue.pushMany(batch)));
  }
}

/** What became durable. */
export class Tally {
  #count = 0;
  #firstId = 0;
  #lastId = 0;
  failed = false;
  error: unknown;

  /** Resolves when the push is settled either way. */
  async watch(push: Promise<{ readonly firstId: number; readonly lastId: number }>): Promise<void> {
    try {
      const { firstId, lastId } = await push;
      if (this.#count === 0) this.#firstId = firstId;
      this.#count += lastId - firstId + 1;
      this.#lastId = Math.max(this.#lastId, lastId);
    } catch (error) {
      if (!this.failed) this.error = error;
      this.failed = true;
    }
  }

  toString(): string {
    if (this.#count === 0) return 'pushed nothing';
    const ids = this.#count === 1 ? `ID ${this.#firstId}` : `IDs ${this.#firstId} to ${this.#lastId}`;
    return `pushed ${formatCount(this.#count, 'record')}, ${ids}`;
  }
}
