/**
 * Checksums: CRC-32 (IEEE 802.3), tied to the place where the bytes belong.
 *
 * A stored checksum is `crc32(bytes) XOR mask(seed, offset, length, id)`. CRC-32 is linear, so XOR-ing a value into the
 * result is the same as starting the register from another value: this *is* a seeded CRC, but the seed need not be known
 * while the bytes are summed, which is what lets a push sum its payload before the commit has a place in a file. The seed
 * stands for (store UUID, file's ID, file's salt). A frame that is stale, misdirected, or embedded in somebody's payload
 * therefore fails, although its own bytes are intact.
 *
 * Two libraries stand behind one function: `crc-32` needs no call out of JavaScript and is the faster one for short
 * input; `zlib.crc32` uses the processor's carry-less multiplication and wins by a multiple above that.
 */
import { crc32 as zlibCrc32 } from 'node:zlib';
import shortCrc32 from 'crc-32';

/** Measured on Node 20.20, x86-64: below this many bytes the call into zlib costs more than it saves. */
const SHORT_BYTES_MAX = 256;

/** Plain CRC-32 of all of `bytes`, as an unsigned 32-bit integer. */
export function crc32(bytes: Uint8Array): number {
  return bytes.length <= SHORT_BYTES_MAX ? shortCrc32.buf(bytes) >>> 0 : zlibCrc32(bytes);
}

/** The CRC-32 of bytes whose beginning has the CRC-32 `crc`, and which go on with `bytes`. */
export function crc32Continued(bytes: Uint8Array, crc: number): number {
  return zlibCrc32(bytes, crc);
}

/** The seed of one file: all that its frames must agree on. `identity` is UUID, file ID and salt, as FORMAT.md lays out. */
export function seedOf(identity: Uint8Array): number {
  return crc32(identity);
}

/**
 * 32 bits that depend on every bit of the arguments: multiply-xorshift rounds with the constants of xxHash32
 * (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md).
 */
export function placeMask(seed: number, offset: number, length: number, id: number): number {
  let h = seed ^ Math.imul(offset, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 15), 0x85ebca77) ^ Math.floor(offset / 0x1_0000_0000);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae3d) ^ length;
  h = Math.imul(h ^ (h >>> 16), 0x27d4eb2f) ^ id;
  h = Math.imul(h ^ (h >>> 15), 0x165667b1) ^ Math.floor(id / 0x1_0000_0000);
  h = Math.imul(h ^ (h >>> 13), 0x9e3779b1);
  return (h ^ (h >>> 16)) >>> 0;
}
