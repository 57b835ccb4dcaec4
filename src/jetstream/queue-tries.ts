/**
 * What is remembered of the records of one queue that were handed out here and have not arrived: the notes of `Tries`, and those that were written here in
 * memory. A note that cannot be written or read costs counts, and is told by `lost`.
 */
import type { RetryEntry } from '../delivery/retry-table.js';
import type { Tries, TriesNote } from './tries.js';

export interface Recalled {
  readonly entry: RetryEntry;
  /** There is a note on it. */
  readonly isNoted: boolean;
}

const FRESH: RetryEntry = { attempts: 0, crashes: 0, dueMs: 0, firstFailureMs: 0 };
const NOT_NOTED: Recalled = { entry: FRESH, isNoted: false };
/** Notes that are in memory, too. */
const NOTES_MAX = 100_000;

export class QueueTries {
  lost = false;
  readonly #tries: Tries;
  readonly #queue: string;
  readonly #notes = new Map<number, TriesNote>();

  constructor(queue: string, tries: Tries) {
    this.#queue = queue;
    this.#tries = tries;
  }

  /** Records that are not due, of those that were put back here. */
  get waiting(): number {
    const now = Date.now();
    return [...this.#notes.values()].filter(({ entry }) => entry.dueMs > now).length;
  }

  /** As it was noted here. */
  known(id: number): TriesNote | undefined {
    return this.#notes.get(id);
  }

  /** Resolves when it is kept, or cannot be. */
  async note(id: number, entry: RetryEntry, deliveries: number): Promise<void> {
    const note = { entry, deliveries };
    this.#notes.set(id, note);
    if (this.#notes.size > NOTES_MAX) this.#notes.delete(this.#notes.keys().next().value ?? id);
    try {
      await this.#tries.note(this.#queue, id, note);
    } catch {
      this.lost = true;
    }
  }

  /** Of one that is handed out for the so-manieth time. Deliveries that nobody noted are those of processes that died. @throws EVAQ_IO */
  async recall(id: number, deliveries: number): Promise<Recalled> {
    if (deliveries === 1) return NOT_NOTED;
    const own = this.#notes.get(id);
    const note = own?.deliveries === deliveries - 1 ? own : await this.#tries.read(this.#queue, id);
    const { entry, deliveries: noted } = note ?? { entry: FRESH, deliveries: 0 };
    const isNoted = note !== undefined;
    const missed = Math.max(0, deliveries - 1 - noted);
    if (missed === 0) return { entry, isNoted };
    const firstFailureMs = entry.firstFailureMs || Date.now();
    const counted = { attempts: entry.attempts + missed, crashes: entry.crashes + missed, dueMs: 0, firstFailureMs };
    return { entry: counted, isNoted };
  }

  /** The record is gone. */
  forget(id: number, isNoted: boolean): void {
    if (this.#notes.delete(id) || isNoted) this.#tries.forget(this.#queue, id);
  }
}
