/**
 * CRC-32 in WebAssembly: from some 100 bytes on faster than JavaScript, and than the call into zlib (x86-64: twice at 1 KiB and above).
 *
 * Two methods, one behind the other:
 *
 *     fold    16 bytes at a time, most of what there is. A checksum is a remainder modulo a polynomial P, so what is a multiple of P may be
 *             taken away. There are multiples with few terms, all of them whole bytes apart: with d1 ... dn the distances, a byte may be
 *             struck out if it is XOR-ed into those d1 ... dn bytes behind it. So out[i] = in[i] ^ out[i - d1] ^ ... ^ out[i - dn], and only the
 *             last bytes are left to be summed. What was struck out last is held in vectors.
 *     slice   what is left, by 16 tables (Kounavis and Berry, *A Systematic Approach to Building High Performance Software-Based CRC
 *             Generators*, 2005).
 *
 * The distances were found by search: of all sets of six the one whose largest is the least, and of all sets of four.
 * Summing writes over the bytes summed, which are a copy in the kernel's own memory: 64 KiB, whatever is summed.
 */
import {
  ADD,
  AND,
  bytesFrom,
  type Code,
  call,
  GE_U,
  I32,
  i32,
  LE_S,
  load8,
  load32,
  load128,
  local,
  loopWhile,
  SHL,
  SHR_U,
  SUB,
  setLocal,
  store32,
  store128,
  V128,
  V128_XOR,
  V128_ZERO,
  type WasmFunction,
  wasmModule,
  when,
  XOR,
} from './wasm-code.js';

/** Each at least 16, so that a vector needs none that is not there yet. */
const NEAR_DISTANCES = [53, 57, 67, 108, 129, 137];
const FAR_DISTANCES = [145, 183, 211, 300];
/** Measured: from so many bytes on it pays to fold. */
const NEAR_BYTES_MIN = 208;
const FAR_BYTES_MIN = 1408;

const VECTOR_BYTES = 16;
const TABLES = 16;
const TABLE_BYTES = 1024;
/** Behind the tables. */
const INPUT_AT = TABLES * TABLE_BYTES;
const MEMORY_PAGES = 1;
const INPUT_BYTES = MEMORY_PAGES * 64 * 1024 - INPUT_AT;

/** The polynomial of IEEE 802.3, lowest bit last. */
const POLYNOMIAL = 0xedb88320;

// Parameters and locals of all functions: i32.
const AT = 0;
const END = 1;
const CRC = 2;
const WORDS = [3, 4, 5, 6];

/** The CRC-32 of bytes whose beginning has the CRC-32 `crc` (0 where there is none), and which go on with `bytes`: unsigned. */
export type CrcKernel = (bytes: Uint8Array, crc: number) => number;

declare const WebAssembly:
  | undefined
  | {
      instantiate(module: Uint8Array): Promise<{
        readonly instance: {
          readonly exports: {
            readonly memory: { readonly buffer: ArrayBuffer };
            readonly sum: (at: number, end: number, crc: number) => number;
          };
        };
      }>;
    };

/** Takes a millisecond of this thread. Rejects, or throws, where there is no WebAssembly with vectors, or no memory for it. */
export async function makeCrcKernel(): Promise<CrcKernel> {
  if (typeof WebAssembly === 'undefined') throw new Error('there is no WebAssembly here');
  const { instance } = await WebAssembly.instantiate(crcModule());
  const { memory, sum } = instance.exports;
  new Int32Array(memory.buffer, 0, INPUT_AT / 4).set(slicingTables());
  const input = new Uint8Array(memory.buffer, INPUT_AT, INPUT_BYTES);
  return (bytes, crc) => {
    if (bytes.length <= INPUT_BYTES) {
      input.set(bytes);
      return sum(INPUT_AT, INPUT_AT + bytes.length, crc) >>> 0;
    }
    let result = crc;
    for (let at = 0; at < bytes.length; at += INPUT_BYTES) {
      const piece = bytes.subarray(at, at + INPUT_BYTES);
      input.set(piece);
      result = sum(INPUT_AT, INPUT_AT + piece.length, result) >>> 0;
    }
    return result;
  };
}

function crcModule(): Uint8Array {
  return wasmModule(
    MEMORY_PAGES,
    [foldFunction(FAR_DISTANCES, true), foldFunction(NEAR_DISTANCES, false), sumFunction()],
    'sum',
  );
}

/** Table k: what a byte comes to that k more bytes follow. */
function slicingTables(): Int32Array {
  const tables = new Int32Array((TABLES * TABLE_BYTES) / 4);
  for (let byte = 0; byte < 256; byte++) {
    let c = byte;
    for (let bit = 0; bit < 8; bit++) c = (c & 1) === 1 ? (c >>> 1) ^ POLYNOMIAL : c >>> 1;
    tables[byte] = c;
  }
  for (let i = 256; i < tables.length; i++) {
    const shorter = tables[i - 256] ?? 0;
    tables[i] = (shorter >>> 8) ^ (tables[shorter & 0xff] ?? 0);
  }
  return tables;
}

/**
 * (at, end) => where the bytes begin that are left; they have the same remainder. Folds whole vectors as long as the largest distance is left behind
 * them. `unrolled`: as many at a time as are held, so that none of them has to change its place.
 */
function foldFunction(distances: readonly number[], unrolled: boolean): WasmFunction {
  const held = Math.ceil(Math.max(...distances) / VECTOR_BYTES);
  const first = END + 1;
  const fresh = first + held;
  const stop = fresh + 1;
  const step = unrolled ? held : 1;
  /** What was struck out `back` vectors before the one at `turn`. */
  const struck = (turn: number, back: number): Code => local(first + ((turn - back + held) % held));
  const folded = (turn: number): Code => [
    local(AT),
    load128(turn * VECTOR_BYTES),
    distances.map((distance) => {
      const back = Math.ceil(distance / VECTOR_BYTES);
      const from = back * VECTOR_BYTES - distance;
      const whole = struck(turn, back);
      return from === 0 ? [whole, V128_XOR] : [whole, struck(turn, back - 1), bytesFrom(from), V128_XOR];
    }),
  ];
  const turns = Array.from({ length: held }, (_, turn) => turn);
  const fold = unrolled
    ? turns.map((turn) => [folded(turn), setLocal(first + turn)])
    : [folded(0), setLocal(fresh), turns.map((i) => [local(first + i + 1), setLocal(first + i)])];
  return {
    params: 2,
    locals: [
      [held + 1, V128],
      [1, I32],
    ],
    body: [
      [local(END), i32((held + step) * VECTOR_BYTES), SUB, setLocal(stop)],
      loopWhile([local(AT), local(stop), LE_S], [fold, advanced(step * VECTOR_BYTES)]),
      turns.map((turn) => remainder(distances, held, turn, first)),
      local(AT),
    ],
  };
}

/** What the vectors that were struck out come to in the `nth` of those that are left. */
function remainder(distances: readonly number[], held: number, nth: number, first: number): Code {
  const vector = (index: number): Code => (index < 0 ? local(first + held + index) : V128_ZERO);
  const shares = distances.map((distance) => {
    const from = nth * VECTOR_BYTES - distance;
    if (from >= 0) return [];
    const index = Math.floor(from / VECTOR_BYTES);
    const skipped = from - index * VECTOR_BYTES;
    return [vector(index), vector(index + 1), bytesFrom(skipped), V128_XOR];
  });
  const offset = nth * VECTOR_BYTES;
  return [local(AT), local(AT), load128(offset), shares, store128(offset)];
}

const FOLD_FAR = 0;
const FOLD_NEAR = 1;

/** (at, end, crc) => crc. What was summed before goes into the first four bytes, where there is anything to be folded. */
function sumFunction(): WasmFunction {
  return {
    params: 3,
    locals: [[WORDS.length, I32]],
    body: [
      [local(CRC), i32(-1), XOR, setLocal(CRC)],
      when(hasLeft(NEAR_BYTES_MIN), [
        [local(AT), local(AT), load32(0), local(CRC), XOR, store32(0), i32(0), setLocal(CRC)],
        when(hasLeft(FAR_BYTES_MIN), [local(AT), local(END), call(FOLD_FAR), setLocal(AT)]),
        [local(AT), local(END), call(FOLD_NEAR), setLocal(AT)],
      ]),
      loopWhile(hasLeft(16), sliced(4)),
      loopWhile(hasLeft(4), sliced(1)),
      loopWhile(hasLeft(1), slicedByte()),
      [local(CRC), i32(-1), XOR],
    ],
  };
}

function hasLeft(bytes: number): Code {
  return [local(END), local(AT), SUB, i32(bytes), GE_U];
}

function advanced(bytes: number): Code {
  return [local(AT), i32(bytes), ADD, setLocal(AT)];
}

/** Takes in `count` words of four bytes. */
function sliced(count: number): Code {
  const words = WORDS.slice(0, count);
  const load = words.map((word, i) => [local(AT), load32(4 * i), i === 0 ? [local(CRC), XOR] : [], setLocal(word)]);
  const looks = words.map((word, i) =>
    [0, 1, 2, 3].map((byte) => [lookedUp(word, byte, 4 * count - 1 - 4 * i - byte), i + byte === 0 ? [] : XOR]),
  );
  return [load, looks, setLocal(CRC), advanced(4 * count)];
}

/** The entry of a table for one byte of a word. Entries are four bytes, so the byte is wanted times four. */
function lookedUp(word: number, byte: number, table: number): Code {
  const shift = byte === 0 ? [i32(2), SHL] : [i32(8 * byte - 2), SHR_U];
  return [local(word), shift, i32(0x3fc), AND, load32(table * TABLE_BYTES)];
}

function slicedByte(): Code {
  const [word = 0] = WORDS;
  return [
    [local(CRC), local(AT), load8(0), XOR, setLocal(word)],
    [lookedUp(word, 0, 0), local(CRC), i32(8), SHR_U, XOR, setLocal(CRC)],
    advanced(1),
  ];
}
