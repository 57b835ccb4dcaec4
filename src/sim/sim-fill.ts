/**
 * The bytes that a file shows where its size reached the disk and its data did not (D3): zeros, noise, or what the blocks held
 * before, when they belonged to a file since deleted. The last kind is the nastiest, for it consists of valid old frames at their
 * very offsets; XFS without its unwritten extents, and ext4 with data=writeback, have shown it.
 */
import type { FreedBlocks } from './sim-image.js';
import { Prng } from './sim-prng.js';
import { hole, Sector } from './sim-sector.js';

/** 'any' leaves it to the choice of the power cut. */
export type FillMode = 'zeros' | 'noise' | 'stale' | 'any';

/** More old files than this add cost and no new kind of state. */
const STALE_MAX = 3;

/** How many fills a choice can pick from. */
export function fillOptions(mode: FillMode, freed: number): number {
  const stale = Math.min(freed, STALE_MAX);
  return mode === 'any' ? 2 + stale : mode === 'stale' ? Math.max(1, stale) : 1;
}

/** A sector of `length` bytes that begins with what `found` holds, if anything, and is filled from there on. */
export function fillFor(
  model: { readonly fill: FillMode; readonly seed: number },
  freed: readonly FreedBlocks[],
  pick: number,
  inode: number,
  index: number,
  length: number,
  found: Sector | undefined,
): Sector {
  const { fill: mode } = model;
  const noisy = mode === 'noise' || (mode === 'any' && pick === 1);
  const stale = mode === 'stale' ? freed[pick] : mode === 'any' && pick >= 2 ? freed[pick - 2] : undefined;
  if (!noisy && stale === undefined) return found?.resized(length) ?? hole(length);
  const bytes = new Uint8Array(length);
  if (noisy) new Prng(model.seed ^ Math.imul(inode, 0xc2b2ae3d) ^ Math.imul(index + 1, 0x27d4eb2f)).fill(bytes);
  else if (stale !== undefined && stale.sectors.length > 0) {
    // The same place in the old file where it had one: that is where an old frame is most easily taken for a new one.
    const place = index - stale.firstSector;
    const wrapped = ((place % stale.sectors.length) + stale.sectors.length) % stale.sectors.length;
    bytes.set(stale.sectors[wrapped]?.bytes.subarray(0, length) ?? []);
  }
  if (found !== undefined) bytes.set(found.bytes);
  return new Sector(bytes);
}
