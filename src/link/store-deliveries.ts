/**
 * Deliveries whose handlers are at the other end of a link. Each is a delivery like any other in the thread that has the store; its handler sends the records over,
 * and ends when the other end says how its own has ended.
 *
 * A link that is lost takes its handlers with it: what was in them has crashed, and costs what a crash of the process would (`HandlerDied`).
 */
import { AsyncResource } from 'node:async_hooks';
import { onceAborted } from '../abortable.js';
import { askedOrder, type FoundKey } from '../delivery/asked-keys.js';
import { classifyFailure, type FailureClass } from '../delivery/classify.js';
import type { Delivery } from '../delivery/delivery.js';
import type { BatchContext, BatchResult, DeliveryContext } from '../delivery/delivery-context.js';
import { HandlerDied } from '../delivery/delivery-errors.js';
import { EvaqError } from '../errors.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { Queue } from '../queue/queue.js';
import { inTurn } from '../vfs/own-timers.js';
import type { LinkPort } from './link-port.js';
import type { FromStore, LinkEnded, LinkRun, ToStore } from './link-protocol.js';
import { packRecords } from './packed-records.js';
import { packThrown, unpackThrown } from './packed-thrown.js';
import type { StoreQuestions } from './store-questions.js';

type Message<Kind extends ToStore['kind']> = ToStore & { readonly kind: Kind };

interface Run {
  readonly delivery: LinkDelivery;
  /** In the context of its handler: what is called in it is known to be its own. */
  readonly scope: AsyncResource;
  readonly batch: BatchContext | undefined;
  readonly ids: readonly number[];
  readonly resolve: (value: BatchResult | undefined) => void;
  readonly reject: (error: unknown) => void;
  readonly over: () => void;
}

interface LinkDelivery {
  readonly number: number;
  readonly verdicts: Map<number, FailureClass>;
  readonly controller: AbortController;
  delivery: Delivery | undefined;
}

export class StoreDeliveries {
  readonly #port: LinkPort<FromStore, ToStore>;
  readonly #questions: StoreQuestions;
  readonly #deliveries = new Map<number, LinkDelivery>();
  readonly #runs = new Map<number, Run>();
  readonly #probes = new Map<number, { readonly resolve: () => void; readonly reject: (error: unknown) => void }>();
  #beginning: LinkRun[] = [];
  #records: QueueRecord[] = [];
  #runNumber = 0;
  #probeNumber = 0;
  #isLost = false;

  constructor(port: LinkPort<FromStore, ToStore>, questions: StoreQuestions) {
    this.#port = port;
    this.#questions = questions;
  }

  /** Handlers that are called in one turn go together. */
  gather(): void {
    if (this.#beginning.length === 0) return;
    const records = packRecords(this.#records);
    this.#port.send({ kind: 'runs', runs: this.#beginning, records }, records.bytes);
    this.#beginning = [];
    this.#records = [];
  }

  begin(message: Message<'deliver'>, queue: Queue | undefined): void {
    const link: LinkDelivery = {
      number: message.delivery,
      verdicts: new Map(),
      controller: new AbortController(),
      delivery: undefined,
    };
    this.#deliveries.set(link.number, link);
    try {
      if (queue === undefined) throw new RangeError(`there is no queue ${message.queue} on this link`);
      const options = this.#optionsOf(message, link);
      link.delivery = message.isBatch
        ? queue.processBatch((records, context) => this.#callBatch(link, records, context), options)
        : queue.process((record, context) => this.#callSingle(link, record, context), options);
    } catch (error) {
      this.#ended({ kind: 'undelivered', delivery: link.number, error: packThrown(error) });
      return;
    }
    const { delivery } = link;
    delivery.done.then(
      (report) => this.#ended({ kind: 'delivered', delivery: link.number, report, stats: delivery.stats() }),
      (error: unknown) => this.#ended({ kind: 'undelivered', delivery: link.number, error: packThrown(error) }),
    );
  }

  /** What is asked of a delivery. */
  ask({ delivery: number, what, args }: Message<'ask'>): unknown {
    const delivery = this.#deliveries.get(number)?.delivery;
    // It has ended, and the other end is being told.
    if (delivery === undefined) throw new EvaqError('EVAQ_CLOSED', 'the delivery was stopped');
    if (what === 'stats') return delivery.stats();
    if (what === 'drained') return delivery.drained();
    const found: unknown = Reflect.get(delivery, 'stop');
    return typeof found === 'function' ? Reflect.apply(found, delivery, [...args]) : undefined;
  }

  received(message: Message<'steer' | 'halt' | 'done' | 'ended' | 'ack' | 'fail' | 'probed'>): void {
    switch (message.kind) {
      case 'steer': {
        const delivery = this.#deliveries.get(message.delivery)?.delivery;
        if (message.how === 'pause') delivery?.pause();
        else delivery?.resume();
        return;
      }
      case 'halt':
        this.#deliveries.get(message.delivery)?.controller.abort(unpackThrown(message.reason));
        return;
      case 'done':
        for (const run of message.runs) this.#take(run)?.resolve(undefined);
        return;
      case 'ended':
        this.#runEnded(message.run, message.ended);
        return;
      case 'ack':
        this.#runs.get(message.run)?.batch?.ack(message.id);
        return;
      case 'fail': {
        const run = this.#runs.get(message.run);
        if (message.verdict !== undefined) run?.delivery.verdicts.set(message.id, message.verdict);
        run?.batch?.fail(message.id, unpackThrown(message.error));
        return;
      }
      case 'probed': {
        const probe = this.#probes.get(message.probe);
        this.#probes.delete(message.probe);
        if (message.error === undefined) probe?.resolve();
        else probe?.reject(unpackThrown(message.error));
      }
    }
  }

  /** As if the handler of that run had made the call itself. */
  within<T>(run: number, make: () => T): T {
    const scope = this.#runs.get(run)?.scope;
    return scope === undefined ? make() : scope.runInAsyncScope(make);
  }

  /** The other end is gone, and its handlers with it. */
  lost(): void {
    this.#isLost = true;
    for (const run of this.#runs.keys()) this.#take(run)?.reject(new HandlerDied());
    for (const { reject } of this.#probes.values()) reject(new HandlerDied());
    this.#probes.clear();
    for (const { delivery } of this.#deliveries.values()) void delivery?.stop();
  }

  #callSingle(link: LinkDelivery, record: QueueRecord, context: DeliveryContext): Promise<unknown> {
    return this.#call(link, [record], context, [context.attempt], [context.crashes], undefined);
  }

  #callBatch(
    link: LinkDelivery,
    records: readonly QueueRecord[],
    context: BatchContext,
  ): Promise<BatchResult | undefined> {
    const attempts = records.map(({ id }) => context.attempt(id));
    return this.#call(link, records, context, attempts, [], context);
  }

  #call(
    delivery: LinkDelivery,
    records: readonly QueueRecord[],
    { signal, queue }: { readonly signal: AbortSignal; readonly queue: string },
    attempts: readonly number[],
    crashes: readonly number[],
    batch: BatchContext | undefined,
  ): Promise<BatchResult | undefined> {
    if (this.#isLost) return Promise.reject(new HandlerDied());
    const run = ++this.#runNumber;
    this.#beginning.push({ run, delivery: delivery.number, count: records.length, attempts, crashes, queue });
    for (const record of records) this.#records.push(record);
    this.#port.schedule();
    return new Promise((resolve, reject) => {
      // It is known there by then: whoever could abort it has no turn before this turn's post.
      const abort = (reason: unknown): void => this.#port.send({ kind: 'abort run', run, reason: packThrown(reason) });
      const over = onceAborted(signal, abort);
      const scope = new AsyncResource('evaq.link', { requireManualDestroy: true });
      const ids = records.map(({ id }) => id);
      this.#runs.set(run, { delivery, scope, batch, ids, resolve, reject, over });
    });
  }

  #runEnded(number: number, ended: LinkEnded): void {
    const run = this.#take(number);
    if (run === undefined) return;
    const { verdicts } = run.delivery;
    for (const { id, verdict } of ended.verdicts) verdicts.set(id, verdict);
    if (ended.kind === 'threw') run.reject(unpackThrown(ended.error));
    else run.resolve(resultOf(ended));
    // They are asked for in this very turn.
    if (verdicts.size === 0) return;
    inTurn(() => {
      for (const id of run.ids) verdicts.delete(id);
    });
  }

  #take(number: number): Run | undefined {
    const run = this.#runs.get(number);
    if (run === undefined) return undefined;
    this.#runs.delete(number);
    run.over();
    return run;
  }

  /** The options of the other end, with what takes the place of its functions. */
  #optionsOf(message: Message<'deliver'>, link: LinkDelivery): object {
    const { options, keyHeader, asksKeys, classifies, deadClassifies, probes } = message;
    const classify = (error: unknown, { id }: QueueRecord): FailureClass =>
      link.verdicts.get(id) ?? classifyFailure(error);
    const { retry, breaker, deadLetters } = options;
    return {
      ...options,
      signal: link.controller.signal,
      ...(keyHeader === undefined ? {} : { order: ({ headers }: QueueRecord) => headers?.[keyHeader] }),
      ...(asksKeys ? { order: askedOrder((records) => this.#keysOf(link, records)) } : {}),
      ...(classifies ? { retry: { ...objectOf(retry), classify } } : {}),
      ...(deadClassifies ? { deadLetters: { retry: { ...objectOf(objectOf(deadLetters)['retry']), classify } } } : {}),
      ...(probes ? { breaker: { ...objectOf(breaker), probe: () => this.#probe(link) } } : {}),
    };
  }

  async #keysOf({ number }: LinkDelivery, records: readonly QueueRecord[]): Promise<FoundKey[]> {
    const packed = packRecords(records);
    const answer = await this.#questions.ask({ kind: 'keys', delivery: number, records: packed }, packed.bytes);
    if (answer.kind !== 'keys') return [];
    return answer.keys.map((one) => ('key' in one ? one : { error: unpackThrown(one.error) }));
  }

  #probe(link: LinkDelivery): Promise<void> {
    const probe = ++this.#probeNumber;
    this.#port.send({ kind: 'probe', probe, delivery: link.number });
    return new Promise((resolve, reject) => this.#probes.set(probe, { resolve, reject }));
  }

  #ended(message: FromStore & { readonly kind: 'delivered' | 'undelivered' }): void {
    this.#deliveries.delete(message.delivery);
    this.#port.send(message);
  }
}

function resultOf(ended: LinkEnded & { readonly kind: 'returned' }): BatchResult | undefined {
  const failed = ended.value?.failed;
  if (failed === undefined) return undefined;
  if (failed.kind === 'wrong') return asResult({ failed: failed.value });
  return asResult({ failed: failed.items.map(({ id, error }) => ({ id, error: unpackThrown(error) })) });
}

/** Whatever it is: the delivery looks at it, as at anything that a handler returns. */
function asResult(value: unknown): BatchResult | undefined {
  return isAny(value) ? value : undefined;
}

function isAny(value: unknown): value is BatchResult {
  return value !== undefined;
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
