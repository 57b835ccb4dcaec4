/**
 * Hands the records of a queue that may be delivered now to whoever asks, each to one. One for a queue, however many deliveries share it. The finder
 * brings them.
 *
 *     never looked at --(cursor passes)--> ready --take--> leased --+--> gone
 *            ^                               ^                      |
 *            |                               +--- due --- waiting <-+   (failed, delayed, released)
 *
 * Invariants
 * - A record is leased once at a time; while it is, its entry in the table is held.
 * - Records that were in a handler when the last process died (suspects) come alone: nothing else is in flight. They come first, as far as the order
 *   lets them: in an ordered queue not before the cursor has come to them, nor before the head of their key.
 * - What a delivery that has stopped still has in a handler is passed over until it ends, and holds its place in its line.
 * - Records that are ready are leased by nobody, so that they can be removed, popped and moved.
 */
import { assert } from '../assert.js';
import type { RetryItem } from './delivery-frame.js';
import type { Handout } from './delivery-parts.js';
import type { DeliverySource } from './delivery-source.js';
import { Finder, FRESH } from './finder.js';
import type { Order } from './key-order.js';
import type { HeldLease, Lease } from './lease.js';
import type { Ready } from './ready-buffer.js';
import type { RetryEntry, RetryTable } from './retry-table.js';

export class Dispatcher implements Handout {
  readonly #source: DeliverySource;
  readonly #order: Order;
  /** Ascending. */
  readonly #suspects: Set<number>;
  /** Handed out: nothing beside it. */
  #alone: number | undefined;
  readonly #leased = new Map<number, HeldLease>();
  /** In handlers of a delivery that has stopped. */
  readonly #left: Set<number>;
  readonly #finder: Finder;
  /** Of whoever wants a whole batch, with what is on its way from the disk: it waits for it once before each. */
  #patience: 'fresh' | 'waiting' | 'spent' = 'fresh';
  #stopped = false;
  readonly #listeners = new Set<() => void>();

  /** `remembered`: entries of live records. `suspects`: live IDs, ascending, whose entries have the crash counted already. */
  constructor(source: DeliverySource, order: Order, remembered: RetryTable, suspects: readonly number[]) {
    this.#source = source;
    this.#order = order;
    this.#suspects = new Set(suspects);
    const left = source.leases();
    this.#left = new Set(left.keys());
    for (const [id, ended] of left) void ended.then(() => this.#ended(id));
    this.#finder = new Finder({
      source,
      order,
      remembered,
      isLeased: (id) => this.#leased.has(id),
      isLeft: (id) => this.#left.size > 0 && this.#left.has(id),
      onLooked: (found) => this.#looked(found),
    });
  }

  /** Why no more can be found: the queue cannot be read. */
  get failure(): unknown {
    return this.#finder.failure;
  }

  get leased(): Iterable<number> {
    return this.#leased.keys();
  }

  /** Records waiting for their time or for the head of their key. */
  get waiting(): number {
    return this.#finder.waiting;
  }

  get keysBusy(): number {
    return this.#finder.keysBusy;
  }

  /** Calls `wake` whenever there may be something to take. The result ends that. */
  listen(wake: () => void): () => void {
    this.#listeners.add(wake);
    return () => this.#listeners.delete(wake);
  }

  /** Entries above an ID, ascending: what has to be remembered. */
  entries(after: number, max: number): RetryItem[] {
    return this.#finder.entries(after, max);
  }

  /** Up to so many records, each for a handler of its own; fewer, or none, if there are not more at the moment. */
  take(maxRecords: number): Lease[] {
    return this.#take(maxRecords, Infinity, false);
  }

  /**
   * The same for one handler: of at least one record and at most so many bytes. One that has failed before is alone: it takes no others with it. What is
   * on its way from the disk is waited for, once, where there is less than a batch: then there is none yet.
   */
  takeBatch(maxRecords: number, maxBytes: number): Lease[] {
    const isShort = this.readyCount < maxRecords && this.#finder.ready.bytes < maxBytes;
    if (isShort && this.#finder.isLooking && this.#patience !== 'spent') {
      this.#patience = 'waiting';
      return [];
    }
    const taken = this.#take(maxRecords, maxBytes, true);
    if (taken.length > 0) this.#patience = 'fresh';
    return taken;
  }

  #take(maxRecords: number, maxBytes: number, isBatch: boolean): Lease[] {
    const taken: Lease[] = [];
    if (this.#stopped || this.#alone !== undefined) return taken;
    let suspect = this.#nextSuspect();
    // Of those that are ready some may be gone.
    while (typeof suspect === 'number' && this.#isIdle) {
      this.#takeSuspect(suspect, taken);
      if (taken.length > 0) break;
      suspect = this.#nextSuspect();
    }
    if (suspect === 'on its way') {
      this.#finder.look();
    } else if (suspect === undefined && (this.#order !== 'fifo' || (this.#isIdle && !this.#finder.isOwed))) {
      this.#takeInTurn(maxRecords, maxBytes, isBatch, taken);
    }
    this.#finder.lookIfLow();
    return taken;
  }

  /** How many could be taken now, about. */
  get readyCount(): number {
    return this.#finder.ready.count;
  }

  /** The records are gone, wherever they went. */
  left(leases: readonly Lease[]): void {
    for (const { id, key } of leases) {
      this.#end(id);
      this.#finder.gone(key, id);
    }
    this.#wake();
  }

  /** It is to be tried again, not before its entry says (as a date); by then it is the head of its key still. `putBack` follows. */
  settle({ id }: Lease, entry: RetryEntry): void {
    const lease = this.#leased.get(id);
    assert(lease !== undefined, 'what is settled is leased');
    lease.entry = entry;
  }

  /** What was settled is written. */
  putBack({ id }: Lease): void {
    const { entry } = this.#end(id);
    assert(entry !== undefined, 'it was settled');
    this.#finder.setBack(id, entry);
    this.#wake();
  }

  /** A leased record may have killed the thread that had it: when it is put back it comes before others, alone. */
  suspect(id: number): void {
    if (this.#suspects.has(id)) return;
    const all = [...this.#suspects, id].sort((a, b) => a - b);
    this.#suspects.clear();
    for (const one of all) this.#suspects.add(one);
  }

  /** Those of whom nobody knows yet. */
  get suspects(): readonly number[] {
    return [...this.#suspects];
  }

  /** As if it had never been taken: it comes again at once. */
  giveBack(lease: Lease): void {
    this.#end(lease.id);
    this.#finder.comeAgain(lease.id);
    this.#wake();
  }

  /**
   * Gives back attempts of a record. Returns what is to be remembered of it now, with its due time as a date; nothing where that is nothing, or where
   * it will be said by whoever has it.
   */
  forgive(id: number, count: number): RetryEntry | undefined {
    const lease = this.#leased.get(id);
    if (lease !== undefined && lease.entry === undefined) {
      lease.forgiven += count;
      return undefined;
    }
    const before = lease?.entry ?? this.#finder.table.get(id);
    if (before === undefined) return undefined;
    const entry = { ...before, attempts: Math.max(0, before.attempts - count) };
    if (lease === undefined) {
      this.#finder.table.set(id, entry);
      return this.#finder.dated(entry);
    }
    lease.entry = entry;
    return entry;
  }

  stop(): void {
    this.#stopped = true;
    this.#finder.stop();
  }

  /** Resolves when no read of the queue is under way. */
  settled(): Promise<void> {
    return this.#finder.settled();
  }

  get #isIdle(): boolean {
    return this.#leased.size === 0 && this.#left.size === 0;
  }

  #takeInTurn(maxRecords: number, maxBytes: number, isBatch: boolean, taken: Lease[]): void {
    let bytes = 0;
    for (
      let next = this.#finder.ready.peek();
      next !== undefined && taken.length < maxRecords;
      next = this.#finder.ready.peek()
    ) {
      const isSuspect = this.#suspects.size > 0 && this.#suspects.has(next.record.id);
      if (isSuspect && !this.#isIdle) break;
      bytes += next.record.payload.length;
      if (taken.length > 0 && bytes > maxBytes) break;
      const isLoner = isBatch && (this.#finder.table.get(next.record.id)?.attempts ?? 0) > 0;
      if (isLoner && taken.length > 0) break;
      this.#finder.ready.shift();
      this.#leaseIfLive(next, taken);
      if (this.#alone !== undefined || (isLoner && taken.length > 0)) break;
    }
  }

  /** The suspect to be handed out next; `undefined` where there is none, or where others must come first. */
  #nextSuspect(): number | 'on its way' | undefined {
    for (const id of this.#suspects) {
      if (this.#finder.ready.has(id)) return this.#order === 'fifo' ? undefined : id;
      if (!this.#source.isLive(id)) {
        // Whoever claims it may give it back; then it comes by itself.
        if (this.#source.claimEnd(id) === undefined) this.#suspects.delete(id);
      } else if (this.#finder.hasPassed(id)) {
        if (this.#finder.isOnItsWay(id)) return 'on its way';
      } else if (this.#order === 'none') {
        this.#finder.want(id);
        return 'on its way';
      } else if (!this.#finder.isFull) {
        return 'on its way';
      }
    }
    return undefined;
  }

  #takeSuspect(id: number, taken: Lease[]): void {
    const found = this.#finder.ready.pull(id);
    if (found !== undefined) this.#leaseIfLive(found, taken);
  }

  #leaseIfLive({ record, key, keyError }: Ready, taken: Lease[]): void {
    const { id } = record;
    if (!this.#source.isLive(id)) {
      if (!this.#finder.watch(id)) this.#finder.gone(key, id);
      return;
    }
    assert(!this.#leased.has(id), 'a record is leased once at a time');
    const isSuspect = this.#suspects.delete(id);
    if (isSuspect) this.#alone = id;
    this.#source.lease(id);
    this.#finder.table.hold(id);
    const { attempts, crashes, firstFailureMs } = this.#finder.table.get(id) ?? FRESH;
    const lease: HeldLease = {
      id,
      record,
      key,
      keyError,
      attempts,
      crashes,
      firstFailureMs,
      isSuspect,
      forgiven: 0,
      isOver: false,
      entry: undefined,
    };
    this.#leased.set(id, lease);
    taken.push(lease);
  }

  #end(id: number): HeldLease {
    const lease = this.#leased.get(id);
    assert(lease !== undefined, 'a lease ends once');
    this.#leased.delete(id);
    lease.isOver = true;
    if (this.#alone === id) this.#alone = undefined;
    this.#source.endLease(id);
    return lease;
  }

  /** A handler of a delivery that has stopped has ended. */
  #ended(id: number): void {
    this.#left.delete(id);
    if (this.#stopped) return;
    if (this.#finder.hasPassed(id)) {
      this.#finder.want(id);
      this.#finder.keepFirst(id);
    }
    this.#finder.look();
    this.#wake();
  }

  /** Whoever waits for what was on its way is told, whatever came. */
  #looked(found: boolean): void {
    const isAwaited = this.#patience === 'waiting';
    if (isAwaited) this.#patience = 'spent';
    if (found || isAwaited) this.#wake();
  }

  #wake(): void {
    for (const wake of this.#listeners) wake();
  }
}
