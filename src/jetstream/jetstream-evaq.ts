/**
 * `JetStreamEvaq`: a store whose queues are streams of NATS JetStream, on one server or on several that replicate.
 */
import { randomUUID } from 'node:crypto';
import { signalOf, untilAborted, type WaitOptions, waitOf } from '../abortable.js';
import { optionNames, requireNoMore, requireOptions } from '../arguments.js';
import type { DeliveryOptions } from '../delivery/delivery-options.js';
import type { Handler } from '../delivery/invocation.js';
import { codeOf, EvaqError, messageOf } from '../errors.js';
import { describe, requireCount } from '../ids.js';
import { DEAD_LETTERS_QUEUE, WAL_QUEUE } from '../layout/store-file.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { DeadLetterSelection } from '../queue/queue.js';
import type { EvaqLike } from '../queue/queue-like.js';
import type { QueueOptions } from '../queue/queue-options.js';
import { deadLettersNameOf, idsOf, partialFailure, redrivenMeta } from '../store/dead-letters.js';
import { after } from '../vfs/own-timers.js';
import type { JetStreamDelivery } from './jetstream-delivery.js';
import { type JetStreamHealth, reasonsOf } from './jetstream-health.js';
import { closedError, type JetStreamHost, JetStreamQueue, type JetStreamQueueInit } from './jetstream-queue.js';
import { JsApi, numberIn, objectIn, textIn } from './js-api.js';
import { moveRecord } from './moves.js';
import type { NatsClient, NatsConnection, NatsHeaders } from './nats-client.js';
import { Publisher } from './publisher.js';
import { QueueStream, tooOldError } from './queue-stream.js';
import { ReplicatedDeliveries } from './replicated-deliveries.js';
import { type StreamDefaults, streamOptionsOf } from './stream-config.js';
import { queueOf, requireStoreName, streamOf, subjectOf, subjectsOf } from './stream-names.js';
import { Tries } from './tries.js';

export interface JetStreamOptions {
  /** Where the servers are, as `connect` of `@nats-io/transport-node` takes it: that package must be installed. */
  readonly servers?: string | readonly string[];
  /** Instead of `servers`: a connection that is there, which stays open, and `headers` of the package that made it. */
  readonly connection?: NatsConnection;
  readonly headers?: () => NatsHeaders;
  /** Names the store among others on the server: 1 to 32 letters, digits and hyphens. */
  readonly name: string;
  /** Copies of each queue that is made, 1, 3 or 5. Default 1. */
  readonly replicas?: number;
  /** Default true. False: a store or a queue that is not there is EVAQ_NOT_A_STORE or EVAQ_QUEUE_NAME, and is not made. */
  readonly create?: boolean;
  /** For how long the server knows a message by its ID, in ms: a repeat within it is none. It takes memory for each message. Default 120 000. */
  readonly duplicateWindowMs?: number;
  /** After so many ms without a word of it a process that had a record counts as dead. From 1000 on; default 30 000. */
  readonly leaseMs?: number;
  /** How long a call is tried while the server does not answer or has no leader. Default 30 000. */
  readonly timeoutMs?: number;
  /** Aborted: connecting rejects with its reason. */
  readonly signal?: AbortSignal;
}

const NAMES = optionNames(
  'servers',
  'connection',
  'headers',
  'name',
  'replicas',
  'create',
  'duplicateWindowMs',
  'leaseMs',
  'timeoutMs',
  'signal',
);
const STORE_ID = 'evaq.store';
/** Atomic batches. */
const API_LEVEL_MIN = 2;
/** What a server takes that says nothing. */
const MAX_PAYLOAD = 1024 * 1024;
/** For the headers that evaq itself adds. */
const HEADROOM_BYTES = 1024;

interface Resolved extends StreamDefaults {
  readonly name: string;
  readonly leaseMs: number;
}

interface Opened {
  readonly api: JsApi;
  readonly options: Resolved;
  readonly ownsConnection: boolean;
  readonly storeId: string;
  readonly wal: JetStreamQueueInit;
  readonly deadLetters: JetStreamQueueInit;
}

/** As `Evaq`, made by `JetStreamEvaq.connect`. Any number of processes may have the same store. `await using` closes it at the end of the block. */
export class JetStreamEvaq implements EvaqLike {
  readonly wal: JetStreamQueue;
  readonly deadLetters: JetStreamQueue;
  /** The store's name for good, a UUID that its first stream was made with: part of every `deliveryId`. */
  readonly storeId: string;
  readonly name: string;
  readonly #api: JsApi;
  readonly #options: Resolved;
  readonly #ownsConnection: boolean;
  readonly #queues = new Map<string, Promise<JetStreamQueue>>();
  readonly #deliveries: ReplicatedDeliveries;
  readonly #host: JetStreamHost;
  readonly #sleepers = new Set<() => void>();
  #closing: Promise<void> | undefined;

  private constructor({ api, options, ownsConnection, storeId, wal, deadLetters }: Opened) {
    this.#api = api;
    this.#options = options;
    this.#ownsConnection = ownsConnection;
    this.storeId = storeId;
    this.name = options.name;
    this.#deliveries = new ReplicatedDeliveries({
      ...options,
      storeId,
      tries: new Tries(options.name, api),
      isOpen: () => this.#isOpen,
      lettersOf: async (queue) => (await this.#lettersOf(queue)).end,
    });
    this.#host = {
      isOpen: () => this.#isOpen,
      sleep: (ms, wake) => this.#sleep(ms, wake),
      lettersOf: async (queue) => (await this.#lettersOf(queue)).end,
      redrive: (queue, which, signal) => this.#redrive(queue, which, signal),
      process: (queue, handler, given) => this.#deliveries.process(queue, handler, given),
      processBatch: (queue, handler, given) => this.#deliveries.processBatch(queue, handler, given),
    };
    this.wal = new JetStreamQueue(wal, this.#host);
    this.deadLetters = new JetStreamQueue(deadLetters, this.#host);
    this.#queues.set(WAL_QUEUE, Promise.resolve(this.wal));
    this.#queues.set(DEAD_LETTERS_QUEUE, Promise.resolve(this.deadLetters));
  }

  /**
   * Connects, and makes the streams of the two everyday queues where there are none.
   * @throws TypeError, RangeError for wrong options; EVAQ_UNSUPPORTED: the server is older than 2.12.1, has no JetStream, or the client is not installed;
   * EVAQ_IO: it cannot be reached
   */
  static async connect(options: JetStreamOptions): Promise<JetStreamEvaq> {
    requireNoMore(arguments.length, 1, 'connect');
    requireOptions(options, 'connect', NAMES);
    const {
      name,
      replicas = 1,
      create = true,
      duplicateWindowMs = 120_000,
      leaseMs = 30_000,
      timeoutMs = 30_000,
    } = options;
    requireStoreName(name);
    requireCount(replicas, 'replicas', 1);
    requireCount(duplicateWindowMs, 'duplicateWindowMs', 100);
    requireCount(leaseMs, 'leaseMs', 1000);
    requireCount(timeoutMs, 'timeoutMs', 1);
    if (typeof create !== 'boolean') throw new TypeError(`create must be true or false, got ${describe(create)}`);
    const signal = signalOf(options, 'connect');
    const resolved = { name, replicas, creates: create, duplicateWindowMs, leaseMs };
    return untilAborted(signal, async () => {
      const { client, ownsConnection } = await clientOf(options);
      try {
        return await JetStreamEvaq.#open(new JsApi(client, timeoutMs), resolved, ownsConnection);
      } catch (error) {
        if (ownsConnection) await client.connection.close().catch(() => undefined);
        throw error;
      }
    });
  }

  static async #open(api: JsApi, options: Resolved, ownsConnection: boolean): Promise<JetStreamEvaq> {
    await requireNewServer(api);
    const wal = await openStream(api, options, WAL_QUEUE, {});
    const deadLetters = await openStream(api, options, DEAD_LETTERS_QUEUE, {});
    const { config } = await wal.stream.figures();
    const storeId = textIn(objectIn(config, 'metadata'), STORE_ID) ?? options.name;
    return new JetStreamEvaq({ api, options, ownsConnection, storeId, wal, deadLetters });
  }

  /** The names of all queues. */
  async queueNames(options?: WaitOptions): Promise<string[]> {
    const signal = waitOf(arguments.length, 1, options, 'queueNames');
    this.#requireOpen();
    return untilAborted(signal, async () => {
      const names: string[] = [];
      for (let offset = 0, total = 1; offset < total; ) {
        const body = await this.#api.demand('STREAM.NAMES', { subject: subjectsOf(this.name), offset });
        const streams: unknown = body['streams'];
        const page = Array.isArray(streams) ? streams.map(String) : [];
        names.push(...page.map((stream) => queueOf(this.name, stream)).filter((queue) => queue !== undefined));
        total = page.length === 0 ? 0 : (numberIn(body, 'total') ?? 0);
        offset += page.length;
      }
      return names.sort();
    });
  }

  /**
   * The queue of that name, made if there is none. Of the options of a queue it takes `limits`, `dedupe` (its `windowMs` is the window of duplicates) and
   * `recordBytesMax`; a stream that is there is changed to them.
   * @throws EVAQ_QUEUE_NAME, EVAQ_CLOSED; EVAQ_UNSUPPORTED for other options
   */
  async queue(name: string, options: QueueOptions & WaitOptions = {}): Promise<JetStreamQueue> {
    requireNoMore(arguments.length, 2, 'queue');
    const signal = signalOf(options, 'queue');
    const { signal: _own, ...rest } = options;
    streamOf(this.name, name);
    this.#requireOpen();
    return untilAborted(signal, () => this.#queue(name, rest));
  }

  async #queue(name: string, options: QueueOptions): Promise<JetStreamQueue> {
    const isPlain = Object.values(options).every((value) => value === undefined);
    const known = this.#queues.get(name);
    if (known !== undefined && isPlain) return known;
    const opening = openStream(this.#api, this.#options, name, options).then(
      (init) => new JetStreamQueue(init, this.#host),
    );
    this.#queues.set(name, opening);
    opening.catch(() => this.#queues.delete(name));
    return opening;
  }

  /** `wal.process`. */
  evacuate(handler: Handler, options?: DeliveryOptions): JetStreamDelivery {
    requireNoMore(arguments.length, 2, 'evacuate');
    return this.wal.process(handler, options);
  }

  /** What is wrong, by reasons. Whether the server syncs before it acknowledges it does not say: docs/replicated.md. @throws EVAQ_CLOSED */
  async health(): Promise<JetStreamHealth> {
    requireNoMore(arguments.length, 0, 'health');
    this.#requireOpen();
    const queues = await Promise.all(this.#queues.values());
    const looked = await Promise.all(queues.map(({ end }) => reasonsOf(end.stream)));
    const reasons = [...looked.flat(), ...this.#deliveries.reasons()];
    const isFailed = reasons.some(({ code }) => code === 'unreachable');
    return { status: isFailed ? 'failed' : reasons.length > 0 ? 'degraded' : 'ok', reasons };
  }

  /** Deliveries stop (handlers may go on for 5 s), pushes under way have their answers; a connection made here is closed. Idempotent. */
  close(options?: WaitOptions): Promise<void> {
    const given = arguments.length;
    const closed = async (): Promise<void> => {
      const signal = waitOf(given, 1, options, 'close');
      await untilAborted(signal, () => {
        this.#closing ??= this.#close();
        return this.#closing;
      });
    };
    return closed();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    for (const wake of this.#sleepers) wake();
    await this.#deliveries.stop();
    for (const opening of this.#queues.values()) await (await opening.catch(() => undefined))?.end.publisher.settled();
    if (this.#ownsConnection) await this.#api.connection.close();
  }

  #sleep(ms: number, wake: () => void): () => void {
    const cancel = after(ms, wake);
    this.#sleepers.add(wake);
    if (!this.#isOpen) wake();
    return () => {
      cancel();
      this.#sleepers.delete(wake);
    };
  }

  get #isOpen(): boolean {
    return this.#closing === undefined;
  }

  #requireOpen(): void {
    if (!this.#isOpen) throw closedError(this.name);
  }

  async #lettersOf(queue: JetStreamQueue): Promise<JetStreamQueue> {
    return this.#queue(deadLettersNameOf(queue.name), {});
  }

  async #redrive(
    queue: JetStreamQueue,
    which: DeadLetterSelection,
    signal: AbortSignal | undefined,
  ): Promise<number[]> {
    const own = typeof which === 'function' ? undefined : idsOf(which);
    const dead = await this.#lettersOf(queue);
    const ids = own ?? (typeof which === 'function' ? await accepted(dead, which, signal) : []);
    const moved: { id: number; newId: number; queue: string }[] = [];
    for (const id of ids) {
      signal?.throwIfAborted();
      try {
        moved.push({ id, newId: await moveRecord(dead.end, queue.end, id, redrivenMeta), queue: queue.name });
      } catch (error) {
        if (codeOf(error) !== 'EVAQ_RECORD_NOT_FOUND') throw partialFailure(error, { moved });
      }
    }
    return moved.map(({ newId }) => newId);
  }
}

async function openStream(
  api: JsApi,
  options: Resolved,
  queue: string,
  given: QueueOptions,
): Promise<JetStreamQueueInit> {
  const { name } = options;
  const place = { stream: streamOf(name, queue), subject: subjectOf(name, queue) };
  const resolved = streamOptionsOf(given, options);
  const stream = new QueueStream(queue, place, api);
  const isThere = await stream.ensure(options, resolved, { [STORE_ID]: randomUUID() });
  if (!isThere) throw missingError(name, queue);
  const { whenFull } = resolved.limits ?? {};
  const bytesMax = (api.connection.info?.max_payload ?? MAX_PAYLOAD) - HEADROOM_BYTES;
  return {
    stream,
    publisher: new Publisher(queue, place, api, () => whenFull === 'wait'),
    recordBytesMax: Math.min(bytesMax, resolved.recordBytesMax ?? bytesMax),
  };
}

function missingError(store: string, queue: string): EvaqError {
  if (queue === WAL_QUEUE) return new EvaqError('EVAQ_NOT_A_STORE', `there is no store '${store}' on that server`);
  return new EvaqError('EVAQ_QUEUE_NAME', `the store '${store}' has no queue '${queue}'`, { details: { queue } });
}

/** By what it can: its API says so, whatever its version. */
async function requireNewServer(api: JsApi): Promise<void> {
  const { body, refusal } = await api.ask('INFO');
  if (refusal !== undefined) {
    throw new EvaqError('EVAQ_UNSUPPORTED', `no JetStream: ${refusal.description}`, {
      hint: 'The server, and the account, must have JetStream enabled.',
    });
  }
  if ((numberIn(objectIn(body, 'api'), 'level') ?? 0) < API_LEVEL_MIN)
    throw tooOldError(api.connection.info?.version ?? '');
}

async function clientOf(options: JetStreamOptions): Promise<{ client: NatsClient; ownsConnection: boolean }> {
  const { servers, connection, headers } = options;
  if (connection !== undefined) {
    if (servers !== undefined) throw new TypeError('connect takes servers or a connection, not both');
    if (typeof headers !== 'function')
      throw new TypeError('headers must be the function of the client that made the connection');
    return { client: { connection, headers }, ownsConnection: false };
  }
  if (servers === undefined) throw new TypeError('connect takes servers, or a connection with headers');
  let nats: typeof import('@nats-io/transport-node');
  try {
    nats = await import('@nats-io/transport-node');
  } catch (cause) {
    throw new EvaqError('EVAQ_UNSUPPORTED', 'the client of NATS is not installed', {
      cause,
      hint: 'npm install @nats-io/transport-node',
    });
  }
  try {
    const list = typeof servers === 'string' ? servers : [...servers];
    // Whoever has a queue waits for it; calls have times of their own.
    const made = await nats.connect({ servers: list, maxReconnectAttempts: -1, reconnectTimeWait: 250 });
    return { client: { connection: made, headers: nats.headers }, ownsConnection: true };
  } catch (cause) {
    throw new EvaqError('EVAQ_IO', `NATS cannot be reached: ${messageOf(cause)}`, { cause });
  }
}

/** The IDs of those dead letters that there are at the call and that a function accepts. */
async function accepted(
  dead: JetStreamQueue,
  accepts: (record: QueueRecord) => unknown,
  signal: AbortSignal | undefined,
): Promise<number[]> {
  const { nextId } = await dead.stats();
  const ids: number[] = [];
  for await (const record of dead.records({ to: nextId - 1, ...(signal === undefined ? {} : { signal }) })) {
    if ((await accepts(record)) === true) ids.push(record.id);
  }
  return ids;
}
