/**
 * Handlers at the end of a link that has not the store: calls them with what comes, and says how they ended.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { onceAborted } from '../abortable.js';
import type { FailureClass } from '../delivery/classify.js';
import {
  type BatchContext,
  HandlerSignal,
  ManyContext,
  SingleContext,
  type Word,
} from '../delivery/delivery-context.js';
import { resolveDelivery } from '../delivery/delivery-options.js';
import type { DeliveryReport, DeliveryStats, StopOptions } from '../delivery/delivery-report.js';
import type { BatchHandler, Handler } from '../delivery/invocation.js';
import type { Lease } from '../delivery/lease.js';
import type { EvaqError } from '../errors.js';
import { describe } from '../ids.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { FromStore, LinkResult, LinkRun, SentKey, ToStore, Verdict } from './link-protocol.js';
import { LinkedDelivery } from './linked-delivery.js';
import { type Classify, type LinkedBatchOptions, orderOf, withoutFunctions } from './linked-delivery-options.js';
import { unpackRecords } from './packed-records.js';
import { packThrown, unpackThrown } from './packed-thrown.js';

export interface ThreadEnds {
  readonly send: (message: ToStore) => void;
  readonly schedule: () => void;
  readonly ask: (delivery: number, what: 'drained' | 'stop' | 'stats', args: readonly unknown[]) => Promise<unknown>;
  readonly closedError: () => EvaqError;
}

type Handling =
  | { readonly kind: 'single'; readonly handler: Handler }
  | { readonly kind: 'batch'; readonly handler: BatchHandler };

interface Local {
  readonly handling: Handling;
  readonly delivery: LinkedDelivery;
  readonly classify: Classify | undefined;
  readonly probe: (() => Promise<void>) | undefined;
  readonly keyOf: ((record: QueueRecord) => string | undefined) | undefined;
  readonly hold: boolean;
  readonly finish: (ended: { readonly report: DeliveryReport } | { readonly error: unknown }) => void;
}

interface Running {
  readonly local: Local;
  readonly leases: readonly Lease[];
  readonly signal: HandlerSignal;
  readonly words: Map<number, Word>;
  /** Its time is over. */
  timeout: { readonly error: unknown } | undefined;
}

export class ThreadDeliveries {
  readonly #ends: ThreadEnds;
  readonly #deliveries = new Map<number, Local>();
  readonly #running = new Map<number, Running>();
  readonly #runOf = new AsyncLocalStorage<number>();
  #storeId = '';
  #number = 0;
  #done: number[] = [];

  constructor(ends: ThreadEnds) {
    this.#ends = ends;
  }

  /** The handler that the code now running is part of. */
  get currentRun(): number | undefined {
    return this.#running.size === 0 ? undefined : this.#runOf.getStore();
  }

  /** Whether the thread is to stay for one of them. */
  get hold(): boolean {
    for (const { hold } of this.#deliveries.values()) if (hold) return true;
    return false;
  }

  get areRunning(): boolean {
    return this.#deliveries.size > 0;
  }

  set storeId(storeId: string) {
    this.#storeId = storeId;
  }

  /** @throws TypeError, RangeError for wrong options */
  begin(queue: number, name: string, handling: Handling, options: LinkedBatchOptions | undefined): LinkedDelivery {
    const isBatch = handling.kind === 'batch';
    if (typeof handling.handler !== 'function') {
      throw new TypeError(`handler must be a function, got ${describe(handling.handler)}`);
    }
    const { keyHeader, keyOf, checked } = orderOf(options);
    const { signal, hold } = resolveDelivery(checked, isBatch);
    const { sent, classify, deadClassify, probe } = withoutFunctions(checked);
    const number = ++this.#number;
    let finish: Local['finish'] = () => undefined;
    const done = new Promise<DeliveryReport>((resolve, reject) => {
      finish = (ended) => {
        if ('report' in ended) resolve(ended.report);
        else reject(ended.error);
      };
    });
    const undo = this.#haltWith(signal, number);
    const delivery = new LinkedDelivery(name, done, {
      ask: (what, args) => this.#ends.ask(number, what, args),
      steer: (how) => this.#ends.send({ kind: 'steer', delivery: number, how }),
    });
    this.#deliveries.set(number, {
      handling,
      delivery,
      classify: classify ?? deadClassify,
      probe,
      keyOf,
      hold,
      finish: (ended) => {
        undo();
        finish(ended);
      },
    });
    this.#ends.send({
      kind: 'deliver',
      delivery: number,
      queue,
      isBatch,
      options: sent,
      keyHeader,
      asksKeys: keyOf !== undefined,
      classifies: classify !== undefined,
      deadClassifies: deadClassify !== undefined,
      probes: probe !== undefined,
    });
    if (signal?.aborted === true)
      this.#ends.send({ kind: 'halt', delivery: number, reason: packThrown(signal.reason) });
    return delivery;
  }

  received(message: FromStore & { readonly kind: 'runs' | 'abort run' | 'probe' | 'delivered' | 'undelivered' }): void {
    switch (message.kind) {
      case 'runs': {
        const records = unpackRecords(message.records);
        let at = 0;
        for (const run of message.runs) {
          this.#run(run, records.slice(at, at + run.count));
          at += run.count;
        }
        return;
      }
      case 'abort run':
        this.#abort(message.run, unpackThrown(message.reason));
        return;
      case 'probe':
        void this.#probe(message.probe, this.#deliveries.get(message.delivery));
        return;
      case 'delivered':
        this.#finish(message.delivery, { report: message.report }, message.stats);
        return;
      case 'undelivered':
        this.#finish(message.delivery, { error: unpackThrown(message.error) }, undefined);
    }
  }

  /** The keys of records that are to be delivered, in their order. */
  keysOf(delivery: number, records: readonly QueueRecord[]): SentKey[] {
    const keyOf = this.#deliveries.get(delivery)?.keyOf;
    return records.map((record) => {
      try {
        const key: unknown = keyOf?.(record);
        if (key === undefined || typeof key === 'string') return { key };
        return { error: packThrown(new TypeError('order must return a string or undefined')) };
      } catch (error) {
        return { error: packThrown(error) };
      }
    });
  }

  /** Handlers that have returned in one turn. */
  gather(): void {
    if (this.#done.length === 0) return;
    this.#ends.send({ kind: 'done', runs: this.#done });
    this.#done = [];
  }

  /** All of them. */
  async stop(options?: StopOptions): Promise<void> {
    await Promise.allSettled([...this.#deliveries.values()].map(({ delivery }) => delivery.stop(options)));
  }

  /** The link is over, and so is what was delivered over it. */
  over(error: unknown): void {
    for (const number of this.#running.keys()) this.#abort(number, error);
    this.#running.clear();
    for (const number of this.#deliveries.keys()) this.#finish(number, { error }, undefined);
  }

  #haltWith(signal: AbortSignal | undefined, delivery: number): () => void {
    if (signal === undefined || signal.aborted) return () => undefined;
    return onceAborted(signal, (reason) => this.#ends.send({ kind: 'halt', delivery, reason: packThrown(reason) }));
  }

  #finish(
    number: number,
    ended: { readonly report: DeliveryReport } | { readonly error: unknown },
    stats: DeliveryStats | undefined,
  ): void {
    const local = this.#deliveries.get(number);
    this.#deliveries.delete(number);
    local?.delivery.ended(stats);
    local?.finish(ended);
  }

  #run({ run, delivery, attempts, crashes, queue }: LinkRun, records: readonly QueueRecord[]): void {
    const local = this.#deliveries.get(delivery);
    if (local === undefined) return;
    const leases = records.map((record, i) => leaseOf(record, attempts[i] ?? 1, crashes[i] ?? 0));
    const running: Running = { local, leases, signal: new HandlerSignal(), words: new Map(), timeout: undefined };
    this.#running.set(run, running);
    let value: unknown;
    let ending: Promise<unknown> | undefined;
    try {
      value = this.#runOf.run(run, () => this.#call(run, queue, running));
      // What it is, it may say by throwing.
      if (isThenable(value)) ending = Promise.resolve(value);
    } catch (error) {
      this.#threw(run, running, error);
      return;
    }
    if (ending === undefined) this.#returned(run, running, value);
    else {
      ending.then(
        (result: unknown) => this.#returned(run, running, result),
        (error: unknown) => this.#threw(run, running, error),
      );
    }
  }

  #call(run: number, queue: string, { local, leases, signal, words }: Running): unknown {
    const address = { storeId: this.#storeId, queue };
    const { handling } = local;
    if (handling.kind === 'single') {
      const [lease] = leases;
      return lease === undefined
        ? undefined
        : handling.handler(lease.record, new SingleContext(address, lease, signal));
    }
    const many = new ManyContext(address, leases, signal);
    const context: BatchContext = {
      get signal() {
        return signal.signal;
      },
      queue,
      attempt: many.attempt,
      deliveryId: many.deliveryId,
      ack: (id) => {
        many.ack(id);
        if (words.has(id)) return;
        words.set(id, { kind: 'delivered' });
        this.#ends.send({ kind: 'ack', run, id });
      },
      fail: (id, error) => {
        many.fail(id, error);
        if (words.has(id)) return;
        words.set(id, { kind: 'failed', error });
        const verdict = this.#verdictsOf(local, leases, new Map([[id, error]]))[0]?.verdict;
        this.#ends.send({ kind: 'fail', run, id, error: packThrown(error), verdict });
      },
    };
    return handling.handler(
      leases.map(({ record }) => record),
      context,
    );
  }

  #abort(run: number, reason: unknown): void {
    const running = this.#running.get(run);
    if (running === undefined) return;
    if (isTimeout(reason)) running.timeout = { error: reason };
    running.signal.abort(reason);
  }

  #returned(run: number, running: Running, value: unknown): void {
    if (this.#running.get(run) !== running) return;
    this.#running.delete(run);
    const { local, leases } = running;
    const result = local.handling.kind === 'batch' ? resultOf(value) : undefined;
    if (result === undefined && running.timeout === undefined) {
      if (this.#done.push(run) === 1) this.#ends.schedule();
      return;
    }
    const verdicts = this.#verdictsOf(
      local,
      leases,
      running.timeout === undefined ? failuresOf(value) : allOf(running, running.timeout.error),
    );
    this.#ends.send({ kind: 'ended', run, ended: { kind: 'returned', value: result, verdicts } });
  }

  #threw(run: number, running: Running, error: unknown): void {
    if (this.#running.get(run) !== running) return;
    this.#running.delete(run);
    const failures = allOf(running, running.timeout === undefined ? error : running.timeout.error);
    const verdicts = this.#verdictsOf(running.local, running.leases, failures);
    this.#ends.send({ kind: 'ended', run, ended: { kind: 'threw', error: packThrown(error), verdicts } });
  }

  /** What `retry.classify` says, asked here, of each of them that is in hand. */
  #verdictsOf({ classify }: Local, leases: readonly Lease[], failures: ReadonlyMap<unknown, unknown>): Verdict[] {
    if (classify === undefined) return [];
    const verdicts: Verdict[] = [];
    for (const { id, record, attempts } of leases) {
      if (!failures.has(id)) continue;
      let verdict: unknown = 'retry';
      try {
        verdict = classify(failures.get(id), record, (record.attempts ?? 0) + attempts + 1);
      } catch {
        // Who cannot judge blames the record.
      }
      verdicts.push({ id, verdict: isClass(verdict) ? verdict : 'retry' });
    }
    return verdicts;
  }

  async #probe(probe: number, local: Local | undefined): Promise<void> {
    try {
      await local?.probe?.();
      this.#ends.send({ kind: 'probed', probe, error: undefined });
    } catch (error) {
      this.#ends.send({ kind: 'probed', probe, error: packThrown(error) });
    }
  }
}

function leaseOf(record: QueueRecord, attempt: number, crashes: number): Lease {
  return {
    id: record.id,
    record,
    key: undefined,
    keyError: undefined,
    attempts: attempt - 1 - (record.attempts ?? 0),
    crashes,
    firstFailureMs: 0,
    isSuspect: false,
    forgiven: 0,
    isOver: false,
  };
}

/** What a batch handler returned, as far as it says anything. */
function resultOf(value: unknown): LinkResult | undefined {
  const failed: unknown = typeof value === 'object' && value !== null && 'failed' in value ? value.failed : undefined;
  if (failed === undefined) return undefined;
  if (!Array.isArray(failed)) return { failed: { kind: 'wrong', value: describe(failed) } };
  const items = failed.map((one: unknown) => ({ id: idOf(one), error: packThrown(errorOf(one)) }));
  return { failed: { kind: 'list', items } };
}

function failuresOf(value: unknown): Map<unknown, unknown> {
  const failed: unknown = typeof value === 'object' && value !== null && 'failed' in value ? value.failed : undefined;
  if (!Array.isArray(failed)) return new Map();
  return new Map(failed.map((one: unknown) => [idOf(one), errorOf(one)] as const).reverse());
}

function idOf(item: unknown): unknown {
  const id: unknown = typeof item === 'object' && item !== null && 'id' in item ? item.id : undefined;
  return typeof id === 'number' ? id : describe(id);
}

function errorOf(item: unknown): unknown {
  return typeof item === 'object' && item !== null && 'error' in item ? item.error : undefined;
}

/** One error for all of which nothing was said; where nobody was named, the first stands for all. */
function allOf({ leases, words }: Running, error: unknown): Map<unknown, unknown> {
  const asked = words.size === 0 ? leases.slice(0, 1) : leases.filter(({ id }) => !words.has(id));
  return new Map(asked.map(({ id }) => [id, error] as const));
}

function isTimeout(reason: unknown): boolean {
  return typeof reason === 'object' && reason !== null && 'code' in reason && reason.code === 'EVAQ_HANDLER_TIMEOUT';
}

function isClass(verdict: unknown): verdict is FailureClass {
  return verdict === 'retry' || verdict === 'unavailable' || verdict === 'dead' || verdict === 'drop';
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
