/**
 * Finds the records of a queue that may be delivered now, and puts them into the ready buffer.
 *
 * The cursor goes through the queue once. What it has passed, and what is not gone, comes back by its ID: when it is due, when it has become the head of its
 * key, when whoever had it has let it go.
 *
 * Invariants
 * - What the cursor has passed and what stays live is in one of: the ready buffer, with whoever has taken it, the retry table (until it is due), a key's
 *   line, or on its way from the disk. So nothing is passed over for ever.
 * - Due times in the table are those of a clock that never goes back: a delay is as long as it was said to be, whatever the date becomes meanwhile.
 *   What is remembered and what records carry are dates, which are taken for what is left of the delay when they are read.
 * - The ready buffer is bounded in records and bytes.
 */
import { EvaqError } from '../errors.js';
import type { QueueRecord } from '../log/queue-record.js';
import { clampTime } from '../times.js';
import { timeOf } from '../vfs/host.js';
import type { RetryItem } from './delivery-frame.js';
import type { DeliverySource } from './delivery-source.js';
import { KeyOrder, type Order } from './key-order.js';
import { type Ready, ReadyBuffer } from './ready-buffer.js';
import { type RetryEntry, RetryTable } from './retry-table.js';

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
/** Dates are whole milliseconds: a time between two of them may be longer by as much. */
const DATE_STEP_MS = 1;
/** After a read that failed it is tried again after this, twice as long each time. */
const READ_RETRY_MS = 10;
const READ_RETRY_MS_MAX = 1000;

const UNORDERED: Pick<Ready, 'key' | 'keyError'> = { key: undefined, keyError: undefined };
export const FRESH: RetryEntry = { attempts: 0, crashes: 0, dueMs: 0, firstFailureMs: 0 };

export interface FinderOptions {
  readonly source: DeliverySource;
  readonly order: Order;
  /** Entries of live records, with dates. */
  readonly remembered: RetryTable;
  /** Handed out, and not settled yet. */
  readonly isLeased: (id: number) => boolean;
  /** In a handler of a delivery that has stopped. */
  readonly isLeft: (id: number) => boolean;
  /** A look at the queue has ended. `found`: there may be something to take. */
  readonly onLooked: (found: boolean) => void;
}

export class Finder {
  readonly #source: DeliverySource;
  readonly #order: Order;
  readonly #options: FinderOptions;
  readonly #keys = new KeyOrder();
  /** Of records that the cursor has passed. Whoever takes a record holds its entry. */
  readonly table: RetryTable = new RetryTable();
  /** In the order in which they are to be handed out. */
  readonly ready: ReadyBuffer = new ReadyBuffer();
  /** From the last process: of records that the cursor has still to come to. */
  readonly #remembered: RetryTable;
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
  #stopped = false;
  #cancelNews: (() => void) | undefined;
  #cancelTimer: (() => void) | undefined;
  #timerAt = Infinity;
  #failedReads = 0;
  #cancelRetry: (() => void) | undefined;
  #failure: unknown;

  constructor(options: FinderOptions) {
    const { source, order, remembered } = options;
    this.#options = options;
    this.#source = source;
    this.#order = order;
    this.#remembered = remembered;
    this.#listen();
  }

  /** Why no more can be found: the queue cannot be read. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Records waiting for their time or for the head of their key. */
  get waiting(): number {
    return this.table.size + this.#keys.waiting;
  }

  get keysBusy(): number {
    return this.#keys.keys;
  }

  /** A look at the queue is under way; `onLooked` follows. */
  get isLooking(): boolean {
    return this.#filling !== undefined;
  }

  /** The cursor waits. */
  get isFull(): boolean {
    return this.#keys.waiting >= LOOKED_PAST_MAX || this.ready.bytes >= READY_BYTES;
  }

  /** Something is to come back before anything else is taken. */
  get isOwed(): boolean {
    return this.#first.size > 0;
  }

  hasPassed(id: number): boolean {
    return id < this.#cursor;
  }

  isOnItsWay(id: number): boolean {
    return this.#wanted.has(id) || this.#fetching.has(id);
  }

  /** Entries above an ID, ascending, with dates: what has to be remembered. */
  entries(after: number, max: number): RetryItem[] {
    const waiting = this.table.entries(after, max).map(([id, entry]) => [id, this.dated(entry)] as const);
    return [...waiting, ...this.#remembered.entries(after, max)]
      .sort(([a], [b]) => a - b)
      .slice(0, max)
      .filter(([, { attempts, crashes, firstFailureMs }]) => attempts > 0 || crashes > 0 || firstFailureMs > 0);
  }

  /** It is to be fetched by its ID; `look` follows. */
  want(id: number): void {
    this.#wanted.add(id);
  }

  /** The same, of a record that somebody had: in an ordered queue nothing is taken before it. */
  keepFirst(id: number): void {
    if (this.#order === 'fifo') this.#first.add(id);
  }

  /** It is to be delivered again, not before its entry says (as a date). */
  setBack(id: number, entry: RetryEntry): void {
    this.table.set(id, this.#undated(entry));
    this.keepFirst(id);
    this.#arm();
  }

  /** As if it had never been taken: it comes again at once. */
  comeAgain(id: number): void {
    const entry = this.table.get(id);
    if (entry !== undefined) this.table.set(id, { ...entry, dueMs: 0 });
    else this.#wanted.add(id);
    this.keepFirst(id);
    this.look();
  }

  /** A record that was ready, or taken, is gone, wherever it went. */
  gone(key: string | undefined, id: number): void {
    this.table.delete(id);
    this.#first.delete(id);
    this.#leave(key, id);
  }

  /** Looks for more, where there are few. */
  lookIfLow(): void {
    if (this.ready.count < READY_LOW) this.look();
  }

  look(): void {
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
        if (again) this.look();
        this.#arm();
        this.#options.onLooked(found || this.#failure !== undefined);
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
      this.look();
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
      if (this.ready.count >= READY_LOW) break;
    }
    return found;
  }

  /** Fetches what is wanted and what is due. */
  async #fetchDue(): Promise<boolean> {
    const { host } = this.#source;
    const due = this.table.due(host.elapsed(), DUE_RECORDS);
    for (const id of due) this.table.hold(id);
    // Those that are due are held by now: they are not to be left out.
    const ids = [...new Set([...due, ...this.#wanted])].slice(0, 2 * DUE_RECORDS);
    for (const id of ids) this.#wanted.delete(id);
    if (ids.length === 0) return false;
    ids.sort((a, b) => a - b);
    const fetched = ids.filter((id) => !this.#options.isLeased(id) && !this.ready.has(id) && !this.#options.isLeft(id));
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
      else if (!this.watch(id)) this.#forget(id);
    }
    if (failed !== undefined) throw failed.reason;
    return fetched.length > 0;
  }

  /** What is remembered of it counts from now on. */
  #adopt(id: number): RetryEntry | undefined {
    const entry = this.#remembered.get(id);
    if (entry === undefined) return undefined;
    this.#remembered.delete(id);
    this.table.set(id, this.#undated(entry));
    return entry;
  }

  /** Goes on through the queue. */
  async #advance(): Promise<boolean> {
    if (this.isFull) return false;
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
      if (this.#options.isLeft(record.id)) {
        this.#passOver(record);
        continue;
      }
      const delayMs = Math.max((entry?.dueMs ?? 0) - now, delayOf(record, now));
      if (delayMs <= 0) {
        this.#makeReady(record);
        continue;
      }
      this.table.set(record.id, { ...(entry ?? FRESH), dueMs: host.elapsed() + delayMs + DATE_STEP_MS });
      // One that was tried keeps its place before others; one that is not due yet has none.
      if (entry === undefined) continue;
      this.keepFirst(record.id);
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
    this.table.hold(id);
    if (this.#order === 'fifo') {
      this.#first.delete(id);
      this.ready.insert(ready);
    } else {
      this.ready.push(ready);
    }
  }

  /** Somebody has it who will let it go: it keeps its place. */
  #passOver(record: QueueRecord): void {
    this.table.hold(record.id);
    const { key } = this.#keyed(record);
    if (key !== undefined) this.#keys.enter(key, record.id);
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
  watch(id: number): boolean {
    const ended = this.#source.claimEnd(id);
    if (ended === undefined) return false;
    if (this.#watched.has(id)) return true;
    this.#watched.add(id);
    void ended.then(() => {
      this.#watched.delete(id);
      this.#wanted.add(id);
      this.look();
    });
    return true;
  }

  /** A record that was fetched by its ID is gone. */
  #forget(id: number): void {
    this.table.delete(id);
    this.#first.delete(id);
    // Its key is not known any more: only the head of one is fetched so, and then it stands there.
    const key = this.#keys.keyOfHead(id);
    if (key !== undefined) this.#leave(key, id);
  }

  #leave(key: string | undefined, id: number): void {
    if (key === undefined) return;
    const next = this.#keys.leave(key, id);
    if (next === undefined) return;
    this.#wanted.add(next);
    this.look();
  }

  /** With its due time as a date. Whoever holds it is done with it by then. */
  dated(entry: RetryEntry): RetryEntry {
    const { host } = this.#source;
    if (entry.dueMs === Infinity) return { ...entry, dueMs: 0 };
    return { ...entry, dueMs: clampTime(timeOf(host) + entry.dueMs - host.elapsed()) };
  }

  #undated(entry: RetryEntry): RetryEntry {
    const { host } = this.#source;
    return { ...entry, dueMs: host.elapsed() + Math.max(0, entry.dueMs - timeOf(host)) };
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

  #listen(): void {
    this.#cancelNews = this.#source.onNews(() => {
      if (this.#stopped) return;
      this.#listen();
      this.lookIfLow();
    });
  }

  /** Wakes when the next one is due. */
  #arm(): void {
    const { host } = this.#source;
    const due = this.table.nextDueMs;
    if (this.#stopped || due === Infinity) return;
    const wait = Math.max(DUE_STEP_MS, due - host.elapsed());
    const at = host.elapsed() + wait;
    if (this.#cancelTimer !== undefined && this.#timerAt <= at) return;
    this.#cancelTimer?.();
    this.#timerAt = at;
    this.#cancelTimer = host.after(wait, () => {
      this.#cancelTimer = undefined;
      this.look();
      this.#arm();
    });
  }
}

/** What is left of a record's delay, in ms. Where the clock has gone back since the push it is no more than it was then. */
function delayOf({ dueMs, timestamp }: QueueRecord, now: number): number {
  return dueMs === undefined ? 0 : Math.min(dueMs - now, Math.max(0, dueMs - timestamp));
}
