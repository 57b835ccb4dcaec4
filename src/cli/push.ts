/**
 * `evaq push`: standard input, record by record, into a queue. Several blocks of input are under way together, so that they
 * share commits, and no more than that, so that memory stays flat however slow the disk is.
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import { EvaqError } from '../errors.js';
import { Evaq, type PushEntry, type Queue } from '../evaq.js';
import { DEFAULT_QUEUE_OPTIONS } from '../queue/queue-options.js';
import { RecordSplitter } from '../streams/record-splitter.js';
import { parseCount, queueOption } from './arguments.js';
import { say, UsageError } from './exit-code.js';
import { standardInput } from './input.js';
import { interruptible } from './interrupt.js';
import { Meter } from './meter.js';
import { formatCount } from './record-format.js';
import { JSON_LINE_BYTES_MAX, parseRecordLine } from './records/record-from-json.js';

interface PushFlags {
  readonly queue: string;
  readonly null: boolean;
  readonly batch: number;
  readonly create: boolean;
  readonly json: boolean;
  readonly header: readonly (readonly [string, string])[];
}

const NEWLINE_BYTE = 0x0a;
/** Blocks of input (64 KiB from a pipe) whose pushes may be under way together. */
const BLOCKS_MAX = 16;

export function pushCommand(): Command {
  return new Command('push')
    .argument('<dir>', 'the store')
    .addOption(queueOption())
    .option('-0, --null', 'records end with a NUL byte instead of a newline', false)
    .addOption(
      new Option('--batch <n>', 'push n records at a time, each batch as a whole').argParser(parseCount).default(1),
    )
    .option('--json', 'each line is a record as cat -o json prints it: {"payload": …, "headers": {…}}', false)
    .addOption(
      new Option('-H, --header <name=value>', 'a header of every record; may be repeated')
        .argParser(parseHeader)
        .default([]),
    )
    .option('--no-create', 'fail where there is no store')
    .addHelpText(
      'after',
      '\nExits with 0 when every record is durable. Standard error tells how many, and their IDs.\n\nExamples:\n  tail -F app.log | evaq push ./logs -H host=web-1\n  evaq cat ./orders --json -g failed | evaq push ./again --json',
    )
    .action((dir: string, flags: PushFlags) => interruptible((signal) => push(dir, flags, signal)));
}

function parseHeader(text: string, before: readonly (readonly [string, string])[]): (readonly [string, string])[] {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It is NAME=VALUE.');
  return [...before, [text.slice(0, at), text.slice(at + 1)]];
}

async function push(dir: string, flags: PushFlags, signal: AbortSignal): Promise<void> {
  if (flags.json && flags.null) throw new UsageError('--json takes lines: leave out --null');
  const input = standardInput();
  const evaq = await Evaq.open(dir, { create: flags.create });
  // Who types sees what he has typed.
  const meter = process.stdin.isTTY ? undefined : new Meter('pushed');
  const tally = new Tally(meter);
  try {
    if (evaq.recovery.created) say(`made a new store at ${evaq.path}`);
    const queue = await evaq.queue(flags.queue);
    if (process.stdin.isTTY) say('reading records from the terminal, one a line; Ctrl-D ends');
    await pushInput(input, queue, flags, tally, signal);
  } finally {
    try {
      await evaq.close();
    } finally {
      meter?.end();
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

async function pushInput(
  input: AsyncIterable<Buffer>,
  queue: Queue,
  flags: PushFlags,
  tally: Tally,
  signal: AbortSignal,
): Promise<void> {
  const limit = flags.json ? JSON_LINE_BYTES_MAX : DEFAULT_QUEUE_OPTIONS.recordBytesMax;
  const splitter = new RecordSplitter(flags.null ? 0 : NEWLINE_BYTE, limit, tooLong);
  const pusher = new Pusher(queue, flags.batch, tally);
  const reading = entryReader(flags);
  const add = (record: Buffer): void => {
    const entry = reading(record);
    if (entry !== undefined) pusher.add(entry);
  };
  const stop = (): void => {
    process.stdin.destroy();
  };
  signal.addEventListener('abort', stop);
  try {
    for await (const chunk of input) {
      for (const record of splitter.split(chunk)) add(record);
      await pusher.endOfBlock();
    }
    const rest = splitter.rest();
    if (rest !== undefined) add(rest);
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

/** What is pushed for a record of the input; `undefined`: nothing, it is the first or last line of an export. */
function entryReader({ json, header }: PushFlags): (record: Buffer) => Buffer | PushEntry | undefined {
  const headers = Object.fromEntries(header);
  if (!json) return header.length === 0 ? (record) => record : (payload) => ({ payload, headers });
  let line = 0;
  return (record) => {
    line++;
    const parsed = parseRecordLine(record);
    if (parsed.kind === 'wrong') throw new UsageError(`line ${line} of the input: ${parsed.why}`);
    if (parsed.kind !== 'record') return undefined;
    const { payload, headers: own, dueMs } = parsed.record;
    const all = { ...headers, ...own };
    return {
      payload,
      ...(Object.keys(all).length === 0 ? {} : { headers: all }),
      ...(dueMs === undefined ? {} : { deliverAt: dueMs }),
    };
  };
}

/** Pushes in order, with a bounded number of blocks under way. */
export class Pusher {
  readonly #queue: Pick<Queue, 'push' | 'pushMany'>;
  readonly #batchSize: number;
  readonly #tally: Tally;
  #batch: (Buffer | PushEntry)[] = [];
  #block: Promise<void>[] = [];
  readonly #blocks: Promise<unknown>[] = [];

  constructor(queue: Pick<Queue, 'push' | 'pushMany'>, batchSize: number, tally: Tally) {
    this.#queue = queue;
    this.#batchSize = batchSize;
    this.#tally = tally;
  }

  add(record: Buffer | PushEntry): void {
    if (this.#batchSize === 1) {
      const pushed = 'payload' in record ? this.#queue.pushMany([record]) : this.#queue.push(record);
      const span = pushed.then((one) => (typeof one === 'number' ? { firstId: one, lastId: one } : one));
      this.#block.push(this.#tally.watch(span));
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
  readonly #meter: Meter | undefined;

  constructor(meter?: Meter) {
    this.#meter = meter;
  }

  /** Resolves when the push is settled either way. */
  async watch(push: Promise<{ readonly firstId: number; readonly lastId: number }>): Promise<void> {
    try {
      const { firstId, lastId } = await push;
      if (this.#count === 0) this.#firstId = firstId;
      this.#count += lastId - firstId + 1;
      this.#lastId = Math.max(this.#lastId, lastId);
      this.#meter?.add(lastId - firstId + 1);
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
