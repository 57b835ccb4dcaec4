/**
 * Finds the records of a queue that may be delivered now, and hands each to one who asks. One for a queue, however many deliveries share it.
 *
 *     never looked at --(cursor passes)--> ready --take--> leased --+--> gone
 *            ^                               ^                      |
 *            |                               +--- due --- waiting <-+   (failed, delayed, released)
 *
 * The cursor goes through the queue once. What it has passed and what is not gone is in one of: the ready buffer, leased, the retry table (until it is
 * due), a key's line, or on its way from the disk. So nothing that stays live is passed over for ever.
 *
 * Invariants
 * - A record is leased once at a time; while it is, its entry in the table is held.
 * - Records that were in a handler when the last process died (suspects) come alone: nothing else is in flight. They come first, as far as the order
 *   lets them: in an ordered queue not before the cursor has come to them, nor before the head of their key.
 * - What a delivery that has stopped still has in a handler is passed over until it ends, and holds its place in its line.
 * - Due times in the table are those of a clock that never goes back: a delay is as long as it was said to be, whatever the date becomes meanwhile.
 *   What is remembered and what records carry are dates, which are taken for what is left of the delay when they are read.
 * - The ready buffer is bounded in records and bytes; records in it are leased by nobody, so that they can be removed, popped and moved.
 */
import { assert } from '../assert.js';
import { EvaqError } from '../errors.js';
import type { QueueRecord } from '../log/queue-record.js';
import { clampTime } from '../times.js';
import { timeOf } from '../vfs/host.js';
import type { RetryItem } from './delivery-frame.js';
import type { DeliverySource } from './delivery-source.js';
import { KeyOrder } from './key-order.js';
import type { HeldLease, Lease } from './lease.js';
import { type Ready, ReadyBuffer } from './ready-buffer.js';
import { type RetryEntry, RetryTable } from './retry-table.js';

/** 'fifo': one at a time. A function: the key of a record, of which one is delivered at a time; `undefined`: no order for this one. */
export type Order = 'none' | 'fifo' | ((record: QueueRecord) => string | undefined);

const READY_RECORDS = 2048;
const READY_BYTES = 8 * 1024 * 1024;
/** When fewer are ready, more are fetched. */
const READY_LOW = 1024;
/** Due records fetched at a time. */
const DUE_RECORDS = 256;
/** IDs that may wait behind the heads of their keys; beyond it the cursor waits. */
const LOOKED_PAST_MAX = 100_000;
/** Due times are exact to this. */
const DUE_STEP_MS = 10;
/** After a read that failed it is tried again after this, twice as long each time. */
const READ_RETRY_MS = 10;
const READ_RETRY_MS_MAX = 1000;

const UNORDERED: Pick<Ready, 'key' | 'keyError'> = { key: undefined, keyError: undefined };
const FRESH: RetryEntry = { attempts: 0, crashes: 0, dueMs: 0, firstFailureMs: 0 };

export class Dispatcher {
  readonly #source: DeliverySource;
  readonly #order: Order;
  readonly #keys = new KeyOrder();
  /** Of records that the cursor has passed. */
  readonly #table = new RetryTable();
  /** From the last process: of records that the cursor has still to come to. */
  readonly #remembered: RetryTable;
  /** Ascending. */
  readonly #suspects: Set<number>;
  /** Handed out: nothing beside it. */
  #alone: number | undefined;
  readonly #leased = new Map<number, HeldLease>();
  /** In handlers of a delivery that has stopped. */
  readonly #left: Set<number>;
  readonly #ready = new ReadyBuffer();
  /** To be fetched by ID: heads of keys, suspects, what was given back. */
  readonly #wanted = new Set<number>();
  /** Of these, those that are being read. */
  readonly #fetching = new Set<number>();
  /** Claimed by a pop or a move when it was come upon. */
  readonly #watched = new Set<number>();
  /** Fetched before the cursor came to them. */
  readonly #early = new Set<number>();
  /** In the order 'fifo': what is to come back before anything else is taken. */
  readonly #first = new Set<number>();
  #cursor = 0;
  #filling: Promise<void> | undefined;
  #fillsAgain = false;
  /** Of whoever wants a whole batch, with what is on its way from the disk: it waits for it once before each. */
  #patience: 'fresh' | 'waiting' | 'spent' = 'fresh';
  #stopped = false;
  readonly #listeners = new Set<() => void>();
  #cancelNews: (() => void) | undefined;
  #cancelTimer: (() => void) | undefined;
  #timerAt = Infinity;
  #failedReads = 0;
  #cancelRetry: (() => void) | undefined;
  #failure: unknown;

  /** `remembered`: entries of live records. `suspects`: live IDs, ascending, whose entries have the crash counted already. */
  constructor(source: DeliverySource, order: Order, remembered: RetryTable, suspects: readonly number[]) {
    this.#source = source;
    this.#order = order;
    this.#remembered = remembered;
    this.#suspects = new Set(suspects);
    const left = source.leases();
    this.#left = new Set(left.keys());
    for (const [id, ended] of left) void ended.then(() => this.#ended(id));
    this.#listen();
  }

  /** Why no more can be found: the queue cannot be read. */
  get failure(): unknown {
    return this.#failure;
  }

  get leased(): Iterable<number> {
    return this.#leased.keys();
  }

  /** Records waiting for their time or for the head of their key. */
  get waiting(): number {
    return this.#table.size + this.#keys.waiting;
  }

  get keysBusy(): number {
    return this.#keys.keys;
  }

  /** Calls `wake` whenever there may be something to take. The result ends that. */
  listen(wake: () => void): () => void {
    this.#listeners.add(wake);
    return () => this.#listeners.delete(wake);
  }

  /** Entries above an ID, ascending: what has to be remembered. */
  entries(after: number, max: number): RetryItem[] {
    const waiting = this.#table.entries(after, max).map(([id, entry]) => [id, this.#dated(entry)] as const);
    return [...waiting, ...this.#remembered.entries(after, max)]
      .sort(([a], [b]) => a - b)
      .slice(0, max)
      .filter(([, { attempts, crashes, firstFailureMs }]) => attempts > 0 || crashes > 0 || firstFailureMs > 0);
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
    const isShort = this.readyCount < maxRecords && this.#ready.bytes < maxBytes;
    if (isShort && this.#filling !== undefined && this.#patience !== 'spent') {
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
      this.#fill();
    } else if (suspect === undefined && (this.#order !== 'fifo' || (this.#isIdle && this.#first.size === 0))) {
      this.#takeInTurn(maxRecords, maxBytes, isBatch, taken);
    }
    if (this.readyCount < READY_LOW) this.#fill();
    return taken;
  }

  /** How many could be taken now, about. */
  get readyCount(): number {
    return this.#ready.count;
  }

  /** The records are gone, wherever they went. */
  left(leases: readonly Lease[]): void {
    for (const { id, key } of leases) {
      this.#end(id);
      this.#table.delete(id);
      this.#leave(key, id);
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
    this.#table.set(id, this.#undated(entry));
    this.#keepFirst(id);
    this.#arm();
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
    const entry = this.#table.get(lease.id);
    this.#end(lease.id);
    if (entry !== undefined) this.#table.set(lease.id, { ...entry, dueMs: 0 });
    else this.#wanted.add(lease.id);
    this.#keepFirst(lease.id);
    this.#fill();
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
    const before = lease?.entry ?? this.#table.get(id);
    if (before === undefined) return undefined;
    const entry = { ...before, attempts: Math.max(0, before.attempts - count) };
    if (lease === undefined) {
      this.#table.set(id, entry);
      return this.#dated(entry);
    }
    lease.entry = entry;
    return entry;
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelNews?.();
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
  }

  /** Resolves when no read of the queue is under way. */
  async settled(): Promise<void> {
    await this.#filling;
  }

  get #isIdle(): boolean {
    return this.#leased.size === 0 && this.#left.size === 0;
  }

  #takeInTurn(maxRecords: number, maxBytes: number, isBatch: boolean, taken: Lease[]): void {
    let bytes = 0;
    for (let next = this.#ready.peek(); next !== undefined && taken.length < maxRecords; next = this.#ready.peek()) {
      const isSuspect = this.#suspects.size > 0 && this.#suspects.has(next.record.id);
      if (isSuspect && !this.#isIdle) break;
      bytes += next.record.payload.length;
      if (taken.length > 0 && bytes > maxBytes) break;
      const isLoner = isBatch && (this.#table.get(next.record.id)?.attempts ?? 0) > 0;
      if (isLoner && taken.length > 0) break;
      this.#ready.shift();
      this.#leaseIfLive(next, taken);
      if (this.#alone !== undefined || (isLoner && taken.length > 0)) break;
    }
  }

  /** The suspect to be handed out next; `undefined` where there is none, or where others must come first. */
  #nextSuspect(): number | 'on its way' | undefined {
    for (const id of this.#suspects) {
      if (this.#ready.has(id)) return this.#order === 'fifo' ? undefined : id;
      if (!this.#source.isLive(id)) {
        // Whoever claims it may give it back; then it comes by itself.
        if (this.#source.claimEnd(id) === undefined) this.#suspects.delete(id);
      } else if (id < this.#cursor) {
        if (this.#wanted.has(id) || this.#fetching.has(id)) return 'on its way';
      } else if (this.#order === 'none') {
        this.#wanted.add(id);
        return 'on its way';
      } else if (!this.#isFull) {
        return 'on its way';
      }
    }
    return undefined;
  }

  #takeSuspect(id: number, taken: Lease[]): void {
    const found = this.#ready.pull(id);
    if (found !== undefined) this.#leaseIfLive(found, taken);
  }

  #leaseIfLive({ record, key, keyError }: Ready, taken: Lease[]): void {
    const { id } = record;
    if (!this.#source.isLive(id)) {
      if (!this.#watch(id)) this.#gone(key, id);
      return;
    }
    assert(!this.#leased.has(id), 'a record is leased once at a time');
    const isSuspect = this.#suspects.delete(id);
    if (isSuspect) this.#alone = id;
    this.#source.lease(id);
    this.#table.hold(id);
    const { attempts, crashes, firstFailureMs } = this.#table.get(id) ?? FRESH;
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
    if (id < this.#cursor) {
      this.#wanted.add(id);
      this.#keepFirst(id);
    }
    this.#fill();
    this.#wake();
  }

  /** Somebody removed, popped or moved it before it was delivered. */
  #gone(key: string | undefined, id: number): void {
    this.#table.delete(id);
    this.#first.delete(id);
    this.#leave(key, id);
  }

  #leave(key: string | undefined, id: number): void {
    if (key === undefined) return;
    const next = this.#keys.leave(key, id);
    if (next === undefined) return;
    this.#wanted.add(next);
    this.#fill();
  }

  #fill(): void {
    if (this.#stopped || this.#failure !== undefined || this.#cancelRetry !== undefined) return;
    if (this.#filling !== undefined) {
      this.#fillsAgain = true;
      return;
    }
    this.#filling = this.#fillOnce()
      .catch((error: unknown) => {
        this.#readFailed(error);
        return false;
      })
      .then((found) => {
        this.#filling = undefined;
        const again = this.#fillsAgain;
        this.#fillsAgain = false;
        if (again) this.#fill();
        this.#arm();
        const isAwaited = this.#patience === 'waiting';
        if (isAwaited) this.#patience = 'spent';
        if (found || isAwaited || this.#failure !== undefined) this.#wake();
      });
  }

  /** One that may pass is tried again after a while; any other ends the deliveries. */
  #readFailed(error: unknown): void {
    if (!(error instanceof EvaqError && error.code === 'EVAQ_IO')) {
      this.#failure = error;
      return;
    }
    if (this.#stopped) return;
    const delayMs = Math.min(READ_RETRY_MS_MAX, READ_RETRY_MS * 2 ** this.#failedReads++);
    this.#cancelRetry = this.#source.host.after(delayMs, () => {
      this.#cancelRetry = undefined;
      this.#fill();
    });
  }

  /** True if something was found. */
  async #fillOnce(): Promise<boolean> {
    let found = false;
    // Turns: what comes back is not starved by what is new, nor the other way round.
    for (let turns = 0; turns < 8 && !this.#stopped; turns++) {
      const came = (await this.#fetchDue()) || (await this.#advance());
      this.#failedReads = 0;
      if (!came) break;
      found = true;
      if (this.readyCount >= READY_LOW) break;
    }
    return found;
  }

  /** Fetches what is wanted and what is due. */
  async #fetchDue(): Promise<boolean> {
    const { host } = this.#source;
    const due = this.#table.due(host.elapsed(), DUE_RECORDS);
    for (const id of due) this.#table.hold(id);
    const ids = [...new Set([...this.#wanted, ...due])].slice(0, 2 * DUE_RECORDS);
    for (const id of ids) this.#wanted.delete(id);
    if (ids.length === 0) return false;
    ids.sort((a, b) => a - b);
    const fetched = ids.filter((id) => !this.#leased.has(id) && !this.#ready.has(id) && !this.#left.has(id));
    for (const id of fetched) this.#fetching.add(id);
    const reads = await Promise.allSettled(fetched.map((id) => this.#source.get(id)));
    this.#fetching.clear();
    const failed = reads.find((read) => read.status === 'rejected');
    for (const [i, id] of fetched.entries()) {
      const read = reads[i];
      if (read?.status !== 'fulfilled') {
        this.#wanted.add(id);
        continue;
      }
      const record = read.value;
      if (id >= this.#cursor) this.#early.add(id);
      this.#adopt(id);
      if (record !== undefined) this.#makeReady(record);
      else if (!this.#watch(id)) this.#forget(id);
    }
    if (failed !== undefined) throw failed.reason;
    return fetched.length > 0;
  }

  /** What is remembered of it counts from now on. */
  #adopt(id: number): RetryEntry | undefined {
    const entry = this.#remembered.get(id);
    if (entry === undefined) return undefined;
    this.#remembered.delete(id);
    this.#table.set(id, this.#undated(entry));
    return entry;
  }

  /** The cursor waits. */
  get #isFull(): boolean {
    return this.#keys.waiting >= LOOKED_PAST_MAX || this.#ready.bytes >= READY_BYTES;
  }

  /** Goes on through the queue. */
  async #advance(): Promise<boolean> {
    if (this.#isFull) return false;
    const { host } = this.#source;
    const visible = this.#source.lastVisibleId();
    if (visible < this.#cursor) return false;
    const records = await this.#source.read(this.#cursor, READY_RECORDS, READY_BYTES);
    const last = records.at(-1);
    // What became visible since is for the next time.
    this.#cursor = last === undefined ? visible + 1 : last.id + 1;
    const now = timeOf(host);
    for (const record of records) {
      if (this.#early.size > 0 && this.#early.delete(record.id)) continue;
      const entry = this.#adopt(record.id);
      if (this.#left.size > 0 && this.#left.has(record.id)) {
        this.#passOver(record);
        continue;
      }
      const delayMs = Math.max((entry?.dueMs ?? 0) - now, delayOf(record, now));
      if (delayMs <= 0) {
        this.#makeReady(record);
        continue;
      }
      this.#table.set(record.id, { ...(entry ?? FRESH), dueMs: host.elapsed() + delayMs });
      // One that was tried keeps its place before others; one that is not due yet has none.
      if (entry === undefined) continue;
      this.#keepFirst(record.id);
      const { key } = this.#keyed(record);
      if (key !== undefined) this.#keys.enter(key, record.id);
    }
    return records.length > 0;
  }

  #makeReady(record: QueueRecord): void {
    const { key, keyError } = this.#keyed(record);
    if (key !== undefined && !this.#keys.enter(key, record.id)) return;
    const { id } = record;
    const ready = { record, key, keyError };
    this.#table.hold(id);
    if (this.#order === 'fifo') {
      this.#first.delete(id);
      this.#ready.insert(ready);
    } else {
      this.#ready.push(ready);
    }
  }

  /** Somebody has it who will let it go: it keeps its place. */
  #passOver(record: QueueRecord): void {
    this.#table.hold(record.id);
    const { key } = this.#keyed(record);
    if (key !== undefined) this.#keys.enter(key, record.id);
  }

  #keepFirst(id: number): void {
    if (this.#order === 'fifo') this.#first.add(id);
  }

  /** With its due time as a date. Whoever holds it is done with it by then. */
  #dated(entry: RetryEntry): RetryEntry {
    const { host } = this.#source;
    if (entry.dueMs === Infinity) return { ...entry, dueMs: 0 };
    return { ...entry, dueMs: clampTime(timeOf(host) + entry.dueMs - host.elapsed()) };
  }

  #undated(entry: RetryEntry): RetryEntry {
    const { host } = this.#source;
    return { ...entry, dueMs: host.elapsed() + Math.max(0, entry.dueMs - timeOf(host)) };
  }

  #keyed(record: QueueRecord): Pick<Ready, 'key' | 'keyError'> {
    if (typeof this.#order === 'string') return UNORDERED;
    try {
      const key: unknown = this.#order(record);
      if (key === undefined || typeof key === 'string') return { key, keyError: undefined };
      return { key: undefined, keyError: { error: new TypeError('order must return a string or undefined') } };
    } catch (error) {
      return { key: undefined, keyError: { error } };
    }
  }

  /** Comes back to a record that a pop or a move has, when that has ended. False where nobody has it. */
  #watch(id: number): boolean {
    const ended = this.#source.claimEnd(id);
    if (ended === undefined) return false;
    if (this.#watched.has(id)) return true;
    this.#watched.add(id);
    void ended.then(() => {
      this.#watched.delete(id);
      this.#wanted.add(id);
      this.#fill();
    });
    return true;
  }

  /** A record that was fetched by its ID is gone. */
  #forget(id: number): void {
    this.#table.delete(id);
    this.#first.delete(id);
    // Its key is not known any more: only the head of one is fetched so, and then it stands there.
    const key = this.#keys.keyOfHead(id);
    if (key !== undefined) this.#leave(key, id);
  }

  #wake(): void {
    for (const wake of this.#listeners) wake();
  }

  #listen(): void {
    this.#cancelNews = this.#source.onNews(() => {
      if (this.#stopped) return;
      this.#listen();
      if (this.readyCount < READY_LOW) this.#fill();
    });
  }

  /** Wakes when the next one is due. */
  #arm(): void {
    const { host } = this.#source;
    const due = this.#table.nextDueMs;
    if (this.#stopped || due === Infinity) return;
    const wait = Math.max(DUE_STEP_MS, due - host.elapsed());
    const at = host.elapsed() + wait;
    if (this.#cancelTimer !== undefined && this.#timerAt <= at) return;
    this.#cancelTimer?.();
    this.#timerAt = at;
    this.#cancelTimer = host.after(wait, () => {
      this.#cancelTimer = undefined;
      this.#fill();
      this.#arm();
    });
  }
}

/** What is left of a record's delay, in ms. Where the clock has gone back since the push it is no more than it was then. */
function delayOf({ dueMs, timestamp }: QueueRecord, now: number): number {
  return dueMs === undefined ? 0 : Math.min(dueMs - now, Math.max(0, dueMs - timestamp));
}
