/**
 * Damage at rest: what a disk may do to bytes that were synced long ago (F, R of the crash model). It goes past the page cache and past
 * every history, is seen at once, and stays.
 */
import { unreachable } from '../assert.js';
import { SimSystemError } from './sim-error.js';
import type { SimImage } from './sim-image.js';
import type { SimInode } from './sim-inode.js';
import type { Prng } from './sim-prng.js';
import { Sector } from './sim-sector.js';

export type Damage =
  /** One bit of the byte at `offset`; bit 0 if not given. */
  | { readonly kind: 'flip'; readonly path: string; readonly offset: number; readonly bit?: number }
  | { readonly kind: 'zero' | 'noise'; readonly path: string; readonly offset: number; readonly length: number }
  /** Reads of the sectors in this range fail with EIO until they are written again. */
  | { readonly kind: 'unreadable'; readonly path: string; readonly offset: number; readonly length: number }
  /** The sectors in this range show what they held before their last sync: a write that was lost. */
  | { readonly kind: 'stale'; readonly path: string; readonly offset: number; readonly length: number }
  /** A write that went elsewhere: as 'stale', and its bytes are at `toOffset` of `toPath` (of the same file if not given). */
  | {
      readonly kind: 'misdirect';
      readonly path: string;
      readonly offset: number;
      readonly length: number;
      readonly toOffset: number;
      readonly toPath?: string;
    }
  | { readonly kind: 'truncate'; readonly path: string; readonly size: number }
  /** Bytes that nobody wrote follow the file's end: zeros if not given. */
  | { readonly kind: 'extend'; readonly path: string; readonly size: number; readonly fill?: 'zeros' | 'noise' }
  | { readonly kind: 'remove' | 'empty'; readonly path: string }
  /** Two files have each other's content. */
  | { readonly kind: 'swap'; readonly path: string; readonly with: string };

/** @throws an ENOENT in Node's shape where there is no such file. */
export function applyDamage(image: SimImage, prng: Prng, damage: Damage): void {
  image.nextSerial();
  const inode = fileAt(image, damage.path);
  const { sectorBytes } = image;
  switch (damage.kind) {
    case 'flip':
      flipBit(image, inode, damage.offset, damage.bit ?? 0);
      return;
    case 'zero':
      overwrite(image, inode, damage.offset, new Uint8Array(damage.length));
      return;
    case 'noise':
      overwrite(image, inode, damage.offset, noise(prng, damage.length));
      return;
    case 'unreadable': {
      const file = image.own(inode);
      file.unreadable = new Set([...file.unreadable, ...sectorsIn(damage, sectorBytes)]);
      return;
    }
    case 'stale':
      revert(image.own(inode), damage);
      return;
    case 'misdirect': {
      const file = image.own(inode);
      const bytes = new Uint8Array(damage.length);
      const length = file.read(bytes, 0, damage.length, damage.offset);
      revert(file, damage);
      const to = damage.toPath === undefined ? inode : fileAt(image, damage.toPath);
      overwrite(image, to, damage.toOffset, bytes.subarray(0, length));
      return;
    }
    case 'truncate':
      resize(image.own(inode), damage.size, undefined);
      return;
    case 'empty':
      resize(image.own(inode), 0, undefined);
      return;
    case 'extend':
      resize(image.own(inode), damage.size, damage.fill === 'noise' ? prng : undefined);
      return;
    case 'remove':
      image.names.force(image.names.slotOf(damage.path, 'damage'), undefined);
      image.unlink(inode);
      return;
    case 'swap': {
      const [a, b] = [image.own(inode), image.own(fileAt(image, damage.with))];
      const [sectors, size] = [a.sectors, a.size];
      a.reset(b.sectors, b.size);
      b.reset(sectors, size);
      return;
    }
    default:
      unreachable(damage);
  }
}

export function flipBit(image: SimImage, inode: number, offset: number, bit: number): void {
  const file = image.own(inode);
  const index = Math.floor(offset / image.sectorBytes);
  const sector = durableSector(file, index);
  const within = offset - index * image.sectorBytes;
  if (sector === undefined || within >= sector.bytes.length) return;
  const bytes = sector.bytes.slice();
  bytes[within] = (bytes[within] ?? 0) ^ (1 << bit);
  file.damage(index, new Sector(bytes));
}

function overwrite(image: SimImage, inode: number, offset: number, source: Uint8Array): void {
  const file = image.own(inode);
  for (const index of sectorsIn({ offset, length: source.length }, image.sectorBytes)) {
    const sector = durableSector(file, index);
    if (sector === undefined) continue;
    const bytes = sector.bytes.slice();
    const start = index * image.sectorBytes;
    for (let i = Math.max(0, offset - start); i < bytes.length && start + i < offset + source.length; i++) {
      bytes[i] = source[start + i - offset] ?? 0;
    }
    file.damage(index, new Sector(bytes));
  }
}

/** Sectors that were never written twice go back to zeros. */
function revert(file: SimInode, range: { readonly offset: number; readonly length: number }): void {
  for (const index of sectorsIn(range, file.sectorBytes)) {
    const sector = durableSector(file, index);
    if (sector === undefined) continue;
    const older = file.older.get(index) ?? new Sector(new Uint8Array(0));
    file.damage(index, older.resized(sector.bytes.length));
  }
}

function resize(file: SimInode, size: number, prng: Prng | undefined): void {
  const { sectorBytes } = file;
  const sectors: Sector[] = [];
  for (let index = 0; index * sectorBytes < size; index++) {
    const length = Math.min(sectorBytes, size - index * sectorBytes);
    const bytes = prng === undefined ? new Uint8Array(length) : noise(prng, length);
    bytes.set(file.sectors[index]?.bytes.subarray(0, length) ?? []);
    sectors.push(new Sector(bytes));
  }
  file.reset(sectors, size);
}

function durableSector(file: SimInode, index: number): Sector | undefined {
  const entry = file.unsynced.get(index);
  return entry === undefined ? file.sectors[index] : entry.durable;
}

function* sectorsIn(range: { offset: number; length: number }, sectorBytes: number): Generator<number> {
  if (range.length <= 0) return;
  const last = Math.floor((range.offset + range.length - 1) / sectorBytes);
  for (let index = Math.floor(range.offset / sectorBytes); index <= last; index++) yield index;
}

function noise(prng: Prng, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  prng.fill(bytes);
  return bytes;
}

function fileAt(image: SimImage, path: string): number {
  const inode = image.names.lookup(path);
  if (typeof inode === 'string') throw new SimSystemError(inode, 'damage', path);
  if (image.file(inode) === undefined) throw new SimSystemError('EISDIR', 'damage', path);
  return inode;
}
