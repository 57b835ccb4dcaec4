/** `evaq import`: an export back into a new store, each record with its ID, its time and all that it had; or, renumbered, into one that there is. */
import { existsSync } from 'node:fs';
import { Command, Option } from 'commander';
import { EvaqError } from '../errors.js';
import { Evaq, type PushEntry } from '../evaq.js';
import type { RecordMeta } from '../frame/metadata.js';
import { storePathOf } from '../layout/store-path.js';
import { ForeignRecordError, StoreImport } from '../store/store-import.js';
import { RecordSplitter } from '../streams/record-splitter.js';
import { Refused, say, UsageError } from './exit-code.js';
import { standardInput } from './input.js';
import { interruptible } from './interrupt.js';
import { Meter } from './meter.js';
import { formatCount } from './record-format.js';
import {
  JSON_LINE_BYTES_MAX,
  type ParsedLine,
  type ParsedRecord,
  parseRecordLine,
} from './records/record-from-json.js';

interface ImportFlags {
  readonly renumber: boolean;
  readonly truncated: boolean;
}

const NEWLINE_BYTE = 0x0a;
const BATCH_RECORDS = 1000;
const BATCH_BYTES = 1024 * 1024;

export function importCommand(): Command {
  return new Command('import')
    .argument('<dir>', 'where the store is to be; there is nothing yet')
    .addOption(
      new Option(
        '--renumber',
        'push into a store that there may be: with new IDs and times, payload and headers alone',
      ).default(false),
    )
    .option('--truncated', 'take an export without its last line: whatever there is of it', false)
    .addHelpText(
      'after',
      '\nExamples:\n  evaq import ./copy < orders.ndjson\n  evaq export ./orders --since 1h | evaq import ./orders-2 --renumber',
    )
    .action((dir: string, flags: ImportFlags) => interruptible((signal) => importStore(dir, flags, signal)));
}

async function importStore(dir: string, flags: ImportFlags, signal: AbortSignal): Promise<void> {
  const path = storePathOf(dir);
  const meter = new Meter('imported');
  const target: Target = flags.renumber ? new PushTarget(path) : new NewStoreTarget(path);
  let isWhole = false;
  try {
    isWhole = await readInto(target, meter, flags.truncated, signal);
    if (!isWhole && !flags.truncated) {
      throw new Refused('the export has no last line: it was cut off. Take what there is with --truncated');
    }
    const records = await target.finish();
    meter.end();
    say(`imported ${formatCount(records, 'record')}`);
  } catch (error) {
    meter.end();
    const left = await target.abandon();
    if (left !== undefined) say(left);
    throw error;
  }
}

/** False: the input ended before the export did. */
async function readInto(target: Target, meter: Meter, isCut: boolean, signal: AbortSignal): Promise<boolean> {
  const splitter = new RecordSplitter(NEWLINE_BYTE, JSON_LINE_BYTES_MAX, tooLong);
  let line = 0;
  let records = 0;
  let isWhole = false;
  const take = (text: Buffer): Promise<void> | undefined => {
    line++;
    const parsed = parseRecordLine(text);
    if (parsed.kind === 'wrong') throw new UsageError(`line ${line} of the input: ${parsed.why}`);
    if (isWhole) throw new UsageError(`line ${line} of the input stands behind the end of the export`);
    if (line === 1) return target.begin(parsed);
    if (parsed.kind === 'head') throw new UsageError(`line ${line} of the input begins another export`);
    if (parsed.kind === 'end') {
      if (parsed.records !== records) {
        throw new UsageError(`the export had ${formatCount(parsed.records, 'record')}, and ${records} are there`);
      }
      isWhole = true;
      return undefined;
    }
    records++;
    meter.add(1);
    try {
      return target.add(parsed.record);
    } catch (error) {
      if (error instanceof ForeignRecordError) throw new UsageError(`line ${line} of the input: ${error.message}`);
      throw error;
    }
  };
  for await (const chunk of untilAsked(standardInput(), signal)) {
    for (const record of splitter.split(chunk)) {
      const full = take(record);
      if (full !== undefined) await full;
    }
  }
  signal.throwIfAborted();
  const rest = splitter.rest();
  // Of an export that was cut off it is a piece of a line, unless all but the newline is there.
  const isPiece = isCut && line > 0 && rest !== undefined && parseRecordLine(rest).kind === 'wrong';
  if (rest !== undefined && !isPiece) await take(rest);
  if (line === 0) throw new UsageError('there is nothing on standard input');
  return isWhole;
}

/** Waits for no more input once the program is asked to end. */
async function* untilAsked(input: AsyncIterable<Buffer>, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
  const stop = (): void => void process.stdin.destroy();
  signal.addEventListener('abort', stop, { once: true });
  try {
    for await (const chunk of input) {
      if (signal.aborted) return;
      yield chunk;
    }
  } catch (error) {
    // A destroyed stream has not come to its end.
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function tooLong(limit: number): Error {
  return new EvaqError('EVAQ_RECORD_TOO_LARGE', `a line of more than ${limit} bytes on standard input`, {
    details: { limit },
  });
}

interface Target {
  /** With the first line. */
  begin(first: ParsedLine): Promise<void>;
  /** To be awaited where it returns something. */
  add(record: ParsedRecord): Promise<void> | undefined;
  /** Resolves with the number of records when they are durable. */
  finish(): Promise<number>;
  /** Says what is left behind. */
  abandon(): Promise<string | undefined>;
}

class NewStoreTarget implements Target {
  readonly #path: string;
  #import: StoreImport | undefined;
  /** Where it is made, once there is something. */
  #left: string | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  async begin(first: ParsedLine): Promise<void> {
    if (first.kind !== 'head') {
      throw new UsageError(
        'the input is no export: its first line tells of no store. To push records: evaq push --json',
      );
    }
    const draft = StoreImport.draftPathOf(this.#path);
    const wasThere = existsSync(draft);
    try {
      this.#import = await StoreImport.begin(this.#path, first.queues);
    } finally {
      if (!wasThere && existsSync(draft)) this.#left = draft;
    }
  }

  add(record: ParsedRecord): Promise<void> | undefined {
    const { id, queue, timestamp, payload } = record;
    if (id === undefined || queue === undefined || timestamp === undefined) {
      throw new ForeignRecordError('a record of an export has an ID, a queue and a time');
    }
    return this.#import?.add({ queue, id, timestamp, payload, meta: metaOf(record) });
  }

  async finish(): Promise<number> {
    return (await this.#import?.finish()) ?? 0;
  }

  async abandon(): Promise<string | undefined> {
    await this.#import?.abandon();
    return this.#left === undefined ? undefined : `what was imported so far is in ${this.#left}, which can be removed`;
  }
}

class PushTarget implements Target {
  readonly #path: string;
  #evaq: Evaq | undefined;
  #queue = '';
  #batch: PushEntry[] = [];
  #bytes = 0;
  #count = 0;

  constructor(path: string) {
    this.#path = path;
  }

  async begin(first: ParsedLine): Promise<void> {
    if (first.kind !== 'head') throw new UsageError('the input is no export. To push records: evaq push --json');
    this.#evaq = await Evaq.open(this.#path);
  }

  add({ queue = 'wal', payload, headers, dueMs }: ParsedRecord): Promise<void> | undefined {
    const isOther = queue !== this.#queue && this.#batch.length > 0;
    const pushed = isOther ? this.#push() : undefined;
    this.#queue = queue;
    this.#batch.push({
      payload,
      ...(headers === undefined ? {} : { headers }),
      ...(dueMs === undefined ? {} : { deliverAt: dueMs }),
    });
    this.#bytes += payload.length;
    if (pushed !== undefined) return pushed;
    return this.#batch.length >= BATCH_RECORDS || this.#bytes >= BATCH_BYTES ? this.#push() : undefined;
  }

  async finish(): Promise<number> {
    await this.#push();
    await this.#evaq?.close();
    return this.#count;
  }

  async abandon(): Promise<string | undefined> {
    await this.#evaq?.close();
    return this.#count === 0 ? undefined : `${formatCount(this.#count, 'record')} were pushed before that`;
  }

  async #push(): Promise<void> {
    const batch = this.#batch;
    const name = this.#queue;
    this.#batch = [];
    this.#bytes = 0;
    if (batch.length === 0 || this.#evaq === undefined) return;
    const queue = await this.#evaq.queue(name);
    await queue.pushMany(batch);
    this.#count += batch.length;
  }
}

function metaOf({
  headers,
  messageId,
  attempts,
  failedMs,
  reason,
  error,
  dueMs,
  redrives,
  origin,
  identity,
}: ParsedRecord): RecordMeta {
  return {
    ...(headers === undefined ? {} : { headers }),
    ...(messageId === undefined ? {} : { messageId }),
    ...(attempts === undefined ? {} : { attempts }),
    ...(failedMs === undefined ? {} : { failedMs }),
    ...(reason === undefined ? {} : { reason }),
    ...(error === undefined ? {} : { error }),
    ...(dueMs === undefined ? {} : { dueMs }),
    ...(redrives === undefined ? {} : { redrives }),
    ...(origin === undefined ? {} : { origin }),
    ...(identity === undefined ? {} : { identity }),
  };
}
