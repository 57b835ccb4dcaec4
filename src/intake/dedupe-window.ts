/**
 * The message IDs of the records that came in last: a ring of entries in the order of their IDs, and a hash table over it.
 *
 * An entry is forgotten when more than `windowRecords` have come since, or `windowMs` after its record's time, whichever is first; by the clock as it
 * is: where that goes back, a message ID is known for longer. Memory: 32 B an entry and 8 to 16 B of the table, in arrays that double up to
 * `windowRecords`.
 *
 * Invariants: IDs ascend. Of entries with the same hash the table knows the newest. Every entry of the table is in the ring.
 */
import { assert } from '../assert.js';
import { MessageEntries, type MessageHash } from '../frame/message-entries.js';

const CAPACITY_MIN = 64;
const HASH_WORDS = 4;

export class DedupeWindow {
  #words = new Uint32Array(0);
  #ids = new Float64Array(0);
  #times = new Float64Array(0);
  /** Place in the ring + 1; 0: free. Twice as many as entries at least, and a power of two. */
  #table = new Uint32Array(0);
  #first = 0;
  #count = 0;
  #windowMs = Infinity;
  #windowRecords = Infinity;

  get count(): number {
    return this.#count;
  }

  /** Of the newest entry; 0 where there is none. */
  get lastId(): number {
    return this.#count === 0 ? 0 : this.#idAt(this.#count - 1);
  }

  /** Without it nothing is forgotten. */
  limit(windowMs: number, windowRecords: number, nowMs: number): void {
    this.#windowMs = windowMs;
    this.#windowRecords = windowRecords;
    this.#forget(nowMs, 0);
  }

  /** The ID of the record that was pushed with it, if that is known still. */
  find(hash: MessageHash, nowMs: number): number | undefined {
    if (this.#count === 0) return undefined;
    const place = (this.#table[this.#slotOf(hash)] ?? 0) - 1;
    if (place < 0 || nowMs - (this.#times[place] ?? 0) >= this.#windowMs) return undefined;
    return this.#ids[place];
  }

  /** The ID must be above all before. */
  add(hash: MessageHash, id: number, timeMs: number, nowMs: number): void {
    assert(id > this.lastId, 'message IDs come in the order of their records');
    this.#forget(nowMs, 1);
    if (this.#windowRecords < 1) return;
    if (this.#count === this.#ids.length) this.#grow();
    const place = (this.#first + this.#count) % this.#ids.length;
    this.#words.set(hash, place * HASH_WORDS);
    this.#ids[place] = id;
    this.#times[place] = timeMs;
    this.#count++;
    this.#table[this.#slotOf(hash)] = place + 1;
  }

  /** Adds those with IDs above `after` and up to `through` to `entries`. */
  copyTo(entries: MessageEntries, after: number, through: number): void {
    let from = this.#count;
    while (from > 0 && this.#idAt(from - 1) > after) from--;
    for (let i = from; i < this.#count && this.#idAt(i) <= through; i++) {
      const place = this.#placeAt(i);
      entries.add(this.#hashAt(place), this.#ids[place] ?? 0, this.#times[place] ?? 0);
    }
  }

  /** Throws at the first invariant that is broken. */
  checkWindow(): void {
    const newest = new Map<string, number>();
    let before = 0;
    for (let i = 0; i < this.#count; i++) {
      const place = this.#placeAt(i);
      assert(this.#idAt(i) > before, 'IDs ascend in the window');
      before = this.#idAt(i);
      newest.set(this.#hashAt(place).join(), place);
    }
    assert(this.#table.filter((slot) => slot > 0).length === newest.size, 'the table has each hash once');
    for (const place of newest.values())
      assert(this.#table[this.#slotOf(this.#hashAt(place))] === place + 1, 'the table knows the newest of a hash');
    assert(this.#count <= this.#windowRecords, 'the window is within its bound');
  }

  #forget(nowMs: number, coming: number): void {
    while (this.#count > 0) {
      const isOld = nowMs - (this.#times[this.#first] ?? 0) >= this.#windowMs;
      if (!isOld && this.#count + coming <= this.#windowRecords) return;
      this.#drop(this.#first);
      this.#first = (this.#first + 1) % this.#ids.length;
      this.#count--;
    }
  }

  /** Takes an entry out of the table, if it is not hidden by a newer one. */
  #drop(place: number): void {
    const mask = this.#table.length - 1;
    let hole = this.#slotOf(this.#hashAt(place));
    if (this.#table[hole] !== place + 1) return;
    // Those behind it move up, so that each is found from its own place on.
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const one = this.#table[at] ?? 0;
      if (one === 0) break;
      const home = (this.#words[(one - 1) * HASH_WORDS] ?? 0) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      this.#table[hole] = one;
      hole = at;
    }
    this.#table[hole] = 0;
  }

  /** Where that hash stands in the table, or would. */
  #slotOf(hash: MessageHash): number {
    const mask = this.#table.length - 1;
    for (let slot = hash[0] & mask; ; slot = (slot + 1) & mask) {
      const place = (this.#table[slot] ?? 0) - 1;
      if (place < 0 || this.#isAt(place, hash)) return slot;
    }
  }

  #isAt(place: number, hash: MessageHash): boolean {
    const at = place * HASH_WORDS;
    return hash.every((word, i) => this.#words[at + i] === word);
  }

  #hashAt(place: number): MessageHash {
    const at = place * HASH_WORDS;
    const words = this.#words;
    return [words[at] ?? 0, words[at + 1] ?? 0, words[at + 2] ?? 0, words[at + 3] ?? 0];
  }

  #placeAt(index: number): number {
    return (this.#first + index) % this.#ids.length;
  }

  #idAt(index: number): number {
    return this.#ids[this.#placeAt(index)] ?? 0;
  }

  #grow(): void {
    const entries = new MessageEntries();
    this.copyTo(entries, 0, Infinity);
    const capacity = Math.max(1, Math.min(Math.max(CAPACITY_MIN, this.#ids.length * 2), this.#windowRecords));
    this.#words = new Uint32Array(capacity * HASH_WORDS);
    this.#ids = new Float64Array(capacity);
    this.#times = new Float64Array(capacity);
    this.#table = new Uint32Array(2 ** Math.ceil(Math.log2(2 * capacity)));
    this.#first = 0;
    this.#count = entries.count;
    for (let i = 0; i < entries.count; i++) {
      const hash = entries.hashAt(i);
      this.#words.set(hash, i * HASH_WORDS);
      this.#ids[i] = entries.idAt(i);
      this.#times[i] = entries.timeAt(i);
      this.#table[this.#slotOf(hash)] = i + 1;
    }
  }
}
