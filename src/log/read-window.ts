/**
 * The part of a file that a walk over it holds in memory: one chunk, and while that one is being worked on the next, on its way.
 *
 * A chunk is a buffer of its own and never reused, since records handed out are views of it. The bytes read ahead begin where the chunk in
 * hand ends, which is in the middle of a frame: so there is room in front of them for the frame's beginning, and nothing is read twice.
 */

/** Reads up to `length` bytes at `position`; short only at the end of the file. */
export type ReadAt = (target: Uint8Array, offset: number, length: number, position: number) => Promise<number>;

/** Room in front of what is read ahead: what begins in one chunk and ends in the next must not have more of itself in the first. */
export const CARRY_BYTES_MAX: number = 128 * 1024;

/** Reads under way at a time: with one, whoever checks waits for the reader now and then, and the other way round. */
const AHEAD_MAX = 2;

interface Ahead {
  readonly from: number;
  readonly length: number;
  readonly buffer: Buffer;
  /** Bytes that are there; 0 where reading failed, which whoever needs the bytes meets again. */
  readonly held: Promise<number>;
}

const NOTHING = Buffer.alloc(0);

export class ReadWindow {
  /** The bytes in hand: `bytes` of them, from file offset `from` on. */
  chunk: Buffer = NOTHING;
  from = 0;
  bytes = 0;
  /** In the order of the file, one behind the other. */
  #ahead: Ahead[] = [];

  /** Whether `bytes` bytes from file offset `at` on are in hand. */
  holds(at: number, bytes: number): boolean {
    return at >= this.from && at + bytes <= this.from + this.bytes;
  }

  /** Lets go of all bytes. */
  clear(): void {
    this.chunk = NOTHING;
    this.bytes = 0;
    this.#ahead = [];
  }

  /** Makes the chunk begin at file offset `at` and hold at least `bytes`, if the file has them; reads `size` where it has to read. */
  async fill(readAt: ReadAt, at: number, bytes: number, size: number): Promise<void> {
    const ahead = this.#ahead.shift();
    if (ahead !== undefined && (await this.#moveTo(ahead, at, bytes))) return;
    this.#ahead = [];
    const length = Math.max(bytes, size);
    const chunk = Buffer.allocUnsafeSlow(length);
    const held = await readAt(chunk, 0, length, at);
    this.chunk = chunk;
    this.from = at;
    this.bytes = held;
  }

  /** Sees that what follows the chunk in hand is on its way: `size` bytes a time, and nothing from `limit` on. */
  readAhead(readAt: ReadAt, size: number, limit: number): void {
    let from = this.from + this.bytes;
    for (let i = 0; i < AHEAD_MAX; i++) {
      const length = Math.min(size, limit - from);
      const known = this.#ahead[i];
      if (known === undefined) {
        if (length <= 0) return;
        const buffer = Buffer.allocUnsafeSlow(CARRY_BYTES_MAX + length);
        const held = readAt(buffer, CARRY_BYTES_MAX, length, from).catch(() => 0);
        this.#ahead.push({ from, length, buffer, held });
      }
      from += known?.length ?? length;
    }
  }

  /** Takes what was read ahead for the chunk, with the end of the old one in front of it. False where that is not what is wanted. */
  async #moveTo(ahead: Ahead, at: number, bytes: number): Promise<boolean> {
    const carried = ahead.from - at;
    if (carried > CARRY_BYTES_MAX || at < this.from) return false;
    const held = await ahead.held;
    if (held === 0 || carried + held < bytes) return false;
    if (carried > 0) {
      const start = at - this.from;
      this.chunk.copy(ahead.buffer, CARRY_BYTES_MAX - carried, start, start + carried);
    }
    this.chunk = ahead.buffer.subarray(CARRY_BYTES_MAX - carried, CARRY_BYTES_MAX + held);
    this.from = at;
    this.bytes = carried + held;
    return true;
  }
}
