/**
 * One version of one sector: bytes that never change once they are here, so that every fork of a disk, every crash state and
 * every entry of a history can share them. A sector at the end of a file is as short as the file is.
 */
import { Digest } from './sim-digest.js';

export class Sector {
  readonly bytes: Uint8Array;
  /** Zeros that take no room on the disk: writing here later needs space, as in any sparse file. */
  readonly hole: boolean;
  #digest: Digest | undefined;

  /** The caller gives `bytes` away. */
  constructor(bytes: Uint8Array, hole = false) {
    this.bytes = bytes;
    this.hole = hole;
  }

  get allocatedBytes(): number {
    return this.hole ? 0 : this.bytes.length;
  }

  /** Summed at the first call and kept: most sectors are part of many states. */
  digestInto(target: Digest): void {
    if (this.#digest === undefined) {
      this.#digest = new Digest();
      this.#digest.addBytes(this.bytes);
    }
    target.add(this.#digest.high);
    target.add(this.#digest.low);
  }

  /** The same bytes cut, or filled with zeros, to `length`. */
  resized(length: number): Sector {
    if (length === this.bytes.length) return this;
    if (length < this.bytes.length) return new Sector(this.bytes.subarray(0, length), this.hole);
    const bytes = new Uint8Array(length);
    bytes.set(this.bytes);
    return new Sector(bytes, this.hole);
  }
}

const holes = new Map<number, Sector>();

/** A hole of `length` bytes; holes of one length are one object. */
export function hole(length: number): Sector {
  let sector = holes.get(length);
  if (sector === undefined) {
    sector = new Sector(new Uint8Array(length), true);
    holes.set(length, sector);
  }
  return sector;
}
