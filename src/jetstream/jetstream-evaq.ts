/**
 * `JetStreamEvaq`: a store whose queues are streams of NATS JetStream, on one server or on several that replicate.
 */
import { signalOf, untilAborted, type WaitOptions, waitOf } from '../abortable.js';
import { requireNoMore } from '../arguments.js';
import type { DeliveryOptions } from '../delivery/delivery-options.js';
import type { Handler } from '../delivery/invocation.js';
import { codeOf } from '../errors.js';
import { DEAD_LETTERS_QUEUE, WAL_QUEUE } from '../layout/store-file.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { DeadLetterSelection } from '../queue/dead-letter-options.js';
import type { EvaqLike } from '../queue/queue-like.js';
import type { QueueOptions } from '../queue/queue-options.js';
import { deadLettersNameOf, idsOf, partialFailure, redrivenMeta } from '../store/dead-letters.js';
import { after } from '../vfs/own-timers.js';
import type { JetStreamDelivery } from './jetstream-delivery.js';
import { closedError } from './jetstream-errors.js';
import { type JetStreamHealth, reasonsOf } from './jetstream-health.js';
import { clientOf, type JetStreamOptions, type ResolvedJetStream, resolveJetStream } from './jetstream-options.js';
import { type JetStreamHost, JetStreamQueue, type JetStreamQueueInit } from './jetstream-queue.js';
import { JsApi, numberIn } from './js-api.js';
import { moveRecord } from './moves.js';
import { openStream, requireNewServer, storeIdOf } from './open-stream.js';
import { ReplicatedDeliveries } from './replicated-deliveries.js';
import { queueOf, streamOf, subjectsOf } from './stream-names.js';
import { Tries } from './tries.js';

interface Opened {
  readonly api: JsApi;
  readonly options: ResolvedJetStream;
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
  readonly #options: ResolvedJetStream;
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
   * EVAQ_IO: it cannot be reached; EVAQ_UNAUTHORIZED: it refuses user, password, or what evaq asks (the latter of any later call, too)
   */
  static async connect(options: JetStreamOptions): Promise<JetStreamEvaq> {
    requireNoMore(arguments.length, 1, 'connect');
    const resolved = resolveJetStream(options);
    const signal = signalOf(options, 'connect');
    return untilAborted(signal, async () => {
      const { client, ownsConnection } = await clientOf(options);
      try {
        return await JetStreamEvaq.#open(new JsApi(client, resolved.timeoutMs), resolved, ownsConnection);
      } catch (error) {
        if (ownsConnection) await client.connection.close().catch(() => undefined);
        throw error;
      }
    });
  }

  static async #open(api: JsApi, options: ResolvedJetStream, ownsConnection: boolean): Promise<JetStreamEvaq> {
    await requireNewServer(api);
    const wal = await openStream(api, options, WAL_QUEUE, {}, () => true);
    const deadLetters = await openStream(api, options, DEAD_LETTERS_QUEUE, {}, () => true);
    const storeId = await storeIdOf(wal, options.name);
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
   * `recordBytesMax`. Of a queue that is there only what is given is changed: `limits` as a whole, and the window to a longer one; its replicas never.
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
    const opening = openStream(this.#api, this.#options, name, options, () => this.#isOpen).then(
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
