/**
 * A sink that appends records to a Redis stream: an entry for each, with the fields `evaq-id` (the deliveryId), `payload`, `timestamp`, `key` where there
 * is one, and `header:<name>` for each header. The commands of a batch go out together, in order.
 *
 * With `ids: 'record'` an entry's ID is that of its record, `<id>-0`. The server refuses an ID that is not above the newest. Then the entry is looked up:
 * if it is there, with the same `evaq-id`, the record had arrived before. If it is not (its consumer has deleted it, another store writes here, or it was
 * overtaken), the record is appended behind the newest: a double may come of it, a loss never. All of a batch that go there are numbered from one answer
 * about the newest. Batches come one at a time.
 */
import { types } from 'node:util';
import { optionNames, requireOptions } from '../../arguments.js';
import { describe, requireCount } from '../../ids.js';
import type { Sink, SinkContext, SinkFailure, SinkLimits, SinkRecord, SinkResult } from '../sink.js';
import { ackTimeoutOf, propertyOf, textOf, textPerRecord, unavailable, untilAnswered } from '../sink-client.js';
import { SinkError, type SinkErrorKind } from '../sink-error.js';
import {
  commandBy,
  type IoredisLike,
  type NodeRedisLike,
  type RedisArgument,
  type RedisCommand,
} from './redis-client.js';

export interface RedisSinkOptions {
  /** A connection of `ioredis`, or a client of `redis`; with `wait` or `waitAof` one that nobody else uses: they hold it up. */
  readonly client: IoredisLike | NodeRedisLike;
  /** The key of the stream. */
  readonly stream: string | ((record: SinkRecord) => string);
  /** 'auto' (default): the server gives the IDs of entries. 'record': they are those of the records; the stream belongs to one queue alone. */
  readonly ids?: 'auto' | 'record';
  /** The stream is trimmed to about so many entries. Default: it is not. */
  readonly maxLen?: number;
  /** A batch has arrived when so many replicas have it, too. Default: when the server has answered. */
  readonly wait?: { readonly replicas: number; readonly timeoutMs?: number };
  /** A batch has arrived when it is in the append-only file on disk: here (`local`, default 1), and with so many replicas (default 0). From Redis 7.2 on. */
  readonly waitAof?: { readonly local?: 0 | 1; readonly replicas?: number; readonly timeoutMs?: number };
  /** A batch that is not acknowledged after so long is tried again; the destination counts as down. Default 10 000. */
  readonly ackTimeoutMs?: number;
}

const NAMES = optionNames('client', 'stream', 'ids', 'maxLen', 'wait', 'waitAof', 'ackTimeoutMs');
const WAIT_NAMES = optionNames('replicas', 'timeoutMs');
const WAIT_AOF_NAMES = optionNames('local', 'replicas', 'timeoutMs');
const WAIT_MS = 5000;
/** So often another writer may come between the question for the newest entry and what is appended behind it. */
const ROUNDS_MAX = 8;
const HALF_BITS = 64n;
const HALF_MASK = (1n << HALF_BITS) - 1n;
/** Of the server, `proto-max-bulk-len`: what is larger ends the connection. */
const VALUE_BYTES_MAX: number = 512 * 1024 * 1024;

/** @throws TypeError, RangeError for wrong options */
export function redisSink(options: RedisSinkOptions): Sink {
  return new RedisSink(options);
}

class RedisSink implements Sink {
  readonly name: string = 'redis';
  readonly limits: SinkLimits;
  readonly #command: RedisCommand;
  readonly #streamOf: (record: SinkRecord) => string;
  readonly #ids: 'auto' | 'record';
  readonly #trim: readonly string[];
  readonly #waits: readonly Wait[];
  readonly #ackTimeoutMs: number;

  constructor(options: RedisSinkOptions) {
    requireOptions(options, 'redisSink', NAMES);
    const { client, stream, ids = 'auto', maxLen } = options;
    const command = commandBy(client);
    this.#command = async (...args) => {
      try {
        return await command(...args);
      } catch (error) {
        throw errorOf(error);
      }
    };
    this.#streamOf = textPerRecord(stream, 'stream');
    if (ids !== 'auto' && ids !== 'record') throw new TypeError(`ids must be 'auto' or 'record', got ${describe(ids)}`);
    this.#ids = ids;
    if (maxLen !== undefined) requireCount(maxLen, 'maxLen', 1);
    this.#trim = maxLen === undefined ? [] : ['MAXLEN', '~', String(maxLen)];
    this.#waits = waitsOf(options);
    this.#ackTimeoutMs = ackTimeoutOf(options.ackTimeoutMs);
    // An ID must be above the one before: a second batch would overtake.
    this.limits = { recordBytesMax: VALUE_BYTES_MAX, ...(ids === 'record' ? { inFlight: 1 } : {}) };
  }

  deliver(records: readonly SinkRecord[], { signal }: SinkContext): Promise<SinkResult> {
    return untilAnswered('redis', this.#ackTimeoutMs, signal, () => this.#append(records));
  }

  probe({ signal }: Pick<SinkContext, 'signal'>): Promise<void> {
    return untilAnswered('redis', this.#ackTimeoutMs, signal, async () => {
      await this.#command('PING');
    });
  }

  async #append(records: readonly SinkRecord[]): Promise<SinkResult> {
    const failed: SinkFailure[] = [];
    const refused = await eachOf(records, failed, (record) => this.#add(record));
    const missing = await eachOf(refused, failed, (entry) => this.#isMissing(entry));
    const streams = new Set(missing.map(({ stream }) => stream));
    await Promise.all(
      [...streams].map(async (stream) => {
        const entries = missing.filter((entry) => entry.stream === stream);
        await this.#addBehind(stream, entries, failed);
      }),
    );
    if (failed.length < records.length) for (const wait of this.#waits) await this.#until(wait);
    return { failed };
  }

  /** What it gives was refused, as not above the newest. */
  async #add(record: SinkRecord): Promise<Entry | undefined> {
    const stream = this.#streamOf(record);
    const fields = fieldsOf(record);
    if (this.#ids === 'auto') {
      await this.#command('XADD', stream, ...this.#trim, '*', ...fields);
      return undefined;
    }
    const { id, deliveryId } = record;
    return this.#addAs(`${id}-0`, { id, deliveryId, stream, fields });
  }

  async #addAs(entryId: string, entry: Entry): Promise<Entry | undefined> {
    try {
      await this.#command('XADD', entry.stream, ...this.#trim, entryId, ...entry.fields);
      return undefined;
    } catch (error) {
      if (!NOT_ABOVE.test(textOf(error))) throw error;
      return entry;
    }
  }

  async #isMissing(entry: Entry): Promise<Entry | undefined> {
    return (await this.#holds(entry)) ? undefined : entry;
  }

  async #holds({ id, deliveryId, stream }: Entry): Promise<boolean> {
    const entryId = `${id}-0`;
    const entries = await this.#command('XRANGE', stream, entryId, entryId);
    const entry: unknown = Array.isArray(entries) ? entries[0] : undefined;
    const fields: unknown = Array.isArray(entry) ? entry[1] : undefined;
    // A client may have been told to make something else of a reply: then it is a stranger's, and a double at worst.
    if (!Array.isArray(fields)) return false;
    return String(fields[0]) === 'evaq-id' && String(fields[1]) === deliveryId;
  }

  /** In order, with one question for all of them, and another where somebody else has written meanwhile. */
  async #addBehind(stream: string, entries: readonly Entry[], failed: SinkFailure[]): Promise<void> {
    let left = entries;
    try {
      for (let round = 0; round < ROUNDS_MAX && left.length > 0; round++) {
        const newest = await this.#newestOf(stream);
        left = await eachOf(left, failed, (entry, i) => this.#addAs(entryIdOf(newest + BigInt(i) + 1n), entry));
      }
      if (left.length > 0) throw new SinkError('retry', `another writer was faster ${ROUNDS_MAX} times`);
    } catch (error) {
      failed.push(...left.map(({ id }) => ({ id, error })));
    }
  }

  async #newestOf(stream: string): Promise<bigint> {
    const newest = fieldNamed(await this.#command('XINFO', 'STREAM', stream), 'last-generated-id');
    const [, high, low] = /^(\d+)-(\d+)$/.exec(String(newest)) ?? [];
    if (high === undefined || low === undefined) throw new SinkError('retry', 'XINFO STREAM names no newest entry');
    return (BigInt(high) << HALF_BITS) + BigInt(low);
  }

  /** Throws where too few have it: then the batch has not arrived. */
  async #until({ command, args, wanted }: Wait): Promise<void> {
    let reply: unknown;
    try {
      reply = await this.#command(command, ...args);
    } catch (error) {
      if (!/unknown command/i.test(textOf(error))) throw error;
      throw new SinkError('unauthorized', `${command}: ${textOf(error)}`, { cause: error });
    }
    const counts = (Array.isArray(reply) ? reply : [reply]).map(Number);
    if (wanted.every((count, i) => (counts[i] ?? 0) >= count)) return;
    throw new SinkError('unavailable', `${command}: ${counts.join(' and ')} of ${wanted.join(' and ')} have it`);
  }
}

/** One that was refused under the ID of its record. */
interface Entry {
  readonly id: number;
  readonly deliveryId: string;
  readonly stream: string;
  readonly fields: readonly RedisArgument[];
}

/** Begins them in one turn, in their order. Gives what they gave, in that order; whose `step` rejects has failed. */
async function eachOf<One extends { readonly id: number }>(
  ones: readonly One[],
  failed: SinkFailure[],
  step: (one: One, i: number) => Promise<Entry | undefined>,
): Promise<Entry[]> {
  const given = await Promise.all(
    ones.map(async (one, i) => {
      try {
        return await step(one, i);
      } catch (error) {
        failed.push({ id: one.id, error });
        return undefined;
      }
    }),
  );
  return given.filter((entry) => entry !== undefined);
}

/** Two halves of 64 bits. */
function entryIdOf(id: bigint): string {
  return `${id >> HALF_BITS}-${id & HALF_MASK}`;
}

interface Wait {
  readonly command: 'WAIT' | 'WAITAOF';
  readonly args: readonly string[];
  readonly wanted: readonly number[];
}

function waitsOf({ wait, waitAof }: RedisSinkOptions): Wait[] {
  const waits: Wait[] = [];
  if (wait !== undefined) {
    requireOptions(wait, 'wait', WAIT_NAMES);
    const { replicas, timeoutMs = WAIT_MS } = wait;
    requireCount(replicas, 'wait.replicas', 1);
    requireCount(timeoutMs, 'wait.timeoutMs', 1);
    waits.push({ command: 'WAIT', args: [String(replicas), String(timeoutMs)], wanted: [replicas] });
  }
  if (waitAof !== undefined) {
    requireOptions(waitAof, 'waitAof', WAIT_AOF_NAMES);
    const { local = 1, replicas = 0, timeoutMs = WAIT_MS } = waitAof;
    if (local !== 0 && local !== 1) throw new RangeError(`waitAof.local must be 0 or 1, got ${describe(local)}`);
    requireCount(replicas, 'waitAof.replicas', 0);
    requireCount(timeoutMs, 'waitAof.timeoutMs', 1);
    waits.push({ command: 'WAITAOF', args: [local, replicas, timeoutMs].map(String), wanted: [local, replicas] });
  }
  return waits;
}

/** `evaq-id` first. */
function fieldsOf({ deliveryId, payload, timestamp, key, headers }: SinkRecord): RedisArgument[] {
  const fields: RedisArgument[] = ['evaq-id', deliveryId, 'payload', payload, 'timestamp', String(timestamp)];
  if (key !== undefined) fields.push('key', key);
  for (const [name, value] of Object.entries(headers)) fields.push(`header:${name}`, value);
  return fields;
}

/** Of a reply of names and values, which is a list or a map by the protocol. */
function fieldNamed(reply: unknown, name: string): unknown {
  if (Array.isArray(reply)) return reply[reply.findIndex((one) => String(one) === name) + 1];
  if (types.isMap(reply)) return reply.get(name);
  return typeof reply === 'object' && reply !== null ? propertyOf(reply, name) : undefined;
}

const NOT_ABOVE = /\bID specified in XADD is equal or smaller\b/;
/** What the server says begins with a word in capitals; what a client says by itself does not. */
const SAID_BY_SERVER = /^([A-Z][A-Z0-9]+) /;

const KINDS: Readonly<Record<string, SinkErrorKind>> = {
  NOAUTH: 'unauthorized',
  WRONGPASS: 'unauthorized',
  NOPERM: 'unauthorized',
  DENIED: 'unauthorized',
  WRONGTYPE: 'rejected',
  ERR: 'retry',
  EXECABORT: 'retry',
};

/** All other words of the server are about itself: LOADING, OOM, READONLY, MISCONF, CLUSTERDOWN … */
function errorOf(error: unknown): SinkError {
  const text = textOf(error);
  const [, word] = SAID_BY_SERVER.exec(text) ?? [];
  if (word === undefined) return unavailable('redis', error);
  if (/exceeds maximum allowed/.test(text)) {
    return new SinkError('rejected', text, { reason: 'too-large', cause: error });
  }
  return new SinkError(KINDS[word] ?? 'unavailable', text, { reason: word, cause: error });
}
