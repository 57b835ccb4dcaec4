/**
 * Hands out what the server hands to this process: for a delivery what `Dispatcher` is for a queue on this disk.
 *
 *     server --pull--> arrived (due? how often?) --> ready --take--> leased --+--> acknowledged: gone
 *        ^                    |                                               |
 *        +--- nak, with its delay <-- noted <---------------------------------+   (failed, delayed, released)
 *
 * Invariants
 * - Asked for is what handlers have room for, and no more: what is asked for begins at once.
 * - What is in hand is held: the server hears of it three times in its lease.
 * - Nothing goes back that is not noted, but for want of the server.
 */
import type { Handout, OutcomeLog } from '../delivery/delivery-parts.js';
import type { HeldLease, Lease } from '../delivery/lease.js';
import type { RetryEntry } from '../delivery/retry-table.js';
import { after, elapsedMs } from '../vfs/own-timers.js';
import { type Pulled, QueueConsumer } from './queue-consumer.js';
import type { QueueStream } from './queue-stream.js';
import { recordOf } from './record-message.js';
import type { Tries, TriesNote } from './tries.js';

export interface PullHandoutOptions {
  readonly stream: QueueStream;
  readonly tries: Tries;
  readonly inOrder: boolean;
  readonly leaseMs: number;
  readonly replicas: number;
  /** Handlers, or the records of their batches: no more than this is asked for. */
  readonly recordsMax: number;
}

interface Held {
  readonly lease: HeldLease;
  /** The newest, where it came again while it was in hand. */
  pulled: Pulled;
  /** There is a note on it. */
  readonly isNoted: boolean;
}

const FRESH: RetryEntry = { attempts: 0, crashes: 0, dueMs: 0, firstFailureMs: 0 };
/** A batch that is not full waits so long for what is on its way. */
const PATIENCE_MS = 5;
/** The server forgets nothing for so long; what is due later comes by, and is put off again. */
const DELAY_MS_MAX = 3_600_000;
/** Before what is not there is asked for again. */
const RETRY_MS = 500;
/** Notes that are remembered here, too. */
const NOTES_MAX = 100_000;

export class PullHandout implements Handout, OutcomeLog {
  lost = false;
  failure: unknown;
  readonly #options: PullHandoutOptions;
  readonly #consumer: QueueConsumer;
  readonly #ready: Held[] = [];
  readonly #held = new Map<number, Held>();
  /** What was put back here, as it is noted. */
  readonly #notes = new Map<number, TriesNote>();
  readonly #listeners = new Set<() => void>();
  #cancelHolding: () => void = () => undefined;
  #asked = 0;
  #arriving = 0;
  #lastArrivalAt = 0;
  #stopped = false;

  constructor(options: PullHandoutOptions) {
    this.#options = options;
    const { stream } = options;
    this.#consumer = new QueueConsumer(stream.place.stream, stream.api, {
      onMessage: (pulled, wasAsked) => {
        if (wasAsked) this.#asked--;
        void this.#arrived(pulled);
      },
      onOver: (missing) => {
        this.#asked -= missing;
        this.#wake();
      },
      onLost: () => void this.#again(),
    });
    this.#holdOn();
  }

  /** The consumer is there. */
  async begin(): Promise<void> {
    const { tries, inOrder, leaseMs, replicas } = this.#options;
    await tries.ensure(replicas);
    await this.#consumer.ensure(inOrder, leaseMs);
  }

  /** The server hears of what is in hand. */
  #holdOn(): void {
    this.#cancelHolding = after(this.#options.leaseMs / 3, () => {
      for (const { pulled } of [...this.#ready, ...this.#held.values()]) this.#consumer.hold(pulled);
      this.#holdOn();
    });
  }

  get leased(): Iterable<number> {
    return this.#held.keys();
  }

  isLeased(id: number): boolean {
    return this.#held.has(id);
  }

  get waiting(): number {
    const now = Date.now();
    return [...this.#notes.values()].filter(({ entry }) => entry.dueMs > now).length;
  }

  get readyCount(): number {
    return this.#ready.length;
  }

  listen(wake: () => void): () => void {
    this.#listeners.add(wake);
    return () => this.#listeners.delete(wake);
  }

  take(maxRecords: number): Lease[] {
    return this.#take(maxRecords, Infinity, false);
  }

  takeBatch(maxRecords: number, maxBytes: number): Lease[] {
    const isShort = this.#ready.length < maxRecords && this.#asked + this.#arriving > 0;
    if (isShort && this.#ready.length > 0) {
      const waited = elapsedMs() - this.#lastArrivalAt;
      if (waited < PATIENCE_MS) {
        after(PATIENCE_MS - waited, () => this.#wake());
        return [];
      }
    }
    return this.#take(maxRecords, maxBytes, true);
  }

  #take(maxRecords: number, maxBytes: number, isBatch: boolean): Lease[] {
    const taken: Lease[] = [];
    let bytes = 0;
    while (taken.length < maxRecords) {
      const [next] = this.#ready;
      if (next === undefined) break;
      const { lease } = next;
      bytes += lease.record.payload.length;
      // What has failed before is alone in its batch.
      const isLoner = isBatch && lease.attempts > 0;
      if (taken.length > 0 && (bytes > maxBytes || isLoner)) break;
      this.#ready.shift();
      this.#held.set(lease.id, next);
      taken.push(lease);
      if (isLoner) break;
    }
    this.#ask(maxRecords - taken.length);
    return taken;
  }

  /** So many have room beyond what is in hand and on its way. */
  #ask(room: number): void {
    if (this.#stopped) return;
    const wanted = Math.min(room, this.#options.recordsMax) - this.#ready.length - this.#arriving - this.#asked;
    if (wanted <= 0) return;
    this.#asked += wanted;
    this.#consumer.pull(wanted);
  }

  left(leases: readonly Lease[]): void {
    const { tries, stream } = this.#options;
    for (const { id } of leases) {
      const held = this.#end(id);
      stream.noteRemoved(id);
      this.#notes.delete(id);
      if (held?.isNoted === true) tries.forget(stream.queue, id);
    }
    this.#wake();
  }

  settle({ id }: Lease, entry: RetryEntry): void {
    const held = this.#held.get(id);
    if (held !== undefined) held.lease.entry = entry;
  }

  /** Of the log: how often it has failed, before it goes back. */
  async note(id: number, entry: RetryEntry): Promise<void> {
    const deliveries = this.#held.get(id)?.pulled.deliveries ?? this.#notes.get(id)?.deliveries;
    if (deliveries === undefined) return;
    await this.#noteOf(id, { entry, deliveries });
  }

  putBack({ id }: Lease): void {
    const held = this.#end(id);
    const entry = held?.lease.entry;
    if (held !== undefined) this.#consumer.giveBack(held.pulled, delayOf(entry));
    this.#wake();
  }

  giveBack(lease: Lease): void {
    const held = this.#end(lease.id);
    if (held !== undefined) void this.#release(held);
    this.#wake();
  }

  /** As if it had never been handed out. */
  async #release({ lease, pulled }: Held): Promise<void> {
    const { attempts, crashes, firstFailureMs, forgiven } = lease;
    const entry = { attempts: Math.max(0, attempts - forgiven), crashes, firstFailureMs, dueMs: 0 };
    await this.#noteOf(lease.id, { entry, deliveries: pulled.deliveries });
    this.#consumer.giveBack(pulled, 0);
  }

  async #noteOf(id: number, note: TriesNote): Promise<void> {
    this.#notes.set(id, note);
    if (this.#notes.size > NOTES_MAX) this.#notes.delete(this.#notes.keys().next().value ?? id);
    try {
      await this.#options.tries.note(this.#options.stream.queue, id, note);
    } catch {
      this.lost = true;
    }
  }

  /** Only the thread of a handler that dies leaves any; here there is none. */
  suspect(): void {}

  forgive(id: number, count: number): RetryEntry | undefined {
    const lease = this.#held.get(id)?.lease;
    if (lease !== undefined && lease.entry === undefined) {
      lease.forgiven += count;
      return undefined;
    }
    const before = lease?.entry ?? this.#notes.get(id)?.entry;
    if (before === undefined) return undefined;
    const entry = { ...before, attempts: Math.max(0, before.attempts - count) };
    if (lease !== undefined) lease.entry = entry;
    return entry;
  }

  /** Removes records that have arrived. */
  async acknowledge(ids: readonly number[]): Promise<number> {
    const held = ids.map((id) => this.#held.get(id)).filter((one) => one !== undefined);
    const ended = await Promise.allSettled(held.map(({ pulled }) => this.#consumer.acknowledge(pulled)));
    const failed = ended.find((one) => one.status === 'rejected');
    // It comes again: at least once.
    if (failed !== undefined) throw failed.reason;
    return ended.length;
  }

  /** What is in hand goes back. Resolves when the server has been told. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelHolding();
    await Promise.all(this.#ready.splice(0).map((held) => this.#release(held)));
    this.#consumer.stop();
    await this.#options.stream.api.connection.flush().catch(() => undefined);
  }

  async #arrived(pulled: Pulled): Promise<void> {
    const inHand = this.#held.get(pulled.sequence) ?? this.#ready.find(({ lease }) => lease.id === pulled.sequence);
    if (inHand !== undefined) {
      // The server had not heard of it in time.
      inHand.pulled = pulled;
      return;
    }
    this.#arriving++;
    try {
      const known = pulled.deliveries === 1 ? { entry: FRESH, isNoted: false } : await this.#recall(pulled);
      const record = recordOf(pulled);
      const dueMs = Math.max(known.entry.dueMs, pulled.deliveries === 1 ? (record.dueMs ?? 0) : 0);
      if (dueMs > Date.now() + PATIENCE_MS) {
        const entry = { ...known.entry, dueMs };
        await this.#noteOf(record.id, { entry, deliveries: pulled.deliveries });
        this.#consumer.giveBack(pulled, delayOf(entry));
        return;
      }
      const { attempts, crashes, firstFailureMs } = known.entry;
      const lease: HeldLease = {
        id: record.id,
        record,
        key: undefined,
        keyError: undefined,
        attempts,
        crashes,
        firstFailureMs,
        isSuspect: false,
        forgiven: 0,
        isOver: false,
        entry: undefined,
      };
      const held: Held = { lease, pulled, isNoted: known.isNoted };
      if (this.#stopped) void this.#release(held);
      else this.#ready.push(held);
    } catch {
      // Not told how often: it comes again when its lease is over.
      this.lost = true;
    } finally {
      this.#arriving--;
      this.#lastArrivalAt = elapsedMs();
      this.#wake();
    }
  }

  /** What is known of one that was handed out before. Deliveries that nobody noted are those of processes that died. */
  async #recall({ sequence, deliveries }: Pulled): Promise<{ entry: RetryEntry; isNoted: boolean }> {
    const { tries, stream } = this.#options;
    const own = this.#notes.get(sequence);
    const note = own?.deliveries === deliveries - 1 ? own : await tries.read(stream.queue, sequence);
    const { entry, deliveries: noted } = note ?? { entry: FRESH, deliveries: 0 };
    const missed = Math.max(0, deliveries - 1 - noted);
    if (missed === 0) return { entry, isNoted: note !== undefined };
    const firstFailureMs = entry.firstFailureMs || Date.now();
    const counted = { attempts: entry.attempts + missed, crashes: entry.crashes + missed, dueMs: 0, firstFailureMs };
    return { entry: counted, isNoted: note !== undefined };
  }

  #end(id: number): Held | undefined {
    const held = this.#held.get(id);
    this.#held.delete(id);
    if (held !== undefined) held.lease.isOver = true;
    return held;
  }

  /** Somebody removed the consumer. */
  async #again(): Promise<void> {
    try {
      await this.#consumer.ensure(this.#options.inOrder, this.#options.leaseMs);
    } catch (error) {
      if (this.#stopped) return;
      if (this.#options.stream.api.connection.isClosed()) this.failure = error;
      else after(RETRY_MS, () => void this.#again());
    }
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#listeners) wake();
  }
}

function delayOf(entry: RetryEntry | undefined): number {
  return entry === undefined ? 0 : Math.min(DELAY_MS_MAX, Math.max(0, entry.dueMs - Date.now()));
}
