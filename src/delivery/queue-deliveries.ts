/**
 * The deliveries of one queue: they share its records, what is remembered of them, and the delivery log. Begins with the first and ends with the last;
 * what is remembered is read again by the next first one.
 */

import { isSystemError } from '../errors.js';
import { timeOf } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';
import { readAsking } from './asked-keys.js';
import { Delivery } from './delivery.js';
import type { StopDelivery } from './delivery-errors.js';
import { DeliveryLog } from './delivery-log.js';
import { type DeliveryState, loadDeliveryState } from './delivery-log-load.js';
import type { ResolvedDelivery, ResolvedRetry } from './delivery-options.js';
import type { Work } from './delivery-parts.js';
import type { DeliveryReport } from './delivery-report.js';
import type { DeliverySource } from './delivery-source.js';
import { Dispatcher } from './dispatcher.js';
import { InFlight } from './in-flight.js';
import type { Order } from './key-order.js';
import type { Invocation } from './outcome.js';
import { type RetryEntry, RetryTable } from './retry-table.js';

export interface QueueDeliveriesOptions {
  readonly source: DeliverySource;
  readonly vfs: Vfs;
  readonly dir: string;
  readonly storeUuid: Buffer;
  /** Whether outcomes are synced. */
  readonly synced: boolean;
}

/** As those have it that were begun here: what ends with the last delivery. */
interface OwnWork extends Work {
  readonly dispatcher: Dispatcher;
  readonly log: DeliveryLog;
}

export interface Beginning {
  readonly options: ResolvedDelivery;
  readonly retry: ResolvedRetry;
  readonly onExhausted: 'dead-letter' | 'park';
  readonly invocation: Invocation;
}

/** Before the first record after a death in a handler: this, twice as long after each further one in a row. */
const CRASH_DELAY_MS = 100;
const CRASH_DELAY_MS_MAX = 10_000;

/** How often it is tried to read what is remembered, and after how long, twice as long each time. */
const LOAD_TRIES = 6;
const LOAD_RETRY_MS = 10;
const LOAD_RETRY_MS_MAX = 1000;
const NOTHING_YET: DeliveryReport = {
  delivered: 0,
  failed: 0,
  retried: 0,
  deadLettered: 0,
  dropped: 0,
  released: 0,
};

function addReports(one: DeliveryReport, other: DeliveryReport): DeliveryReport {
  return {
    delivered: one.delivered + other.delivered,
    failed: one.failed + other.failed,
    retried: one.retried + other.retried,
    deadLettered: one.deadLettered + other.deadLettered,
    dropped: one.dropped + other.dropped,
    released: one.released + other.released,
  };
}

export class QueueDeliveries {
  readonly #options: QueueDeliveriesOptions;
  readonly #running = new Set<Delivery>();
  #order: Order = 'none';
  #work: Promise<OwnWork> | undefined;
  /** Nobody is asked any more for the keys of records. */
  #stopAsking: () => void = () => undefined;
  /** The last one's end: its file is closed before the next one is begun. */
  #ended: Promise<void> = Promise.resolve();
  /** Records that may have killed a thread, of whom nobody has found out yet when the last delivery ended. */
  #suspects: readonly number[] = [];
  /** Of whichever opened a breaker last. */
  #streak = 0;
  #refusal: StopDelivery | undefined;
  /** Of those that have ended. */
  #past: DeliveryReport = NOTHING_YET;

  constructor(options: QueueDeliveriesOptions) {
    this.#options = options;
  }

  /** Why the last one stopped that a handler stopped, until the next one begins. */
  get refusal(): StopDelivery | undefined {
    return this.#refusal;
  }

  /** What all of them have come to since the store was opened, those that have ended included. */
  get report(): DeliveryReport {
    return [...this.#running].reduce((sum, delivery) => addReports(sum, delivery.stats()), this.#past);
  }

  get running(): ReadonlySet<Delivery> {
    return this.#running;
  }

  /** Throws a TypeError where the queue is delivered in another order: two cannot keep one. */
  begin({ options, retry, onExhausted, invocation }: Beginning): Delivery {
    const { source } = this.#options;
    if (this.#running.size > 0 && (options.order !== 'none' || this.#order !== 'none')) {
      throw new TypeError(`'${source.queue}' is being delivered in order: a second delivery would break it`);
    }
    this.#order = options.order;
    this.#refusal = undefined;
    this.#work ??= this.#start(options.order);
    const delivery: Delivery = new Delivery({
      source,
      work: this.#work,
      options,
      retry,
      onExhausted,
      invocation,
      noteStreak: (streak) => this.#noteStreak(streak),
      onEnded: (refusal) => this.#end(delivery, refusal),
    });
    this.#running.add(delivery);
    return delivery;
  }

  /** That the destination is back is told at once: it may be long until anything fails again. */
  #noteStreak(streak: number): void {
    const before = this.#streak;
    this.#streak = streak;
    if (streak > 0 || before === 0) return;
    void this.#work?.then(
      ({ log }) => log.noteStreak(),
      () => undefined,
    );
  }

  async #start(order: Order): Promise<OwnWork> {
    const { source, vfs, dir, storeUuid, synced } = this.#options;
    await this.#ended;
    const state = await this.#load();
    const { remembered, suspects, crashes } = recall(source, state);
    this.#streak = state.streak;
    const all = [...new Set([...suspects, ...this.#suspects])].filter((id) => source.isLive(id));
    const asking = readAsking(source, order);
    this.#stopAsking = asking.stop;
    const dispatcher = new Dispatcher(
      asking.source,
      order,
      remembered,
      all.sort((a, b) => a - b),
    );
    const log = new DeliveryLog(
      {
        vfs,
        host: source.host,
        dir,
        storeUuid,
        synced,
        entries: (after, max) => dispatcher.entries(after, max),
        streak: () => this.#streak,
      },
      state,
    );
    await log.start(state.paths);
    return {
      dispatcher,
      log,
      inFlight: new InFlight((ranges) => log.noteInFlight(ranges)),
      startsDoubtful: state.streak > 0,
      startDelayMs: crashes === 0 ? 0 : Math.min(CRASH_DELAY_MS_MAX, CRASH_DELAY_MS * 2 ** (crashes - 1)),
    };
  }

  /** A call of the system that fails may succeed later; a file that cannot be read time after time costs counts, and nothing else. */
  async #load(): Promise<DeliveryState> {
    const { source, vfs, dir, storeUuid } = this.#options;
    for (let tries = 1; ; tries++) {
      const whenUnreadable = tries < LOAD_TRIES ? 'reject' : 'go without';
      try {
        return await loadDeliveryState(vfs, dir, storeUuid, timeOf(source.host), whenUnreadable);
      } catch (error) {
        if (this.#running.size === 0 || !source.isOpen() || !isSystemError(error)) throw error;
        const delayMs = Math.min(LOAD_RETRY_MS_MAX, LOAD_RETRY_MS * 2 ** (tries - 1));
        await new Promise<void>((resolve) => source.host.after(delayMs, resolve));
      }
    }
  }

  async #end(delivery: Delivery, refusal: StopDelivery | undefined): Promise<void> {
    if (refusal !== undefined) this.#refusal = refusal;
    if (this.#running.delete(delivery)) this.#past = addReports(this.#past, delivery.stats());
    const work = this.#work;
    if (this.#running.size > 0 || work === undefined) return;
    this.#work = undefined;
    this.#ended = work.then(
      async (ended) => {
        this.#stopAsking();
        await close(ended);
        this.#suspects = [...ended.dispatcher.suspects];
      },
      () => undefined,
    );
    await this.#ended;
  }
}

async function close({ dispatcher, log }: OwnWork): Promise<void> {
  dispatcher.stop();
  await dispatcher.settled();
  await log.close();
}

/** Since the process died with it in a handler. What is due at once is written as due at the earliest time that there is in a commit. */
function isUntried({ crashes, dueMs, firstFailureMs }: RetryEntry): boolean {
  return crashes > 0 && dueMs <= firstFailureMs;
}

interface Recalled {
  readonly remembered: RetryTable;
  readonly suspects: readonly number[];
  /** Deaths in a row of whichever has most. */
  readonly crashes: number;
}

/**
 * What is remembered of records that are still there. Whoever was in a handler when the process died has failed, and is suspected of it; and so is still
 * whoever was in one at a death before, and has not been put off since: it has not been tried.
 */
function recall(source: DeliverySource, state: DeliveryState): Recalled {
  const remembered = new RetryTable();
  for (const [id, entry] of state.entries) if (source.isLive(id)) remembered.set(id, entry);
  const suspects = [...state.entries].filter(([, entry]) => isUntried(entry)).map(([id]) => id);
  let crashes = 0;
  const now = timeOf(source.host);
  for (const { first, last } of state.inFlight) {
    for (let id = source.firstLive(first); id !== undefined && id <= last; id = source.firstLive(id + 1)) {
      const before = remembered.get(id);
      const entry = {
        attempts: (before?.attempts ?? 0) + 1,
        crashes: (before?.crashes ?? 0) + 1,
        dueMs: 0,
        firstFailureMs: before?.firstFailureMs || now,
      };
      remembered.set(id, entry);
      suspects.push(id);
      crashes = Math.max(crashes, entry.crashes);
    }
  }
  return { remembered, suspects, crashes };
}
