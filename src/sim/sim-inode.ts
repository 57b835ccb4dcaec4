/**
 * The content of one simulated file: what a process reads (the page cache), and everything that a power cut may leave of it.
 *
 * For each sector that changed since the last successful sync there is an entry in `unsynced`: the durable version, and every
 * version since, oldest first; the same for the size. A power cut picks one of them for each sector and for the size,
 * independently (D1, D2, D5 of the crash model).
 *
 * After a failed sync Linux counts the unsynced pages as clean: reads still show the new bytes, the next sync succeeds
 * without writing them, and they are gone once the page is evicted ("Can applications recover from fsync failures?", ATC '20).
 * Here such versions are marked `lost`: no later sync promises them, only writing the sector again makes a version that it will.
 *
 * Invariants (`checkInode`): as many sectors as the size needs, all full but the last; a sector without an entry in `unsynced` is
 * durable as it stands; the newest version of an entry is what a process reads.
 */
import { assert } from '../assert.js';
import { Digest } from './sim-digest.js';
import { hole, Sector } from './sim-sector.js';

export interface SectorVersion {
  /** Nothing where the sector lies past the end of the file. */
  readonly sector: Sector | undefined;
  readonly serial: number;
  /** A sync of it failed: no later sync makes it durable. */
  readonly lost: boolean;
}

export interface UnsyncedSector {
  readonly durable: Sector | undefined;
  /** Oldest first, never empty. */
  readonly versions: readonly SectorVersion[];
}

/** More versions of one sector than this add no new kind of state; a program that never syncs must not fill the memory. */
const VERSIONS_MAX = 32;
const NOTHING = new Uint8Array(0);

export class SimInode {
  readonly id: number;
  /** The image that may change this object; every other one clones it first. */
  readonly owner: object;
  readonly sectorBytes: number;
  size = 0;
  sectors: Sector[] = [];
  durableSize = 0;
  /** Sizes since the last successful sync, oldest first. */
  sizes: readonly { readonly size: number; readonly serial: number }[] = [];
  unsynced: Map<number, UnsyncedSector> = new Map();
  /** What a sector durably held before the sync that made its present content durable: a lost write shows it again. */
  older: Map<number, Sector | undefined> = new Map();
  /** Sectors that cannot be read until they are written again. */
  unreadable: ReadonlySet<number> = new Set();
  /** False once no name leads here: the space is free when the last handle closes. */
  linked = true;
  /** A sync failed and no caller has heard of it yet: Linux reports it to whoever syncs through another descriptor, too. */
  errorUnreported = false;
  #hash: readonly [number, number] | undefined;

  constructor(id: number, owner: object, sectorBytes: number) {
    this.id = id;
    this.owner = owner;
    this.sectorBytes = sectorBytes;
  }

  clone(owner: object): SimInode {
    const copy = new SimInode(this.id, owner, this.sectorBytes);
    copy.size = this.size;
    copy.sectors = this.sectors.slice();
    copy.durableSize = this.durableSize;
    copy.sizes = this.sizes;
    copy.unsynced = new Map(this.unsynced);
    copy.older = new Map(this.older);
    copy.unreadable = this.unreadable;
    copy.linked = this.linked;
    copy.errorUnreported = this.errorUnreported;
    copy.#hash = this.#hash;
    return copy;
  }

  get isSynced(): boolean {
    return this.unsynced.size === 0 && this.sizes.length === 0;
  }

  get allocatedBytes(): number {
    let total = 0;
    for (const sector of this.sectors) total += sector.allocatedBytes;
    return total;
  }

  /** How many of `length` bytes at `position` can be written when the disk has `freeBytes` left. */
  bytesThatFit(position: number, length: number, freeBytes: number): number {
    let free = freeBytes;
    const end = position + length;
    for (let at = position; at < end; ) {
      const index = Math.floor(at / this.sectorBytes);
      const stop = Math.min(end, (index + 1) * this.sectorBytes);
      const present = this.sectors[index];
      const start = index * this.sectorBytes;
      const presentBytes = present?.bytes.length ?? 0;
      const allocatedBytes = present?.allocatedBytes ?? 0;
      const needs = Math.max(stop - start, presentBytes) - allocatedBytes;
      if (needs > free) {
        // Within a hole it is all or nothing; at the end of the file it is byte by byte.
        const reached = allocatedBytes === presentBytes ? start + presentBytes + free : at;
        return Math.min(stop, Math.max(at, reached)) - position;
      }
      free -= needs;
      at = stop;
    }
    return length;
  }

  read(target: Uint8Array, offset: number, length: number, position: number): number {
    const end = Math.min(position + length, this.size);
    let at = position;
    while (at < end) {
      const index = Math.floor(at / this.sectorBytes);
      const within = at - index * this.sectorBytes;
      const take = Math.min(end - at, this.sectorBytes - within);
      const bytes = this.sectors[index]?.bytes ?? NOTHING;
      const isWhole = within === 0 && take === bytes.length;
      target.set(isWhole ? bytes : bytes.subarray(within, within + take), offset + at - position);
      at += take;
    }
    return Math.max(0, at - position);
  }

  isUnreadable(position: number, length: number): boolean {
    for (const index of this.unreadable) {
      const start = index * this.sectorBytes;
      if (start < position + length && start + this.sectorBytes > position && start < this.size) return true;
    }
    return false;
  }

  write(source: Uint8Array, offset: number, length: number, position: number, serial: number): void {
    if (length === 0) return;
    const end = position + length;
    const first = Math.floor(position / this.sectorBytes);
    if (first * this.sectorBytes > this.size) this.#addHole(first * this.sectorBytes, serial);
    const last = Math.floor((end - 1) / this.sectorBytes);
    // One allocation for all sectors of the write: typed arrays are costly to make by the thousand.
    const base = first * this.sectorBytes;
    const newSize = Math.max(this.size, end);
    const room = new Uint8Array(Math.min(newSize, (last + 1) * this.sectorBytes) - base);
    room.set(this.sectors[first]?.bytes ?? []);
    if (last !== first) room.set(this.sectors[last]?.bytes ?? [], (last - first) * this.sectorBytes);
    room.set(source.subarray(offset, offset + length), position - base);
    for (let index = first; index <= last; index++) {
      const from = (index - first) * this.sectorBytes;
      this.#put(index, new Sector(room.subarray(from, Math.min(from + this.sectorBytes, room.length))), serial);
    }
    if (newSize !== this.size) this.#setSize(newSize, serial);
  }

  truncate(size: number, serial: number): void {
    if (size === this.size) return;
    if (size > this.size) {
      this.#addHole(size, serial);
      this.#setSize(size, serial);
      return;
    }
    const count = Math.ceil(size / this.sectorBytes);
    for (let index = this.sectors.length - 1; index >= count; index--) this.#put(index, undefined, serial);
    const tail = this.sectors[count - 1];
    const tailBytes = size - (count - 1) * this.sectorBytes;
    if (tail !== undefined && tail.bytes.length > tailBytes) this.#put(count - 1, tail.resized(tailBytes), serial);
    this.#setSize(size, serial);
  }

  /** All that stood at `mark` is durable; what came since may or may not be. */
  sync(mark: number): void {
    for (const [index, { durable, versions }] of this.unsynced) {
      const kept = versions.findLastIndex((version) => !version.lost && version.serial <= mark);
      const promised = versions[kept];
      if (promised === undefined) continue;
      this.older.set(index, durable);
      const rest = versions.slice(kept + 1);
      if (rest.length === 0) this.unsynced.delete(index);
      else this.unsynced.set(index, { durable: promised.sector, versions: rest });
    }
    const kept = this.sizes.findLastIndex((entry) => entry.serial <= mark);
    this.durableSize = this.sizes[kept]?.size ?? this.durableSize;
    this.sizes = this.sizes.slice(kept + 1);
  }

  /** A sync failed: every unsynced version counts as clean from now on, and none is promised to anybody. */
  failSync(): void {
    for (const [index, { durable, versions }] of this.unsynced) {
      this.unsynced.set(index, { durable, versions: versions.map((version) => ({ ...version, lost: true })) });
    }
  }

  /** Memory pressure: clean pages go, so a lost version gives way to the durable one (to zeros where there is none). */
  evict(): void {
    for (const [index, { durable, versions }] of this.unsynced) {
      if (versions.some((version) => !version.lost)) continue;
      const length = Math.min(this.sectorBytes, this.size - index * this.sectorBytes);
      if (length <= 0) continue;
      this.unsynced.delete(index);
      this.sectors[index] = durable?.resized(length) ?? hole(length);
    }
    this.#hash = undefined;
  }

  /** Changes what lies on the disk itself, past page cache and history: damage, and nothing else. */
  damage(index: number, sector: Sector): void {
    const entry = this.unsynced.get(index);
    if (entry === undefined) this.sectors[index] = sector;
    else this.unsynced.set(index, { ...entry, durable: sector });
    this.#hash = undefined;
  }

  /** Replaces content and size by a durable state. */
  reset(sectors: Sector[], size: number): void {
    this.sectors = sectors;
    this.size = size;
    this.durableSize = size;
    this.sizes = [];
    this.unsynced = new Map();
    this.#hash = undefined;
  }

  digestInto(target: Digest): void {
    if (this.#hash === undefined) {
      const digest = new Digest();
      digest.add(this.size);
      for (const sector of this.sectors) sector.digestInto(digest);
      this.#hash = [digest.high, digest.low];
    }
    target.add(this.#hash[0]);
    target.add(this.#hash[1]);
    for (const index of this.unreadable) target.add(index);
  }

  /** Zeros from the end up to `size`. The size itself is left to the caller: a write past the end grows the file in one go. */
  #addHole(size: number, serial: number): void {
    const tailIndex = this.sectors.length - 1;
    const tail = this.sectors[tailIndex];
    const lengthAt = (index: number): number => Math.min(this.sectorBytes, size - index * this.sectorBytes);
    if (tail !== undefined && tail.bytes.length < lengthAt(tailIndex)) {
      this.#put(tailIndex, tail.resized(lengthAt(tailIndex)), serial);
    }
    for (let index = tailIndex + 1; index * this.sectorBytes < size; index++) {
      this.#put(index, hole(lengthAt(index)), serial);
    }
  }

  #put(index: number, sector: Sector | undefined, serial: number): void {
    const entry = this.unsynced.get(index);
    const version: SectorVersion = { sector, serial, lost: false };
    let versions: SectorVersion[] = entry === undefined ? [version] : [...entry.versions, version];
    if (versions.length > VERSIONS_MAX) versions = versions.filter((_, i) => i !== 1);
    this.unsynced.set(index, { durable: entry === undefined ? this.sectors[index] : entry.durable, versions });
    if (sector === undefined) this.sectors.length = index;
    else this.sectors[index] = sector;
    if (this.unreadable.has(index)) this.unreadable = new Set([...this.unreadable].filter((bad) => bad !== index));
    this.#hash = undefined;
  }

  #setSize(size: number, serial: number): void {
    this.size = size;
    this.sizes = [...this.sizes, { size, serial }];
    if (this.sizes.length > VERSIONS_MAX) this.sizes = this.sizes.filter((_, i) => i !== 1);
    this.#hash = undefined;
  }
}

/** Throws at the first broken invariant. */
export function checkInode(inode: SimInode): void {
  const { sectors, size, sectorBytes } = inode;
  assert(sectors.length === Math.ceil(size / sectorBytes), `${sectors.length} sectors for ${size} bytes`);
  sectors.forEach((sector, i) => {
    const length = Math.min(sectorBytes, size - i * sectorBytes);
    assert(sector.bytes.length === length, `sector ${i} has ${sector.bytes.length} bytes and not ${length}`);
  });
  for (const [index, { versions }] of inode.unsynced) {
    assert(versions.length > 0, `sector ${index} is unsynced without a version`);
    assert(versions.at(-1)?.sector === sectors[index], `sector ${index} is not its newest version`);
  }
  assert((inode.sizes.at(-1)?.size ?? inode.durableSize) === size, 'the size is not its newest version');
}
