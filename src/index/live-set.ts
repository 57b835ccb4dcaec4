/**
 * Which records of one segment are live: not yet removed. It answers by ID, so that removing touches no tree node, and it
 * costs memory only where removals leave live and dead records mixed (P12): a segment that nobody touched, one drained in
 * order, one whose whole front was removed cost a few bytes per 65 536 records.
 *
 * The IDs from `first` on are cut into pages (`live-page.ts`). A directory lists pages by their number, ascending; a page
 * that is not listed is all live or all dead, as `#unlistedLive` says for all of them. A rewritten segment can therefore
 * hold a few stragglers from a range of billions of IDs without a word for the gaps between them.
 *
 * Invariants, besides those of a page:
 * - `#numbers` ascends; `#pages` and `#counts` (live IDs of a page) run parallel to it.
 * - All live, empty: the directory is empty and `#unlistedLive` is true. All dead: empty and false.
 * - `#liveCount` is the sum of the counts and, where `#unlistedLive`, the spans of the unlisted pages.
 *
 * Everything is synchronous. A generator may be left open across changes: it continues behind the last run it gave, on
 * the state of that moment.
 */
import { assert } from '../assert.js';
import type { IdRange } from '../ids.js';
import {
  addBits,
  buildPage,
  checkPage,
  clearBit,
  clearBits,
  countLiveBits,
  hasBit,
  type LivePage,
  lowerBound,
  nextDeadBit,
  nextLiveBit,
  PAGE_IDS,
  shrinkBitmap,
  shrinkSparse,
} from './live-page.js';

/** The live IDs of the closed range from `first` to `last`, where `last` may grow. */
export class LiveSet {
  readonly #first: number;
  #last: number;
  #liveCount: number;
  #unlistedLive = true;
  readonly #numbers: number[] = [];
  readonly #pages: LivePage[] = [];
  readonly #counts: number[] = [];

  /** All IDs from `first` to `last` are live; `last` = `first` - 1 makes an empty set. */
  constructor(first: number, last: number) {
    assert(Number.isSafeInteger(first) && first >= 0, `a live set begins at ${first}`);
    assert(Number.isSafeInteger(last) && last >= first - 1, `a live set from ${first} ends at ${last}`);
    this.#first = first;
    this.#last = last;
    this.#liveCount = last - first + 1;
  }

  /**
   * Only the IDs in `runs` are live, which ascend, are disjoint and lie in the range: a rewritten segment, or one with
   * damage. Costs what the result holds, however wide the range.
   */
  static fromRuns(first: number, last: number, runs: Iterable<IdRange>): LiveSet {
    const set = new LiveSet(first, last);
    set.#unlistedLive = false;
    set.#liveCount = 0;
    // The runs of the page being gathered, as pairs of bits, and what they sum up to.
    let number = -1;
    let live = 0;
    let bits: number[] = [];
    let end = first - 1;
    for (const run of runs) {
      assert(run.first > end && run.first <= run.last && run.last <= last, 'runs of live IDs must ascend in the range');
      end = run.last;
      const lastOffset = run.last - first;
      let offset = run.first - first;
      while (offset <= lastOffset) {
        const at = Math.floor(offset / PAGE_IDS);
        if (at !== number) {
          set.#gather(number, bits, live);
          number = at;
          live = 0;
          bits = [];
        }
        const base = number * PAGE_IDS;
        const lastBit = Math.min(lastOffset - base, PAGE_IDS - 1);
        bits.push(offset - base, lastBit);
        live += lastBit - (offset - base) + 1;
        offset = base + PAGE_IDS;
      }
    }
    set.#gather(number, bits, live);
    set.#settle();
    return set;
  }

  #gather(number: number, bits: readonly number[], live: number): void {
    if (live === 0) return;
    this.#list(this.#numbers.length, number, buildPage(bits, live, this.#span(number)), live);
    this.#liveCount += live;
  }

  /** As it is now. Costs a copy of the pages that are mixed. */
  clone(): LiveSet {
    const copy = new LiveSet(this.#first, this.#last);
    copy.#liveCount = this.#liveCount;
    copy.#unlistedLive = this.#unlistedLive;
    for (const number of this.#numbers) copy.#numbers.push(number);
    for (const page of this.#pages) copy.#pages.push(page?.slice() ?? page);
    for (const count of this.#counts) copy.#counts.push(count);
    return copy;
  }

  get first(): number {
    return this.#first;
  }

  /** `first` - 1 while the set is empty. */
  get last(): number {
    return this.#last;
  }

  get liveCount(): number {
    return this.#liveCount;
  }

  /** The range now ends at `last`, which is no lower than before; its new IDs are live. */
  extend(last: number): void {
    assert(Number.isSafeInteger(last) && last >= this.#last, 'a live set must not shrink');
    const total = this.#last - this.#first + 1;
    const added = last - this.#last;
    if (added === 0) return;
    this.#last = last;
    this.#liveCount += added;
    const lastNumber = Math.floor((last - this.#first) / PAGE_IDS);
    let number = Math.floor(total / PAGE_IDS);
    const bit = total - number * PAGE_IDS;
    if (bit > 0) {
      this.#extendPage(number, bit);
      number++;
    }
    if (this.#unlistedLive) return;
    for (; number <= lastNumber; number++) {
      this.#list(this.#numbers.length, number, undefined, this.#span(number));
    }
  }

  /** The page `number`, so far of `bit` IDs, has more of them, all live. */
  #extendPage(number: number, bit: number): void {
    const span = this.#span(number);
    const added = span - bit;
    const at = findNumber(this.#numbers, number);
    if (at < 0) {
      if (!this.#unlistedLive) this.#list(~at, number, buildPage([bit, span - 1], added, span), added);
      return;
    }
    const page = this.#pages[at];
    const live = this.#counts[at] ?? 0;
    this.#counts[at] = live + added;
    if (page === undefined) return;
    this.#pages[at] =
      page === null ? buildPage([bit, span - 1], added, span) : addBits(page, live, span, bit, span - 1);
  }

  /** False, too, for an ID outside the range. */
  has(id: number): boolean {
    if (!(id >= this.#first && id <= this.#last)) return false;
    const offset = id - this.#first;
    const number = Math.floor(offset / PAGE_IDS);
    const at = findNumber(this.#numbers, number);
    if (at < 0) return this.#unlistedLive;
    const page = this.#pages[at];
    if (page === undefined) return true;
    if (page === null) return false;
    const bit = offset - number * PAGE_IDS;
    if (page instanceof Int32Array) return hasBit(page, bit);
    const live = this.#counts[at] ?? 0;
    const item = lowerBound(page, live, bit);
    return item < live && page[item] === bit;
  }

  /** True if the ID was live; it is dead now. */
  remove(id: number): boolean {
    if (!(id >= this.#first && id <= this.#last)) return false;
    const offset = id - this.#first;
    const number = Math.floor(offset / PAGE_IDS);
    const bit = offset - number * PAGE_IDS;
    let at = findNumber(this.#numbers, number);
    if (at < 0) {
      if (!this.#unlistedLive) return false;
      at = this.#list(~at, number, undefined, this.#span(number));
    }
    const page = this.#pages[at];
    const live = this.#counts[at] ?? 0;
    if (page === null) return false;
    if (page === undefined) {
      const span = this.#span(number);
      this.#pages[at] = buildPage([0, bit - 1, bit + 1, span - 1], live - 1, span);
    } else if (page instanceof Int32Array) {
      if (!clearBit(page, bit)) return false;
      const shrunk = shrinkBitmap(page, live - 1, this.#span(number));
      if (shrunk !== page) this.#pages[at] = shrunk;
    } else {
      const item = lowerBound(page, live, bit);
      if (item === live || page[item] !== bit) return false;
      page.copyWithin(item, item + 1, live);
      const shrunk = shrinkSparse(page, live - 1);
      if (shrunk !== page) this.#pages[at] = shrunk;
    }
    this.#counts[at] = live - 1;
    this.#liveCount--;
    this.#settle();
    return true;
  }

  /** Takes a removal back. The ID is in the range and dead. */
  revive(id: number): void {
    assert(id >= this.#first && id <= this.#last, 'an ID outside the range of its segment was revived');
    assert(!this.has(id), 'a live ID was revived');
    const offset = id - this.#first;
    const number = Math.floor(offset / PAGE_IDS);
    const bit = offset - number * PAGE_IDS;
    const span = this.#span(number);
    let at = findNumber(this.#numbers, number);
    if (at < 0) at = this.#list(~at, number, null, 0);
    const page = this.#pages[at];
    const live = this.#counts[at] ?? 0;
    if (page === null || page === undefined) this.#pages[at] = buildPage([bit, bit], 1, span);
    else this.#pages[at] = addBits(page, live, span, bit, bit);
    this.#counts[at] = live + 1;
    this.#liveCount++;
    this.#settle();
  }

  /** All IDs from `first` to `last` are dead now, as far as they are in the range; how many of them were live. */
  removeRange(first: number, last: number): number {
    const from = Math.max(first, this.#first);
    const to = Math.min(last, this.#last);
    if (!(from <= to)) return 0;
    let removed = 0;
    if (from === this.#first && to === this.#last) {
      removed = this.#liveCount;
    } else {
      const fromOffset = from - this.#first;
      const toOffset = to - this.#first;
      const lastNumber = Math.floor(toOffset / PAGE_IDS);
      let number = Math.floor(fromOffset / PAGE_IDS);
      let at = findNumber(this.#numbers, number);
      if (at < 0) at = ~at;
      while (number <= lastNumber) {
        if (this.#numbers[at] !== number) {
          if (!this.#unlistedLive) {
            number = this.#numbers[at] ?? Number.POSITIVE_INFINITY;
            continue;
          }
          this.#list(at, number, undefined, this.#span(number));
        }
        const base = number * PAGE_IDS;
        const span = this.#span(number);
        removed += this.#removeInPage(at, span, Math.max(0, fromOffset - base), Math.min(span - 1, toOffset - base));
        number++;
        at++;
      }
    }
    this.#liveCount -= removed;
    this.#settle();
    return removed;
  }

  #removeInPage(at: number, span: number, first: number, last: number): number {
    const page = this.#pages[at];
    const live = this.#counts[at] ?? 0;
    if (page === null) return 0;
    if (first === 0 && last === span - 1) {
      this.#pages[at] = null;
      this.#counts[at] = 0;
      return live;
    }
    let removed: number;
    if (page === undefined) {
      removed = last - first + 1;
      this.#pages[at] = buildPage([0, first - 1, last + 1, span - 1], live - removed, span);
    } else if (page instanceof Int32Array) {
      removed = clearBits(page, first, last);
      this.#pages[at] = shrinkBitmap(page, live - removed, span);
    } else {
      const from = lowerBound(page, live, first);
      const end = lowerBound(page, live, last + 1);
      removed = end - from;
      page.copyWithin(from, end, live);
      this.#pages[at] = shrinkSparse(page, live - removed);
    }
    this.#counts[at] = live - removed;
    return removed;
  }

  /** The lowest live ID that is `from` or more. */
  firstLive(from: number): number | undefined {
    return this.#firstThat(true, from);
  }

  /** The lowest dead ID of the range that is `from` or more. */
  firstDead(from: number): number | undefined {
    return this.#firstThat(false, from);
  }

  #firstThat(isLive: boolean, from: number): number | undefined {
    let offset = Math.max(0, from - this.#first);
    if (offset > this.#last - this.#first) return undefined;
    const lastNumber = Math.floor((this.#last - this.#first) / PAGE_IDS);
    let number = Math.floor(offset / PAGE_IDS);
    let at = findNumber(this.#numbers, number);
    if (at < 0) at = ~at;
    while (number <= lastNumber) {
      if (this.#numbers[at] === number) {
        const page = this.#pages[at];
        const live = this.#counts[at] ?? 0;
        const from = offset - number * PAGE_IDS;
        const last = this.#span(number) - 1;
        const bit = isLive ? nextLiveBit(page, live, from, last) : nextDeadBit(page, live, from, last);
        if (bit >= 0) return this.#first + number * PAGE_IDS + bit;
        number++;
        at++;
      } else {
        if (this.#unlistedLive === isLive) return this.#first + offset;
        number = this.#numbers[at] ?? Number.POSITIVE_INFINITY;
      }
      offset = number * PAGE_IDS;
    }
    return undefined;
  }

  /** How many IDs from `first` to `last` are live. */
  countLive(first: number, last: number): number {
    const from = Math.max(first, this.#first);
    const to = Math.min(last, this.#last);
    if (!(from <= to)) return 0;
    const fromOffset = from - this.#first;
    const toOffset = to - this.#first;
    const lastNumber = Math.floor(toOffset / PAGE_IDS);
    let count = 0;
    let number = Math.floor(fromOffset / PAGE_IDS);
    let at = findNumber(this.#numbers, number);
    if (at < 0) at = ~at;
    while (number <= lastNumber) {
      const base = number * PAGE_IDS;
      const first = Math.max(0, fromOffset - base);
      if (this.#numbers[at] === number) {
        const span = this.#span(number);
        const live = this.#counts[at] ?? 0;
        const last = Math.min(span - 1, toOffset - base);
        count += first === 0 && last === span - 1 ? live : countLiveBits(this.#pages[at], live, first, last);
        number++;
        at++;
      } else {
        number = Math.min(this.#numbers[at] ?? lastNumber + 1, lastNumber + 1);
        if (this.#unlistedLive) count += Math.min(toOffset, number * PAGE_IDS - 1) - (base + first) + 1;
      }
    }
    return count;
  }

  /** The maximal runs of live IDs from `from` on, ascending. */
  *liveRuns(from: number = this.#first): Generator<IdRange, void, undefined> {
    let first = this.firstLive(from);
    while (first !== undefined) {
      const end: number = this.firstDead(first) ?? this.#last + 1;
      yield { first, last: end - 1 };
      first = this.firstLive(end);
    }
  }

  /** The maximal runs of dead IDs, ascending. */
  *deadRuns(): Generator<IdRange, void, undefined> {
    let first = this.firstDead(this.#first);
    while (first !== undefined) {
      const end: number = this.firstLive(first) ?? this.#last + 1;
      yield { first, last: end - 1 };
      first = this.firstDead(end);
    }
  }

  /** Memory held, in bytes, approximately. Costs a step per page. */
  get bytes(): number {
    let bytes = SET_BYTES + this.#numbers.length * LISTED_BYTES;
    for (const page of this.#pages) {
      if (page !== null && page !== undefined) bytes += ARRAY_BYTES + page.byteLength;
    }
    return bytes;
  }

  /** Walks all of it and throws at the first broken invariant. */
  check(): void {
    const total = this.#last - this.#first + 1;
    const pages = Math.ceil(total / PAGE_IDS);
    assert(Number.isSafeInteger(this.#last) && total >= 0, `a live set from ${this.#first} ends at ${this.#last}`);
    assert(this.#pages.length === this.#numbers.length, 'the directory of pages has another length than their numbers');
    assert(this.#counts.length === this.#numbers.length, 'the counts have another length than their pages');
    let live = 0;
    let listed = 0;
    let previous = -1;
    this.#numbers.forEach((number, at) => {
      assert(Number.isSafeInteger(number) && number > previous && number < pages, `page ${number} is out of place`);
      previous = number;
      const span = this.#span(number);
      checkPage(this.#pages[at], this.#counts[at] ?? 0, span);
      live += this.#counts[at] ?? 0;
      listed += span;
    });
    if (this.#unlistedLive) live += total - listed;
    assert(live === this.#liveCount, `a live set counts ${this.#liveCount} live IDs and holds ${live}`);
    if (live === total) assert(this.#unlistedLive && listed === 0, 'a live set that is all live lists pages');
    else if (live === 0) assert(!this.#unlistedLive && listed === 0, 'a live set that is all dead lists pages');
  }

  /** How many IDs the page `number` has. */
  #span(number: number): number {
    return Math.min(PAGE_IDS, this.#last - this.#first + 1 - number * PAGE_IDS);
  }

  /** Puts a page into the directory, at its place `at`, which is returned. */
  #list(at: number, number: number, page: LivePage, live: number): number {
    if (at === this.#numbers.length) {
      this.#numbers.push(number);
      this.#pages.push(page);
      this.#counts.push(live);
    } else {
      this.#numbers.splice(at, 0, number);
      this.#pages.splice(at, 0, page);
      this.#counts.splice(at, 0, live);
    }
    return at;
  }

  /** Drops the directory once one flag says it all. */
  #settle(): void {
    const isAllLive = this.#liveCount === this.#last - this.#first + 1;
    if (!isAllLive && this.#liveCount !== 0) return;
    this.#unlistedLive = isAllLive;
    // An idle queue comes here with every record. Assigning to `length` would drop the arrays' memory and cost more than
    // the rest of the removal; `pop` keeps it for the one page to come.
    for (let listed = this.#numbers.length; listed > 0; listed--) {
      this.#numbers.pop();
      this.#pages.pop();
      this.#counts.pop();
    }
  }
}

// What the objects take besides the items of the arrays, measured on Node 20.20, x86-64, over many of each. A typed array is
// about 190 B of JavaScript objects and, where it has over 64 B, the allocator's share and a backing store outside the heap.
const SET_BYTES = 320;
const LISTED_BYTES = 24;
const ARRAY_BYTES = 320;

/** The index of `number`, or the complement (`~`) of the index where it belongs. The numbers are mostly without gaps. */
function findNumber(numbers: readonly number[], number: number): number {
  const guess = number - (numbers[0] ?? 0);
  if (guess >= 0 && guess < numbers.length && numbers[guess] === number) return guess;
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((numbers[middle] ?? 0) < number) low = middle + 1;
    else high = middle;
  }
  return numbers[low] === number ? low : ~low;
}
