/**
 * Where the records of one queue lie: a B-tree from the first ID of an index interval to the position of its first frame.
 * An interval is some KiB of a segment, or one commit where commits are larger, so the entry with the greatest key <= an
 * ID says where to start walking to reach that ID. Liveness is no business of the tree (`live-set.ts`): removing a record
 * changes nothing here, and a segment's entries leave together when the segment does.
 *
 * A position is packed into one double, so that a leaf of the tree is two flat arrays of doubles and an entry costs about
 * 20 B: slot (20 bits), offset (32 bits), mid (1 bit): 53 bits in all, exactly the safe integers. The slot numbers the
 * segments that are open; who numbers them is the caller.
 *
 * Everything is synchronous; no search allocates.
 */
// The class is `.default` of this package's CommonJS exports, which native ESM, bundlers and test runners each unwrap
// differently. `BTreeEx` is the same tree under a name of its own, which all of them agree on, with the bulk operations.
import { BTreeEx } from 'sorted-btree/extended/index.js';
import { assert } from '../assert.js';

const OFFSET_SPAN = 0x1_0000_0000;
const SLOT_STEP = OFFSET_SPAN * 2;
const SLOTS = 0x10_0000;
assert(SLOTS * SLOT_STEP - 1 === Number.MAX_SAFE_INTEGER, 'a packed position fills a safe integer');

/** Measured with a million entries: 64 takes the least memory (19 B an entry, 32 and 128 take 26) and is among the fastest. */
const NODE_ITEMS_MAX = 64;

/** Below this many entries inserting them one by one is cheaper than joining two trees. */
const BULK_ENTRIES_MIN = 1024;

/** 1 where a position is a record frame within a commit, 0 where it is the start of a commit. */
export type Mid = 0 | 1;

/** Index intervals by their first ID. `floor` and `next` leave what they find in `key`, `slot`, `offset` and `mid`. */
export class PositionIndex {
  /** First ID of the interval found last. */
  key = 0;
  /** Segment of the interval found last. */
  slot = 0;
  /** Byte offset within the segment. */
  offset = 0;
  mid: Mid = 0;
  #tree: BTreeEx<number, number>;
  readonly #nodeItemsMax: number;
  /** What the tree writes a found pair into; fractions make it an array of doubles from the start. */
  readonly #pair: [number, number] = [0.5, 0.5];

  /** `nodeItemsMax` is for tests, which want a deep tree from few entries. */
  constructor(nodeItemsMax: number = NODE_ITEMS_MAX) {
    this.#nodeItemsMax = nodeItemsMax;
    this.#tree = new BTreeEx<number, number>(undefined, compareIds, nodeItemsMax);
  }

  get size(): number {
    return this.#tree.size;
  }

  /** Adds an interval, or replaces the one that begins at the same ID. */
  set(id: number, slot: number, offset: number, mid: Mid): void {
    const position = packPosition(slot, offset, mid);
    assert(isId(id), 'an index interval begins at a record ID');
    // An empty tree turns its first values into an array of objects, each number in a box, and every leaf ever split off
    // inherits that (40 B an entry). A leaf that was loaded is an array of doubles and stays one.
    if (this.#tree.size === 0) this.#tree = this.#treeOf([id], [position]);
    else this.#tree.set(id, position);
  }

  /**
   * Adds the intervals of one segment, which begin at the ascending `ids`: several times as fast as `set` where all of
   * them are above what the index holds, as they are when a store is opened.
   */
  load(slot: number, ids: ArrayLike<number>, offsets: ArrayLike<number>, mids: ArrayLike<number>): void {
    assert(
      offsets.length === ids.length && mids.length === ids.length,
      'positions and IDs of a segment differ in number',
    );
    const keys: number[] = [];
    const positions: number[] = [];
    let previous = -1;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i] ?? -1;
      assert(isId(id) && id > previous, 'the index intervals of a segment must ascend');
      previous = id;
      keys.push(id);
      positions.push(packPosition(slot, offsets[i] ?? -1, mids[i] ?? -1));
    }
    if (keys.length === 0) return;
    if (this.#tree.size === 0) {
      this.#tree = this.#treeOf(keys, positions);
    } else if (keys.length >= BULK_ENTRIES_MIN && (keys[0] ?? 0) > (this.#tree.maxKey() ?? 0)) {
      // Joining reuses the nodes of both: it costs the border between them.
      this.#tree = this.#tree.union(this.#treeOf(keys, positions), keepNew);
    } else {
      for (let i = 0; i < keys.length; i++) this.#tree.set(keys[i] ?? 0, positions[i] ?? 0);
    }
  }

  /** Finds the interval with the greatest key <= `id`; false, and nothing changed, where there is none. */
  floor(id: number): boolean {
    if (this.#tree.getPairOrNextLower(id, this.#pair) === undefined) return false;
    this.#unpack();
    return true;
  }

  /** Finds the interval with the lowest key > `id`; false, and nothing changed, where there is none. */
  next(id: number): boolean {
    if (this.#tree.nextHigherPair(id, this.#pair) === undefined) return false;
    this.#unpack();
    return true;
  }

  /** Drops the intervals that begin from `firstId` to `lastId`, as when their segment dies; how many there were. */
  deleteRange(firstId: number, lastId: number): number {
    return this.#tree.deleteRange(firstId, lastId, true);
  }

  /** Walks all of it and throws at the first broken invariant. */
  check(): void {
    this.#tree.checkValid(true);
    let entries = 0;
    this.#tree.forEachPair((id, position) => {
      assert(isId(id), `an index interval begins at ${id}`);
      assert(Number.isSafeInteger(position) && position >= 0, `interval ${id} has the position ${position}`);
      entries++;
    });
    assert(entries === this.#tree.size, `the index counts ${this.#tree.size} intervals and holds ${entries}`);
  }

  #treeOf(ids: number[], positions: number[]): BTreeEx<number, number> {
    return BTreeEx.bulkLoad(ids, positions, this.#nodeItemsMax, compareIds);
  }

  #unpack(): void {
    const position = this.#pair[1];
    this.key = this.#pair[0];
    this.slot = Math.floor(position / SLOT_STEP);
    const place = position - this.slot * SLOT_STEP;
    this.offset = Math.floor(place / 2);
    this.mid = place - this.offset * 2 === 0 ? 0 : 1;
  }
}

function packPosition(slot: number, offset: number, mid: number): number {
  assert(Number.isInteger(slot) && slot >= 0 && slot < SLOTS, 'a segment slot has 20 bits');
  assert(Number.isInteger(offset) && offset >= 0 && offset < OFFSET_SPAN, 'a position in a segment has 32 bits');
  assert(mid === 0 || mid === 1, 'a position is at the start of a commit or within it');
  return slot * SLOT_STEP + offset * 2 + mid;
}

function isId(id: number): boolean {
  return Number.isSafeInteger(id) && id >= 0;
}

function compareIds(a: number, b: number): number {
  return a - b;
}

function keepNew(_id: number, _held: number, loaded: number): number {
  return loaded;
}
