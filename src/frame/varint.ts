/**
 * Unsigned LEB128 integers up to 2^53 - 1, for the delta-coded parts of footers and tombstones: seven bits a byte, the
 * lowest first, the top bit set on all but the last.
 */

/** Bytes that `value` takes. */
export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

/** The longest integer: 53 bits in groups of seven. */
export const VARINT_BYTES_MAX = 8;

/** Writes at `at` and returns where the next one goes. */
export function writeVarint(target: Uint8Array, at: number, value: number): number {
  let rest = value;
  while (rest >= 0x80) {
    target[at++] = (rest % 0x80) | 0x80;
    rest = rest > 0x7fff_ffff ? Math.floor(rest / 0x80) : rest >>> 7;
  }
  target[at++] = rest;
  return at;
}

/** A cursor over a run of varints. Its reader throws nothing: past the end or past 2^53 it sets `failed`. */
export interface VarintCursor {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;
  failed: boolean;
}

export function varintCursor(bytes: Uint8Array, at: number, end: number): VarintCursor {
  return { bytes, at, end, failed: false };
}

export function readVarint(cursor: VarintCursor): number {
  let value = 0;
  let scale = 1;
  for (let n = 0; n < VARINT_BYTES_MAX; n++) {
    if (cursor.at >= cursor.end) break;
    const byte = cursor.bytes[cursor.at++] ?? 0;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) {
      if (value > Number.MAX_SAFE_INTEGER) break;
      return value;
    }
    scale *= 0x80;
  }
  cursor.failed = true;
  return 0;
}

/** A growing run of varints. */
export class VarintWriter {
  #bytes: Buffer = Buffer.allocUnsafe(256);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    if (this.#length + VARINT_BYTES_MAX > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(this.#bytes.length * 2);
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    this.#length = writeVarint(this.#bytes, this.#length, value);
  }

  /** A view of what was written; valid until the next `push`. */
  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}
