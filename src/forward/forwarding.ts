/**
 * Forwards the records of a queue to a sink: `processBatch`, with a handler that hands batches to the sink and says what came of each record.
 */
import { types } from 'node:util';
import { untilAborted } from '../abortable.js';
import { optionNames, requireFunction, requireOptions } from '../arguments.js';
import { classifyFailure, type FailureClass } from '../delivery/classify.js';
import type { BatchContext, BatchResult } from '../delivery/delivery-context.js';
import { DeadLetterError, RetryLater, StopDelivery } from '../delivery/delivery-errors.js';
import type { DeliveryLike } from '../delivery/delivery-like.js';
import type { BatchLimits, BatchOptions } from '../delivery/delivery-options.js';
import type { DeliveryReport, DeliveryStats, StopOptions } from '../delivery/delivery-report.js';
import type { BatchHandler } from '../delivery/invocation.js';
import { describe, requireCount } from '../ids.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { Sink, SinkFailure, SinkRecord } from './sink.js';
import { isSinkError, type SinkError } from './sink-error.js';

/** What forwarding needs of a queue; `Queue` has it, and that of a linked thread. */
export interface ForwardSource {
  readonly name: string;
  processBatch(handler: BatchHandler, options?: BatchOptions): ForwardDelivery;
}

/** What forwarding needs of a delivery. */
export type ForwardDelivery = Omit<DeliveryLike, typeof Symbol.asyncDispose>;

export interface ForwardOptions extends BatchOptions {
  /** The key by which the destination keeps the order, or finds the place (a partition, a routing key). It orders nothing here: that is `order`. */
  readonly key?: (record: QueueRecord) => string | undefined;
  /** Changes a record on its way. `undefined`: nobody wants it, and it is removed. */
  readonly map?: (record: SinkRecord) => SinkRecord | undefined;
}

const BATCH: Required<BatchLimits> = { maxRecords: 500, maxBytes: 1024 * 1024, maxWaitMs: 0 };
const IN_FLIGHT = 4;
/** How long `Sink.probe` may take. */
const PROBE_MS = 10_000;

/** How long `Sink.close` is waited for. */
const CLOSE_MS = 10_000;

const OWN_NAMES = ['key', 'map'] as const;
const SINK_NAMES = optionNames('maxRecords', 'maxBytes', 'recordBytesMax', 'inFlight');

/**
 * Forwards what is in the queue, and what comes, until it is stopped. What has arrived is removed; what the destination will never take goes to the dead
 * letters with its reason; while it is down the queue grows, and forwarding goes on by itself. At least once: a destination that knows `deliveryId` drops
 * what it has already. Begins at once; `done` resolves when it has stopped and the sink is closed.
 * @throws TypeError, RangeError for what `processBatch` would refuse, or for a sink that is none
 */
export function forward(queue: ForwardSource, sink: Sink, options: ForwardOptions = {}): Forwarding {
  requireSource(queue);
  requireSink(sink);
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`forward: options must be an object, got ${describe(options)}`);
  }
  const { key, map, ...delivering } = options;
  for (const name of OWN_NAMES) requireFunction(options[name], name);
  const { limits = {} } = sink;
  const retry = { ...delivering.retry, classify: classifier(delivering.retry?.classify) };
  const batch = {
    ...delivering.batch,
    // In a batch a sink may have one arrive before another.
    maxRecords:
      delivering.order === 'fifo' ? 1 : least(delivering.batch?.maxRecords ?? BATCH.maxRecords, limits.maxRecords),
    maxBytes: least(delivering.batch?.maxBytes ?? BATCH.maxBytes, limits.maxBytes),
  };
  const concurrency = least(delivering.concurrency ?? limits.inFlight ?? IN_FLIGHT, limits.inFlight);
  const outgoing = new Outgoing(sink, key, map);
  const delivery = queue.processBatch((records, context) => outgoing.deliver(records, context), {
    ...delivering,
    batch,
    concurrency,
    retry,
    ...(delivering.breaker === false ? {} : { breaker: { ...probeOf(sink), ...delivering.breaker } }),
  });
  return new Forwarding(delivery, sink);
}

/** A delivery to a sink. */
export class Forwarding implements AsyncDisposable {
  /** Resolves when it has stopped and the sink is closed; rejects with what ended it, `StopDelivery` where the destination refused us. */
  readonly done: Promise<DeliveryReport>;
  readonly #delivery: ForwardDelivery;
  readonly #closed: Promise<void>;

  /** Made by `forward`. */
  constructor(delivery: ForwardDelivery, sink: Sink) {
    this.#delivery = delivery;
    this.#closed = delivery.done.then(
      () => closeSink(sink),
      () => closeSink(sink),
    );
    this.done = this.#closed.then(() => delivery.done);
    this.done.catch(() => undefined);
  }

  /** As `Delivery.drained`. */
  drained(): Promise<void> {
    return this.#delivery.drained();
  }

  pause(): void {
    this.#delivery.pause();
  }

  resume(): void {
    this.#delivery.resume();
  }

  /** As `Delivery.stats`; a promise of them where the store is another thread's. */
  stats(): DeliveryStats | Promise<DeliveryStats> {
    return this.#delivery.stats();
  }

  /** As `Delivery.stop`; resolves when the sink is closed, too. */
  async stop(options?: StopOptions): Promise<void> {
    await this.#delivery.stop(options);
    await this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** A client that cannot be let go, in time or at all, has delivered all the same. */
async function closeSink(sink: Sink): Promise<void> {
  try {
    await untilAborted(AbortSignal.timeout(CLOSE_MS), async () => sink.close?.());
  } catch {
    // It is the caller's, who will see.
  }
}

/** What goes out, and what is said of what comes back. */
class Outgoing {
  readonly #sink: Sink;
  readonly #key: ForwardOptions['key'];
  readonly #map: ForwardOptions['map'];

  constructor(sink: Sink, key: ForwardOptions['key'], map: ForwardOptions['map']) {
    this.#sink = sink;
    this.#key = key;
    this.#map = map;
  }

  async deliver(records: readonly QueueRecord[], context: BatchContext): Promise<BatchResult> {
    const out: SinkRecord[] = [];
    const failed: SinkFailure[] = [];
    for (const record of records) this.#prepare(record, context, out, failed);
    if (out.length === 0) return { failed };
    let result: unknown;
    try {
      const { signal, queue, ack } = context;
      result = await this.#sink.deliver(out, { signal, queue, arrived: ack });
    } catch (error) {
      // What was found out of others is found out again: a batch of which nothing was said is halved.
      if (out.length > 1 || failed.length + 1 < records.length) throw ofAll(error);
      return { failed: [...failed, ...out.map(({ id }) => ({ id, error: verdictOf(error) }))] };
    }
    return { failed: [...failed, ...failuresOf(result, out, this.#sink.name)] };
  }

  /** Adds it to what goes out; where it does not, and is not to be removed, says why. */
  #prepare(record: QueueRecord, context: BatchContext, out: SinkRecord[], failed: SinkFailure[]): void {
    const { id, payload, timestamp, headers = {} } = record;
    try {
      const key = this.#key?.(record);
      if (key !== undefined && typeof key !== 'string') throw new TypeError('key must give a string or undefined');
      const made = {
        id,
        payload,
        headers,
        timestamp,
        deliveryId: context.deliveryId(id),
        attempt: context.attempt(id),
        key,
      };
      const mapped = this.#map === undefined ? made : this.#map(made);
      if (mapped === undefined) return;
      requireMapped(mapped, id);
      const { recordBytesMax = Infinity } = this.#sink.limits ?? {};
      if (mapped.payload.length > recordBytesMax) {
        const message = `${mapped.payload.length} bytes, of at most ${recordBytesMax} that '${this.#sink.name}' takes`;
        failed.push({ id, error: new DeadLetterError('too-large', { cause: new RangeError(message) }) });
        return;
      }
      out.push(mapped);
    } catch (error) {
      failed.push({ id, error });
    }
  }
}

function failuresOf(result: unknown, out: readonly SinkRecord[], name: string): { id: number; error: unknown }[] {
  const failed: unknown = typeof result === 'object' && result !== null && 'failed' in result ? result.failed : [];
  if (!Array.isArray(failed)) throw new TypeError(`sink '${name}': failed must be an array, got ${describe(failed)}`);
  const ids = new Set(out.map(({ id }) => id));
  return failed.map((one: unknown) => {
    const id: unknown = typeof one === 'object' && one !== null && 'id' in one ? one.id : undefined;
    if (typeof id !== 'number' || !ids.has(id)) {
      throw new TypeError(`sink '${name}' named a record that is not in its batch: ${describe(id)}`);
    }
    const error: unknown = typeof one === 'object' && one !== null && 'error' in one ? one.error : undefined;
    return { id, error: verdictOf(error) };
  });
}

/** In the words of a handler. */
function verdictOf(error: unknown): unknown {
  if (!isSinkError(error)) return error;
  if (error.kind === 'rejected') return new DeadLetterError(error.reason, { cause: error });
  return ofAll(error);
}

/** The same of a batch: who of it is rejected is not known yet. */
function ofAll(error: unknown): unknown {
  if (!isSinkError(error)) return error;
  if (error.kind === 'unauthorized') return new StopDelivery(error.message, { cause: error });
  if (error.kind === 'unavailable' && error.retryAfterMs !== undefined) {
    return new RetryLater({ delayMs: error.retryAfterMs, scope: 'all', cause: error });
  }
  return error;
}

type Classify = NonNullable<NonNullable<BatchOptions['retry']>['classify']>;

/** What the sink says of its own errors counts; the caller is asked about all others. */
function classifier(classify: Classify | undefined): Classify {
  return (error, record, attempt) => {
    if (isSinkError(error)) return CLASSES[error.kind];
    return classify === undefined ? classifyFailure(error) : classify(error, record, attempt);
  };
}

const CLASSES: Readonly<Record<SinkError['kind'], FailureClass>> = {
  unavailable: 'unavailable',
  retry: 'retry',
  rejected: 'dead',
  unauthorized: 'unavailable',
};

function probeOf(sink: Sink): { probe?: () => Promise<void> } {
  if (sink.probe === undefined) return {};
  return {
    probe: async () => {
      const signal = AbortSignal.timeout(PROBE_MS);
      await untilAborted(signal, async () => sink.probe?.({ signal }));
    },
  };
}

function least(wanted: number, limit: number | undefined): number {
  // What is no number is told by `processBatch`.
  return limit === undefined || !(wanted > limit) ? wanted : limit;
}

function requireMapped(mapped: unknown, id: number): void {
  if (typeof mapped !== 'object' || mapped === null || !('id' in mapped) || mapped.id !== id) {
    throw new TypeError(`map must give the record back, with its id ${id}, or undefined`);
  }
  if (!('payload' in mapped) || !types.isUint8Array(mapped.payload)) {
    throw new TypeError('map must give a record whose payload is a Buffer');
  }
}

function requireSource(queue: unknown): void {
  if (typeof queue !== 'object' || queue === null || !('processBatch' in queue)) {
    throw new TypeError(`forward: the first argument must be a queue, got ${describe(queue)}`);
  }
}

function requireSink(sink: unknown): void {
  if (typeof sink !== 'object' || sink === null || !('deliver' in sink) || typeof sink.deliver !== 'function') {
    throw new TypeError(`forward: the second argument must be a sink, which has deliver(), got ${describe(sink)}`);
  }
  if (!('name' in sink) || typeof sink.name !== 'string') throw new TypeError('forward: a sink must have a name');
  for (const name of ['probe', 'close']) requireFunction(Reflect.get(sink, name), `${name} of the sink`);
  if (!('limits' in sink) || sink.limits === undefined) return;
  const { limits } = sink;
  requireOptions(limits, 'limits of the sink', SINK_NAMES);
  if (typeof limits !== 'object' || limits === null) return;
  for (const [name, limit] of Object.entries(limits)) {
    if (limit !== undefined && limit !== Infinity) requireCount(limit, `limits.${name} of the sink`, 1);
  }
}
