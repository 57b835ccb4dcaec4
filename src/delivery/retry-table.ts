/**
 * What is known of records that were not delivered at once: attempts, crashes, the first failure, and when each is due. Records that never failed
 * and are not delayed are not in it.
 *
 *     pages of 4096 IDs; in a page columns sorted by ID: low bits (2 B) | due (8 B) | first failure (4 B) | attempts (2 B) | crashes (1 B)
 *
 * Seventeen bytes a record, at most half as much again for growth. Nothing is ordered by due time: a page knows its least, so finding what is due
 * looks at each page once and into those that hold some. Thousands of pages cost less to look through than a heap costs to keep.
 */
import { assert } from '../assert.js';

export interface RetryEntry {
  /** Deliveries that failed and count. */
  readonly attempts: number;
  /** Of these: deliveries during which the process died. */
  readonly crashes: number;
  /** Not to be delivered before, in ms since the epoch. Infinity: somebody holds it. */
  readonly dueMs: number;
  /** In ms since the epoch, to the second; 0: it has not failed yet. */
  readonly firstFailureMs: number;
}

const PAGE_IDS = 4096;
const ROOM_MIN = 8;
const ATTEMPTS_MAX = 0xffff;
const CRASHES_MAX = 0xff;

interface Page {
  readonly base: number;
  length: number;
  low: Uint16Array;
  due: Float64Array;
  failed: Uint32Array;
  attempts: Uint16Array;
  crashes: Uint8Array;
  /** No entry is due earlier. May lag behind: then a look finds nothing and mends it. */
  dueMin: number;
}

export class RetryTable {
  readonly #pages = new Map<number, Page>();
  #size = 0;
  /** No entry is due earlier. */
  #dueMin = Infinity;

  get size(): number {
    return this.#size;
  }

  /** Memory of the columns, in bytes. */
  get bytes(): number {
    let sum = 0;
    for (const page of this.#pages.values()) for (const { byteLength } of columnsOf(page)) sum += byteLength;
    return sum;
  }

  /** When the next one is due, or earlier; Infinity if none is. */
  get nextDueMs(): number {
    return this.#dueMin;
  }

  get(id: number): RetryEntry | undefined {
    if (this.#size === 0) return undefined;
    const page = this.#pages.get(Math.floor(id / PAGE_IDS));
    if (page === undefined) return undefined;
    const at = lowerBound(page, id - page.base);
    return holds(page, at, id) ? entryAt(page, at) : undefined;
  }

  set(id: number, { attempts, crashes, dueMs, firstFailureMs }: RetryEntry): void {
    const page = this.#pageFor(id);
    const at = lowerBound(page, id - page.base);
    if (!holds(page, at, id)) this.#insert(page, at, id - page.base);
    page.due[at] = dueMs;
    page.failed[at] = Math.min(0xffff_ffff, Math.max(0, Math.floor(firstFailureMs / 1000)));
    page.attempts[at] = Math.min(ATTEMPTS_MAX, attempts);
    page.crashes[at] = Math.min(CRASHES_MAX, crashes);
    if (dueMs < page.dueMin) page.dueMin = dueMs;
    if (dueMs < this.#dueMin) this.#dueMin = dueMs;
  }

  delete(id: number): void {
    if (this.#size === 0) return;
    const page = this.#pages.get(Math.floor(id / PAGE_IDS));
    if (page === undefined) return;
    const at = lowerBound(page, id - page.base);
    if (!holds(page, at, id)) return;
    this.#size--;
    page.length--;
    if (page.length === 0) {
      this.#pages.delete(page.base / PAGE_IDS);
      return;
    }
    for (const column of columnsOf(page)) column.copyWithin(at, at + 1, page.length + 1);
  }

  /** Somebody holds the record from now on: it is not found due until it is set again. Nothing where it has no entry. */
  hold(id: number): void {
    if (this.#size === 0) return;
    const page = this.#pages.get(Math.floor(id / PAGE_IDS));
    if (page === undefined) return;
    const at = lowerBound(page, id - page.base);
    if (holds(page, at, id)) page.due[at] = Infinity;
  }

  /** Up to `max` IDs that are due by `nowMs`, ascending. Mends `nextDueMs` where it finds fewer. */
  due(nowMs: number, max: number): number[] {
    const found: number[] = [];
    if (this.#dueMin > nowMs) return found;
    const pages = [...this.#pages.values()].filter(({ dueMin }) => dueMin <= nowMs).sort((a, b) => a.base - b.base);
    for (const page of pages) {
      let least = Infinity;
      for (let at = 0; at < page.length; at++) {
        const due = page.due[at] ?? Infinity;
        if (due < least) least = due;
        if (due > nowMs || found.length >= max) continue;
        found.push(page.base + (page.low[at] ?? 0));
      }
      page.dueMin = least;
      if (found.length >= max) return found;
    }
    this.#dueMin = Infinity;
    for (const { dueMin } of this.#pages.values()) if (dueMin < this.#dueMin) this.#dueMin = dueMin;
    return found;
  }

  /** Up to `max` entries with an ID above `after`, ascending. */
  entries(after: number, max: number): [id: number, entry: RetryEntry][] {
    const found: [number, RetryEntry][] = [];
    const pages = [...this.#pages.values()].filter(({ base }) => base + PAGE_IDS > after);
    for (const page of pages.sort((a, b) => a.base - b.base)) {
      for (let at = lowerBound(page, after + 1 - page.base); at < page.length; at++) {
        if (found.length === max) return found;
        found.push([page.base + (page.low[at] ?? 0), entryAt(page, at)]);
      }
    }
    return found;
  }

  /** Throws at the first broken invariant. */
  check(): void {
    let size = 0;
    let least = Infinity;
    for (const [number, page] of this.#pages) {
      assert(page.base === number * PAGE_IDS, 'a page stands under its number');
      assert(page.length > 0, 'a page holds something');
      for (let at = 0; at < page.length; at++) {
        assert(at === 0 || (page.low[at - 1] ?? 0) < (page.low[at] ?? 0), 'a page is sorted');
        assert((page.due[at] ?? 0) >= page.dueMin, 'the least due time of a page is a bound');
        least = Math.min(least, page.due[at] ?? 0);
      }
      size += page.length;
    }
    assert(size === this.#size, 'the size is the sum of the pages');
    assert(least >= this.#dueMin, 'the least due time is a bound');
  }

  #pageFor(id: number): Page {
    const number = Math.floor(id / PAGE_IDS);
    const known = this.#pages.get(number);
    if (known !== undefined) return known;
    const page: Page = {
      base: number * PAGE_IDS,
      length: 0,
      low: new Uint16Array(ROOM_MIN),
      due: new Float64Array(ROOM_MIN),
      failed: new Uint32Array(ROOM_MIN),
      attempts: new Uint16Array(ROOM_MIN),
      crashes: new Uint8Array(ROOM_MIN),
      dueMin: Infinity,
    };
    this.#pages.set(number, page);
    return page;
  }

  #insert(page: Page, at: number, low: number): void {
    if (page.length === page.low.length) {
      const room = Math.min(PAGE_IDS, Math.ceil(page.length * 1.5));
      page.low = grown(page.low, new Uint16Array(room));
      page.due = grown(page.due, new Float64Array(room));
      page.failed = grown(page.failed, new Uint32Array(room));
      page.attempts = grown(page.attempts, new Uint16Array(room));
      page.crashes = grown(page.crashes, new Uint8Array(room));
    }
    for (const column of columnsOf(page)) column.copyWithin(at + 1, at, page.length);
    page.low[at] = low;
    page.length++;
    this.#size++;
  }
}

type Column = Uint16Array | Float64Array | Uint32Array | Uint8Array;

function columnsOf({ low, due, failed, attempts, crashes }: Page): Column[] {
  return [low, due, failed, attempts, crashes];
}

function grown<T extends Column>(from: T, to: T): T {
  to.set(from);
  return to;
}

function holds(page: Page, at: number, id: number): boolean {
  return at < page.length && page.low[at] === id - page.base;
}

function entryAt(page: Page, at: number): RetryEntry {
  return {
    attempts: page.attempts[at] ?? 0,
    crashes: page.crashes[at] ?? 0,
    dueMs: page.due[at] ?? 0,
    firstFailureMs: (page.failed[at] ?? 0) * 1000,
  };
}

/** Where `low` stands in the page, or would. Most come in ascending order. */
function lowerBound({ low, length }: Page, wanted: number): number {
  if (length === 0 || (low[length - 1] ?? 0) < wanted) return length;
  let from = 0;
  let to = length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((low[middle] ?? 0) < wanted) from = middle + 1;
    else to = middle;
  }
  return from;
}
