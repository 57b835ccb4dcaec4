/**
 * One page of a live set: which of up to 65 536 neighbouring IDs are live, in the cheapest of four forms. Everything here
 * is a free function over arrays and small integers, because these are the loops under every removal and every read.
 *
 * A *bit* is an ID's place in its page, the *span* is how many IDs the page has (65 536, fewer in the last page of a
 * set), *live* is how many of them are live; the live set keeps both numbers. Invariants:
 * - `undefined`: all live. `null`: all dead. Neither takes memory.
 * - `Int32Array`: a bitmap, one bit an ID, 1 = live, at least `span` bits; the bits from `span` on are 0.
 *   `sparseMax(span) < live < span`.
 * - `Uint16Array`: the bits of the live IDs, ascending, in the first `live` items; the rest is slack of at most an
 *   eighth and `SLACK_ITEMS`. `0 < live`, and `live` is not yet so high that a bitmap would be called for.
 *
 * A page becomes sparse at a 32nd of its span, where the list is half as large as the bitmap, and a bitmap again at
 * three 64ths: the distance keeps a page at the border from being converted over and over. The slack does the same for
 * the length of the list, so that the allocations of n removals shrink with n.
 */
import { assert } from '../assert.js';

/** IDs in a page: what a 16-bit item of a sparse page can name. */
export const PAGE_IDS = 65_536;

/** The four forms; which is which is in the file's comment. */
export type LivePage = Int32Array | Uint16Array | null | undefined;

/** Slack of a sparse page over an eighth of its items: less is not worth an allocation. */
const SLACK_ITEMS = 16;

/** At most this many live IDs make a bitmap sparse. */
function sparseMax(span: number): number {
  return span >>> 5;
}

/** True where a sparse page may stay one. */
function staysSparse(live: number, span: number): boolean {
  return live * 64 <= span * 3;
}

function itemsMax(live: number): number {
  return live + (live >>> 3) + SLACK_ITEMS;
}

/**
 * The page whose live bits are `runs`: pairs of a first and a last bit, ascending, disjoint, a pair with last < first
 * being empty; `live` bits in all. Allocates exactly the form it returns.
 */
export function buildPage(runs: readonly number[], live: number, span: number): LivePage {
  if (live === 0) return null;
  if (live === span) return undefined;
  if (live <= sparseMax(span)) {
    const sparse = new Uint16Array(live);
    let items = 0;
    for (let i = 0; i < runs.length; i += 2) {
      const last = runs[i + 1] ?? -1;
      for (let bit = runs[i] ?? 0; bit <= last; bit++) sparse[items++] = bit;
    }
    return sparse;
  }
  const words = new Int32Array((span + 31) >>> 5);
  for (let i = 0; i < runs.length; i += 2) {
    const first = runs[i] ?? 0;
    const last = runs[i + 1] ?? -1;
    if (first <= last) setBits(words, first, last);
  }
  return words;
}

/** The cheapest form of a bitmap that has just lost bits and holds `live` now. */
export function shrinkBitmap(words: Int32Array, live: number, span: number): LivePage {
  if (live > sparseMax(span)) return words;
  if (live === 0) return null;
  const sparse = new Uint16Array(live);
  let items = 0;
  for (let index = 0; items < live; index++) {
    for (let word = words[index] ?? 0; word !== 0; word &= word - 1) {
      sparse[items++] = (index << 5) + 31 - Math.clz32(word & -word);
    }
  }
  return sparse;
}

/** The cheapest form of a sparse page that has just lost items and holds `live` now. */
export function shrinkSparse(sparse: Uint16Array, live: number): LivePage {
  if (live === 0) return null;
  return sparse.length > itemsMax(live) ? sparse.slice(0, live) : sparse;
}

/**
 * Adds the bits `first` to `last`, all of them dead, to a partly live page whose span may just have grown to `span`.
 * Works in place where it can; the page to keep is the result.
 */
export function addBits(
  page: Int32Array | Uint16Array,
  live: number,
  span: number,
  first: number,
  last: number,
): LivePage {
  const added = last - first + 1;
  if (live + added === span) return undefined;
  if (page instanceof Int32Array) {
    const words = growBitmap(page, span);
    setBits(words, first, last);
    return words;
  }
  if (staysSparse(live + added, span)) return insertItems(page, live, first, added);
  const words = new Int32Array((span + 31) >>> 5);
  for (let i = 0; i < live; i++) setBit(words, page[i] ?? 0);
  setBits(words, first, last);
  return words;
}

/** Doubles, because the last page of an active segment grows with every commit. */
function growBitmap(words: Int32Array, span: number): Int32Array {
  const needed = (span + 31) >>> 5;
  if (needed <= words.length) return words;
  const grown = new Int32Array(Math.min(PAGE_IDS >>> 5, Math.max(needed, words.length * 2)));
  grown.set(words);
  return grown;
}

function insertItems(sparse: Uint16Array, live: number, first: number, added: number): Uint16Array {
  const at = lowerBound(sparse, live, first);
  let target = sparse;
  if (live + added > sparse.length) {
    target = new Uint16Array(itemsMax(live + added) - (SLACK_ITEMS >>> 1));
    target.set(sparse.subarray(0, live));
  }
  if (at < live) target.copyWithin(at + added, at, live);
  for (let i = 0; i < added; i++) target[at + i] = first + i;
  return target;
}

/** The first of the `live` items that is `bit` or more; `live` where there is none. */
export function lowerBound(sparse: Uint16Array, live: number, bit: number): number {
  let low = 0;
  let high = live;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sparse[middle] ?? 0) < bit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The lowest live bit from `from` to `last`, or -1. */
export function nextLiveBit(page: LivePage, live: number, from: number, last: number): number {
  if (page === undefined) return from;
  if (page === null) return -1;
  if (page instanceof Int32Array) return nextSetBit(page, from, last);
  const at = lowerBound(page, live, from);
  if (at === live) return -1;
  const bit = page[at] ?? 0;
  return bit <= last ? bit : -1;
}

/** The lowest dead bit from `from` to `last`, or -1. */
export function nextDeadBit(page: LivePage, live: number, from: number, last: number): number {
  if (page === undefined) return -1;
  if (page === null) return from;
  if (page instanceof Int32Array) return nextClearBit(page, from, last);
  let bit = from;
  for (let at = lowerBound(page, live, from); at < live && page[at] === bit; at++) bit++;
  return bit <= last ? bit : -1;
}

/** How many bits from `first` to `last` are live. */
export function countLiveBits(page: LivePage, live: number, first: number, last: number): number {
  if (page === undefined) return last - first + 1;
  if (page === null) return 0;
  if (page instanceof Int32Array) return countBits(page, first, last);
  return lowerBound(page, live, last + 1) - lowerBound(page, live, first);
}

export function hasBit(words: Int32Array, bit: number): boolean {
  return (((words[bit >>> 5] ?? 0) >>> (bit & 31)) & 1) !== 0;
}

function setBit(words: Int32Array, bit: number): void {
  words[bit >>> 5] = (words[bit >>> 5] ?? 0) | (1 << (bit & 31));
}

/** True if the bit was set. */
export function clearBit(words: Int32Array, bit: number): boolean {
  const word = words[bit >>> 5] ?? 0;
  const mask = 1 << (bit & 31);
  if ((word & mask) === 0) return false;
  words[bit >>> 5] = word & ~mask;
  return true;
}

function setBits(words: Int32Array, first: number, last: number): void {
  const head = first >>> 5;
  const tail = last >>> 5;
  const headMask = -1 << (first & 31);
  const tailMask = -1 >>> (31 - (last & 31));
  if (head === tail) {
    words[head] = (words[head] ?? 0) | (headMask & tailMask);
    return;
  }
  words[head] = (words[head] ?? 0) | headMask;
  words.fill(-1, head + 1, tail);
  words[tail] = (words[tail] ?? 0) | tailMask;
}

/** Clears the bits `first` to `last`; how many of them were set. */
export function clearBits(words: Int32Array, first: number, last: number): number {
  const cleared = countBits(words, first, last);
  if (cleared === 0) return 0;
  const head = first >>> 5;
  const tail = last >>> 5;
  const headMask = -1 << (first & 31);
  const tailMask = -1 >>> (31 - (last & 31));
  if (head === tail) {
    words[head] = (words[head] ?? 0) & ~(headMask & tailMask);
    return cleared;
  }
  words[head] = (words[head] ?? 0) & ~headMask;
  words.fill(0, head + 1, tail);
  words[tail] = (words[tail] ?? 0) & ~tailMask;
  return cleared;
}

function countBits(words: Int32Array, first: number, last: number): number {
  const head = first >>> 5;
  const tail = last >>> 5;
  const headMask = -1 << (first & 31);
  const tailMask = -1 >>> (31 - (last & 31));
  if (head === tail) return popcount((words[head] ?? 0) & headMask & tailMask);
  let count = popcount((words[head] ?? 0) & headMask) + popcount((words[tail] ?? 0) & tailMask);
  for (let index = head + 1; index < tail; index++) count += popcount(words[index] ?? 0);
  return count;
}

/** Sums bits pairwise, then by nibble, then by byte (H. S. Warren, Hacker's Delight, figure 5-2). */
function popcount(word: number): number {
  let sum = word - ((word >>> 1) & 0x5555_5555);
  sum = (sum & 0x3333_3333) + ((sum >>> 2) & 0x3333_3333);
  sum = (sum + (sum >>> 4)) & 0x0f0f_0f0f;
  return Math.imul(sum, 0x0101_0101) >>> 24;
}

function nextSetBit(words: Int32Array, from: number, last: number): number {
  const tail = last >>> 5;
  let index = from >>> 5;
  let word = (words[index] ?? 0) & (-1 << (from & 31));
  while (word === 0) {
    if (++index > tail) return -1;
    word = words[index] ?? 0;
  }
  const bit = (index << 5) + 31 - Math.clz32(word & -word);
  return bit <= last ? bit : -1;
}

function nextClearBit(words: Int32Array, from: number, last: number): number {
  const tail = last >>> 5;
  let index = from >>> 5;
  let word = ~(words[index] ?? 0) & (-1 << (from & 31));
  while (word === 0) {
    if (++index > tail) return -1;
    word = ~(words[index] ?? 0);
  }
  const bit = (index << 5) + 31 - Math.clz32(word & -word);
  return bit <= last ? bit : -1;
}

/** Throws at the first invariant of the file's comment that `page` breaks. */
export function checkPage(page: LivePage, live: number, span: number): void {
  assert(span >= 1 && span <= PAGE_IDS, `a page spans ${span} IDs`);
  if (page === undefined) {
    assert(live === span, `a page that is all live counts ${live} of ${span}`);
    return;
  }
  if (page === null) {
    assert(live === 0, `a page that is all dead counts ${live}`);
    return;
  }
  assert(live > 0 && live < span, `a page with ${live} of ${span} live is kept item by item`);
  if (page instanceof Int32Array) {
    const bits = page.length * 32;
    assert(bits >= span && bits <= PAGE_IDS, `a bitmap of ${bits} bits for ${span} IDs`);
    assert(live > sparseMax(span), `a bitmap for only ${live} of ${span} IDs`);
    assert(countBits(page, 0, span - 1) === live, `a bitmap counts ${live}, not what it holds`);
    assert(countBits(page, 0, bits - 1) === live, 'a bitmap has bits above its span');
    return;
  }
  assert(staysSparse(live, span), `a sparse page with ${live} of ${span} IDs`);
  assert(page.length >= live && page.length <= itemsMax(live), `a sparse page of ${page.length} items holds ${live}`);
  for (let i = 1; i < live; i++) assert((page[i - 1] ?? 0) < (page[i] ?? 0), 'a sparse page is out of order');
  assert((page[live - 1] ?? 0) < span, 'a sparse page names an ID above its span');
}
