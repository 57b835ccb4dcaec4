/**
 * The deliveries of a store: makes each of the parts of its queue, and ends all of them when the store closes.
 */
import type { Delivery } from '../delivery/delivery.js';
import type { BatchOptions, DeliveryOptions } from '../delivery/delivery-options.js';
import { resolveDelivery } from '../delivery/delivery-options.js';
import type { DeliveryReport } from '../delivery/delivery-report.js';
import type { DeliverySource } from '../delivery/delivery-source.js';
import type { FailureFacts } from '../delivery/failure-facts.js';
import {
  type BatchHandler,
  batchInvocation,
  type Handler,
  singleInvocation,
  type Within,
} from '../delivery/invocation.js';
import { QueueDeliveries } from '../delivery/queue-deliveries.js';
import type { EvaqError } from '../errors.js';
import { describe } from '../ids.js';
import type { QueueCore } from '../queue/queue-core.js';
import type { Host } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';
import { holdsDeadLetters } from './dead-letters.js';
import type { HandlerScope } from './handler-scope.js';

export interface DeliveriesOptions {
  readonly vfs: Vfs;
  readonly host: Host;
  readonly storeUuid: Buffer;
  readonly storeId: string;
  readonly scope: HandlerScope;
  readonly failure: () => EvaqError | undefined;
  /** Moves a record that is leased to the dead letters of its queue; false where it is gone. */
  readonly deadLetter: (source: QueueCore, id: number, facts: FailureFacts) => Promise<boolean>;
  /** The queue that takes the dead letters of this one, or undefined where it takes none. */
  readonly deadLettersOf: (source: QueueCore) => Promise<QueueCore> | undefined;
}

/** The deliveries of a queue together: what they have come to since the store was opened, and what they do now. */
export interface DeliveryTotals extends DeliveryReport {
  readonly queue: string;
  /** Deliveries that have not stopped. */
  readonly running: number;
  /** Records in handlers. */
  readonly inFlight: number;
  /** Handlers that go on past their time. */
  readonly overdue: number;
  /** Records that wait for their time, or for an earlier one of their key. */
  readonly waiting: number;
  /** Deliveries whose breaker is not closed: their destination is down, or was when it was tried last. */
  readonly breakersOpen: number;
  /** Counts of attempts could not be read or written. */
  readonly stateLost: boolean;
  /** Why a delivery stopped that a handler stopped, until the next one begins. */
  readonly stoppedFor: string | undefined;
}

/** How long handlers may go on when the store is closed. */
const CLOSE_GRACE_MS = 5000;

export class Deliveries {
  readonly #options: DeliveriesOptions;
  readonly #byQueue = new Map<QueueCore, QueueDeliveries>();

  constructor(options: DeliveriesOptions) {
    this.#options = options;
  }

  process(core: QueueCore, handler: Handler, options: DeliveryOptions | undefined): Delivery {
    requireHandler(handler);
    const resolved = resolveDelivery(options, false);
    const invoke = (queue: QueueCore): ReturnType<typeof singleInvocation> =>
      singleInvocation(this.#addressOf(queue), handler, this.#within(queue));
    return this.#begin(core, resolved, invoke);
  }

  processBatch(core: QueueCore, handler: BatchHandler, options: BatchOptions | undefined): Delivery {
    requireHandler(handler);
    const resolved = resolveDelivery(options, true);
    const invoke = (queue: QueueCore): ReturnType<typeof batchInvocation> =>
      batchInvocation(this.#addressOf(queue), handler, this.#within(queue));
    return this.#begin(core, resolved, invoke);
  }

  /** Of each queue that was delivered from since the store was opened. */
  totals(): DeliveryTotals[] {
    return [...this.#byQueue].map(([core, { running, report, refusal }]) => {
      const stats = [...running].map((delivery) => delivery.stats());
      return {
        queue: core.name,
        running: stats.length,
        inFlight: stats.reduce((sum, { inFlight }) => sum + inFlight, 0),
        overdue: stats.reduce((sum, { overdue }) => sum + overdue, 0),
        // They share it.
        waiting: stats[0]?.waiting ?? 0,
        breakersOpen: stats.filter(({ breaker }) => breaker !== 'closed').length,
        stateLost: stats.some(({ stateLost }) => stateLost),
        stoppedFor: refusal?.reason,
        ...report,
      };
    });
  }

  get areRunning(): boolean {
    return [...this.#byQueue.values()].some(({ running }) => running.size > 0);
  }

  /** Deliveries stop; what their handlers do not finish in time is as if it had not been tried. */
  async stop(): Promise<void> {
    const running = [...this.#byQueue.values()].flatMap((deliveries) => [...deliveries.running]);
    await Promise.all(running.map((delivery) => delivery.stop({ graceMs: CLOSE_GRACE_MS })));
  }

  #begin(
    core: QueueCore,
    options: ReturnType<typeof resolveDelivery>,
    invoke: (queue: QueueCore) => ReturnType<typeof singleInvocation>,
  ): Delivery {
    core.requireOpen();
    const dead = options.deadLettersRetry === undefined ? undefined : this.#options.deadLettersOf(core);
    const onExhausted = holdsDeadLetters(core.name) ? 'park' : 'dead-letter';
    const delivery = this.#of(core).begin({ options, retry: options.retry, onExhausted, invocation: invoke(core) });
    if (dead !== undefined && options.deadLettersRetry !== undefined) {
      void this.#alsoDead(delivery, dead, options, options.deadLettersRetry, invoke);
    }
    return delivery;
  }

  /** Dead letters are tried again by the same handler, one at a time, for as long as the delivery lasts. */
  async #alsoDead(
    delivery: Delivery,
    dead: Promise<QueueCore>,
    options: ReturnType<typeof resolveDelivery>,
    retry: NonNullable<ReturnType<typeof resolveDelivery>['deadLettersRetry']>,
    invoke: (queue: QueueCore) => ReturnType<typeof singleInvocation>,
  ): Promise<void> {
    try {
      const core = await dead;
      if (delivery.stats().state === 'stopped') return;
      const slow = { ...options, concurrency: 1, order: 'none', hold: false, deadLettersRetry: undefined } as const;
      const second = this.#of(core).begin({ options: slow, retry, onExhausted: 'park', invocation: invoke(core) });
      const stop = (): Promise<void> => second.stop();
      await delivery.done.then(stop, stop);
    } catch {
      // The store has stopped, or closed: the delivery itself says so.
    }
  }

  #of(core: QueueCore): QueueDeliveries {
    const known = this.#byQueue.get(core);
    if (known !== undefined) return known;
    const { vfs, storeUuid } = this.#options;
    const made = new QueueDeliveries({
      source: this.#sourceOf(core),
      vfs,
      dir: core.dir,
      storeUuid,
      synced: core.options.durability === 'sync',
    });
    this.#byQueue.set(core, made);
    return made;
  }

  #addressOf(core: QueueCore): { readonly storeId: string; readonly queue: string } {
    return { storeId: this.#options.storeId, queue: core.name };
  }

  #within(core: QueueCore): Within {
    const { scope } = this.#options;
    return (leases, body) => scope.run(core.name, leases, body);
  }

  #sourceOf(core: QueueCore): DeliverySource {
    const { host, storeId, failure, deadLetter } = this.#options;
    const { log, claims } = core;
    return {
      queue: core.name,
      host,
      storeId,
      isOpen: () => core.isOpen,
      failure,
      read: async (from, maxRecords, maxBytes) =>
        (await core.call(() => core.reads.read(from, Number.MAX_SAFE_INTEGER, { maxRecords, maxBytes }))).records,
      get: (id) => core.call(() => core.reads.get(id)),
      isLive: (id) => log.isLive(id),
      firstLive: (from) => log.firstLive(from),
      lastVisibleId: () => log.lastVisibleId,
      claimEnd: (id) => claims.at(id)?.outcome,
      firstClaimed: () => claims.nextClaimed(0),
      lease: (id) => claims.lease(id),
      endLease: (id) => claims.endLease(id),
      leases: () => claims.leases(),
      remove: (ids) => core.call(() => core.removing.removeMany(ids)),
      deadLetter: (id, facts) => deadLetter(core, id, facts),
      onNews: (wake) => {
        const once = (): void => {
          cancel();
          wake();
        };
        const cancels = [core.news.add(once), core.departures.add(once)];
        const cancel = (): void => {
          for (const one of cancels) one();
        };
        return cancel;
      },
      hold: () => core.hold(),
    };
  }
}

function requireHandler(handler: unknown): void {
  if (typeof handler !== 'function') throw new TypeError(`handler must be a function, got ${describe(handler)}`);
}
