/**
 * A delivery of a replicated queue: `Delivery`, with the server as the one that hands out.
 */
import { requireNoMore } from '../arguments.js';
import { Delivery } from '../delivery/delivery.js';
import type { DeliveryLike } from '../delivery/delivery-like.js';
import type { ResolvedDelivery, ResolvedRetry } from '../delivery/delivery-options.js';
import type { FlightNotes } from '../delivery/delivery-parts.js';
import type { DeliveryReport, DeliveryStats, StopOptions } from '../delivery/delivery-report.js';
import type { DeliverySource } from '../delivery/delivery-source.js';
import type { Invocation } from '../delivery/outcome.js';
import { EvaqError } from '../errors.js';
import { overMeta } from '../store/dead-letters.js';
import { nodeHost } from '../vfs/node-host.js';
import { copyRecord, type MoveEnd } from './moves.js';
import { pause } from './pause.js';
import { PullHandout } from './pull-handout.js';
import type { Tries } from './tries.js';

export interface JetStreamDeliveryInit {
  readonly from: MoveEnd;
  /** The queue that takes dead letters; `undefined`: records whose tries are used up stay. */
  readonly letters: (() => Promise<MoveEnd>) | undefined;
  readonly tries: Tries;
  readonly storeId: string;
  readonly leaseMs: number;
  readonly replicas: number;
  readonly options: ResolvedDelivery;
  readonly retry: ResolvedRetry;
  readonly invocation: Invocation;
  readonly isOpen: () => boolean;
  readonly onEnded: () => void;
}

/** The server knows what is in flight. */
const NO_NOTES: FlightNotes = { add: () => undefined, delete: () => undefined, note: () => undefined };
/** How often it is looked whether all has left. */
const DRAINED_MS = 50;
const BATCH_RECORDS_MAX = 10_000;

/** As `Delivery`. Others may deliver the same queue at the same time, here and elsewhere: they share its records. */
export class JetStreamDelivery implements DeliveryLike {
  readonly done: Promise<DeliveryReport>;
  readonly #delivery: Delivery;
  readonly #from: MoveEnd;
  #isOver = false;

  /** Made by `process` and `processBatch`. */
  constructor(init: JetStreamDeliveryInit) {
    const { from, options, retry, invocation, tries, leaseMs, replicas } = init;
    this.#from = from;
    const { maxRecords } = options.batch;
    const handout = new PullHandout({
      stream: from.stream,
      tries,
      inOrder: options.order === 'fifo',
      leaseMs,
      replicas,
      recordsMax: Math.min(BATCH_RECORDS_MAX, maxRecords * options.concurrency),
    });
    const work = handout.begin().then(() => ({
      dispatcher: handout,
      log: handout,
      inFlight: NO_NOTES,
      startsDoubtful: false,
      startDelayMs: 0,
    }));
    this.#delivery = new Delivery({
      source: sourceOf(init, handout),
      work,
      options,
      retry,
      onExhausted: init.letters === undefined ? 'park' : 'dead-letter',
      invocation,
      noteStreak: () => undefined,
      onEnded: async () => {
        this.#isOver = true;
        await handout.stop();
        init.onEnded();
      },
    });
    this.done = this.#delivery.done;
  }

  /** As `Delivery.drained`, asked of the server: all that was in the queue at the call has left it, whoever delivered it. */
  async drained(): Promise<void> {
    requireNoMore(arguments.length, 0, 'drained');
    const { stream } = this.#from;
    const { lastId } = await stream.figures();
    for (;;) {
      const { messages, firstId } = await stream.figures();
      if (messages === 0 || firstId > lastId) return;
      if (this.#isOver) {
        await this.done;
        throw new EvaqError('EVAQ_CLOSED', `the delivery of '${stream.queue}' was stopped`);
      }
      await pause(DRAINED_MS);
    }
  }

  pause(): void {
    this.#delivery.pause();
  }

  resume(): void {
    this.#delivery.resume();
  }

  /** Of this delivery alone. `waiting`: records that it gave back, and that are not due. */
  stats(): DeliveryStats {
    return this.#delivery.stats();
  }

  stop(options?: StopOptions): Promise<void> {
    return this.#delivery.stop(options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** What a delivery needs of the queue beside what hands out. */
function sourceOf({ from, letters, storeId, isOpen }: JetStreamDeliveryInit, handout: PullHandout): DeliverySource {
  const { stream } = from;
  return {
    queue: stream.queue,
    host: nodeHost,
    storeId,
    isOpen,
    failure: () => undefined,
    read: async () => [],
    get: (id) => stream.get(id),
    isLive: (id) => handout.isLeased(id),
    firstLive: () => undefined,
    lastVisibleId: () => 0,
    claimEnd: () => undefined,
    firstClaimed: () => undefined,
    lease: () => undefined,
    endLease: () => undefined,
    leases: () => new Map(),
    remove: (ids) => handout.acknowledge(ids),
    deadLetter: async (id, facts) => {
      const record = await stream.get(id);
      if (record === undefined || letters === undefined) return false;
      await copyRecord(from, await letters(), record, overMeta(record, facts));
      await handout.acknowledge([id]);
      return true;
    },
    onNews: () => () => undefined,
    hold: () => nodeHost.hold?.() ?? (() => undefined),
  };
}
