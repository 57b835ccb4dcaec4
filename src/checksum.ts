/**
 * Checksums: CRC-32 (IEEE 802.3), tied to the place where the bytes belong.
 *
 * A stored checksum is `crc32(bytes) XOR mask(seed, offset, length, id)`. CRC-32 is linear, so XOR-ing a value into the
 * result is the same as starting the register from another value: this *is* a seeded CRC, but the seed need not be known
 * while the bytes are summed, which is what lets a push sum its payload before the commit has a place in a file. The seed
 * stands for (store UUID, file's ID, file's salt). A frame that is stale, misdirected, or embedded in somebody's payload
 * therefore fails, although its own bytes are intact.
 *
 * Three ways to sum stand behind one function. `crc-32` needs no call out of JavaScript and is the fastest for very short input; `zlib.crc32`
 * is native. A process that has summed enough to make it worth while makes itself a kernel in WebAssembly (`crc-kernel.ts`), beside
 * what it does, and sums by that from then on. Which way was taken cannot be told from the sum.
 */
import { crc32 as zlibCrc32 } from 'node:zlib';
import shortCrc32 from 'crc-32';
import { type CrcKernel, makeCrcKernel } from './crc-kernel.js';

/** Measured on Node 20.20, x86-64: below this many bytes the call into zlib costs more than it saves. */
const SHORT_BYTES_MAX = 256;
/** The same of the kernel. */
const SHORT_BESIDE_KERNEL_BYTES_MAX = 32;
/** The kernel takes some milliseconds to make: as much as it saves on so many bytes. */
const BYTES_BEFORE_KERNEL = 8 * 1024 * 1024;
/** Elsewhere nobody has measured it, and zlib may have an instruction for it. */
const IS_MEASURED = process.arch === 'x64';

let kernel: CrcKernel | undefined;
/** Whether it is still counted how much was summed: until there is a kernel, or will never be. */
let isCounting = IS_MEASURED;
let summedBytes = 0;
let making: Promise<boolean> | undefined;

/** Plain CRC-32 of all of `bytes`, as an unsigned 32-bit integer. */
export function crc32(bytes: Uint8Array): number {
  return crc32Continued(bytes, 0);
}

/** The CRC-32 of bytes whose beginning has the CRC-32 `crc`, and which go on with `bytes`. */
export function crc32Continued(bytes: Uint8Array, crc: number): number {
  const { length } = bytes;
  if (kernel !== undefined && length > SHORT_BESIDE_KERNEL_BYTES_MAX) return kernel(bytes, crc);
  if (isCounting) count(length);
  return length <= SHORT_BYTES_MAX ? shortCrc32.buf(bytes, crc) >>> 0 : zlibCrc32(bytes, crc);
}

function count(bytes: number): void {
  summedBytes += bytes;
  if (summedBytes >= BYTES_BEFORE_KERNEL) void useCrcKernel();
}

/**
 * Makes the kernel of this thread now, if it was not made yet, and sums by it from then on. Resolves with false where there is none (no WebAssembly, as
 * with `--jitless`, or no memory for it) or where it does not sum as zlib does; then all goes on without. Never rejects.
 */
export function useCrcKernel(): Promise<boolean> {
  isCounting = false;
  making ??= make();
  return making;
}

async function make(): Promise<boolean> {
  try {
    const made = await makeCrcKernel();
    if (sumsAsZlib(made)) kernel = made;
  } catch {
    // Nothing depends on it.
  }
  return kernel !== undefined;
}

/** Lengths on both sides of each of its methods. */
const CHECKED_LENGTHS = [1, 100, 207, 208, 1000, 1407, 1408, 5003];

const CHECKED_BYTES = Math.max(...CHECKED_LENGTHS) + CHECKED_LENGTHS.length;

function sumsAsZlib(made: CrcKernel): boolean {
  const bytes = Uint8Array.from({ length: CHECKED_BYTES }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 24);
  return CHECKED_LENGTHS.every((length, i) => {
    const some = bytes.subarray(i, i + length);
    return made(some, length) === zlibCrc32(some, length);
  });
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

/** Undoes `placeMask` of an offset below 2^32 and an ID of 0 for the seed: each of its steps is a bijection. */
export function maskedSeed(mask: number, offset: number, length: number): number {
  let h = beforeId(mask, 0);
  h = unshift(Math.imul(h, INVERSE_27D4EB2F), 16);
  h = unshift(Math.imul(h ^ length, INVERSE_C2B2AE3D), 13);
  h = unshift(Math.imul(h, INVERSE_85EBCA77), 15);
  const seed = (h ^ Math.imul(offset, 0x9e3779b1)) >>> 0;
  return placeMask(seed, offset, length, 0) === mask ? seed : 0;
}

/** The ID from `least` to `most`, which are less than 2^32 apart, that gives this mask; `undefined` where none does. */
export function maskedId(
  mask: number,
  seed: number,
  offset: number,
  length: number,
  least: number,
  most: number,
): number | undefined {
  // Without an ID the rounds in front of it leave this.
  const before = beforeId(placeMask(seed, offset, length, 0), 0);
  for (let high = Math.floor(least / TWO_32); high <= Math.floor(most / TWO_32); high++) {
    const id = high * TWO_32 + ((beforeId(mask, high) ^ before) >>> 0);
    if (id >= least && id <= most) return id;
  }
  return undefined;
}

const TWO_32 = 0x1_0000_0000;
const INVERSE_9E3779B1 = inverse(0x9e3779b1);
const INVERSE_165667B1 = inverse(0x165667b1);
const INVERSE_27D4EB2F = inverse(0x27d4eb2f);
const INVERSE_C2B2AE3D = inverse(0xc2b2ae3d);
const INVERSE_85EBCA77 = inverse(0x85ebca77);

/** The state of `placeMask` into which the low half of the ID was XOR-ed, with that in it. `high` is the high half. */
function beforeId(mask: number, high: number): number {
  const h = unshift(Math.imul(unshift(mask, 16), INVERSE_9E3779B1), 13) ^ high;
  return unshift(Math.imul(h, INVERSE_165667B1), 15);
}

/** The x with x ^ (x >>> bits) = h. */
function unshift(h: number, bits: number): number {
  let x = h;
  for (let done = bits; done < 32; done += bits) x = h ^ (x >>> bits);
  return x;
}

/** The inverse of an odd number modulo 2^32, by Newton's iteration: each round doubles the bits that are right. */
function inverse(odd: number): number {
  let x = odd;
  for (let i = 0; i < 5; i++) x = Math.imul(x, 2 - Math.imul(odd, x));
  return x;
}
