/**
 * Payloads in a row, each with the same few bytes behind it: all that a program needs which prints millions of them, at the price of a copy each. There is
 * one buffer, which grows to the most that was packed at a time, and is filled again.
 */
const CAPACITY_MIN = 64 * 1024;
/** Whoever passes it on looks up after so much, or after a commit. */
const FULL_BYTES = 512 * 1024;
/** Measured on Node 20.20, x86-64: up to so many bytes the call out of JavaScript costs more than it saves. */
const WORDS_BYTES_MAX = 256;

const NOTHING = Buffer.alloc(0);

export class PayloadPack {
  /** The same bytes behind each payload. */
  readonly #behind: Buffer;
  #buffer: Buffer = NOTHING;
  #view: DataView = viewOf(NOTHING);
  /** What is read from, which changes every thousands of payloads. */
  #source: Buffer = NOTHING;
  #sourceView: DataView = this.#view;
  #end = 0;
  #count = 0;
  #lastId = 0;

  constructor(behind: Uint8Array) {
    // The caller may use its own again.
    this.#behind = Buffer.from(behind);
  }

  get count(): number {
    return this.#count;
  }

  /** Of the payload packed last. */
  get lastId(): number {
    return this.#lastId;
  }

  /** It takes more, but has enough for one call. */
  get isFull(): boolean {
    return this.#end >= FULL_BYTES;
  }

  /** What is packed: a view, until something is packed or cleared. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#end);
  }

  clear(): void {
    this.#end = 0;
    this.#count = 0;
    this.#lastId = 0;
  }

  /** What packs a part, to be taken back by `cutTo`. */
  mark(): PackMark {
    return { end: this.#end, count: this.#count, lastId: this.#lastId };
  }

  /** Takes back what was packed since then. */
  cutTo({ end, count, lastId }: PackMark): void {
    this.#end = end;
    this.#count = count;
    this.#lastId = lastId;
  }

  /** The payload of record `id` stands in `source` from `at` on. */
  add(id: number, source: Buffer, at: number, bytes: number): void {
    const end = this.#end + bytes;
    const behind = this.#behind;
    if (end + behind.length > this.#buffer.length) this.#grow(end + behind.length);
    if (bytes > WORDS_BYTES_MAX) {
      source.copy(this.#buffer, this.#end, at, at + bytes);
    } else {
      if (source !== this.#source) {
        this.#source = source;
        this.#sourceView = viewOf(source);
      }
      copyWords(this.#sourceView, at, this.#view, this.#end, bytes);
    }
    for (let i = 0; i < behind.length; i++) this.#buffer[end + i] = behind[i] ?? 0;
    this.#end = end + behind.length;
    this.#count++;
    this.#lastId = id;
  }

  #grow(needed: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, CAPACITY_MIN, 2 * this.#buffer.length));
    this.#buffer.copy(larger, 0, 0, this.#end);
    this.#buffer = larger;
    this.#view = viewOf(larger);
  }
}

export interface PackMark {
  readonly end: number;
  readonly count: number;
  readonly lastId: number;
}

function viewOf({ buffer, byteOffset, length }: Buffer): DataView {
  return new DataView(buffer, byteOffset, length);
}

function copyWords(from: DataView, at: number, to: DataView, toAt: number, bytes: number): void {
  const words = bytes & ~3;
  let i = 0;
  for (; i < words; i += 4) to.setUint32(toAt + i, from.getUint32(at + i, true), true);
  for (; i < bytes; i++) to.setUint8(toAt + i, from.getUint8(at + i));
}
