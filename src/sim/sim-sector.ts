/**
 * One version of one sector: bytes that never change once they are here, so that every fork of a disk, every crash state and
 * every entry of a history can share them. A sector at the end of a file is as short as the file is.
 */
import { Digest } from './sim-digest.js';

export class Sector {
  readonly bytes: Uint8Array;
  /** Less than its length where zeros were added without being written, as in any sparse file: writing there needs space yet. */
  readonly allocatedBytes: number;
  #digest: Digest | undefined;

  /** The caller gives `bytes` away. */
  constructor(bytes: Uint8Array, allocatedBytes: number = bytes.length) {
    this.bytes = bytes;
    this.allocatedBytes = allocatedBytes;
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
    if (length < this.bytes.length) {
      return new Sector(this.bytes.subarray(0, length), Math.min(this.allocatedBytes, length));
    }
    const bytes = new Uint8Array(length);
    bytes.set(this.bytes);
    return new Sector(bytes, this.allocatedBytes);
  }
}

const holes = new Map<number, Sector>();

/** A hole of `length` bytes; holes of one length are one object. */
export function hole(length: number): Sector {
  let sector = holes.get(length);
  if (sector === undefined) {
    sector = new Sector(new Uint8Array(length), 0);
    holes.set(length, sector);
  }
  return sector;
}
