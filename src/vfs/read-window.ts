/**
 * The part of a file that is walked through which is in memory: one chunk, and while that one is being worked on the next ones, on their way.
 *
 * What is read ahead begins where the chunk in hand ends, which is in the middle of something: so there is room in front of it for that thing's
 * beginning, and nothing is read twice.
 */

import type { VfsFile } from './vfs.js';
import { newViewBuffer } from './view-buffer.js';

export type ReadAt = VfsFile['readAt'];

export interface ReadWindowOptions {
  /** Room in front of what is read ahead: what begins in one chunk and ends in the next must not have more of itself in the first. */
  readonly carryBytesMax: number;
  /** False: each chunk is a buffer of its own, for those who hand out views of it. True: nobody keeps a view when the window moves on. */
  readonly reuse: boolean;
}

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
  /** How often it has moved: what was found out about the chunk holds as long as it has not. */
  moves = 0;
  readonly #options: ReadWindowOptions;
  /** In the order of the file, one behind the other. */
  #ahead: Ahead[] = [];
  /** What `chunk` is a part of. */
  #buffer: Buffer = NOTHING;
  #spare: Buffer[] = [];
  readonly #underWay: Set<Promise<number>> = new Set();

  constructor(options: ReadWindowOptions) {
    this.#options = options;
  }

  /** Whether `bytes` bytes from file offset `at` on are in hand. */
  holds(at: number, bytes: number): boolean {
    return at >= this.from && at + bytes <= this.from + this.bytes;
  }

  /** Lets go of all bytes. */
  clear(): void {
    this.moves++;
    this.chunk = NOTHING;
    this.#buffer = NOTHING;
    this.bytes = 0;
    this.#ahead = [];
    this.#spare = [];
  }

  /** Lets go of what was read from file offset `offset` on. */
  keepTo(offset: number): void {
    this.bytes = Math.min(this.bytes, Math.max(0, offset - this.from));
    this.#ahead = [];
  }

  /** Resolves when no read is under way that was sent ahead, wanted still or not. */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  /** Makes the chunk begin at file offset `at` and hold at least `bytes`, if the file has them; reads `size` where it has to read. */
  async fill(readAt: ReadAt, at: number, bytes: number, size: number): Promise<void> {
    const ahead = this.#ahead.shift();
    if (ahead !== undefined && (await this.#moveTo(ahead, at, bytes))) return;
    this.#ahead = [];
    const length = Math.max(bytes, size);
    const kept = this.holds(at, 1) ? this.from + this.bytes - at : 0;
    // Where nobody keeps a view, the end of the chunk moves to the front of the same buffer.
    const inPlace = this.#options.reuse && this.#buffer.length >= length;
    const buffer = inPlace ? this.#buffer : this.#newBuffer(length);
    if (kept > 0) this.chunk.copy(buffer, 0, at - this.from, this.bytes);
    if (inPlace) this.#buffer = NOTHING;
    this.bytes = 0;
    const read = kept < length ? await readAt(buffer, kept, length - kept, at + kept) : 0;
    this.#take(buffer, buffer, at, Math.min(length, kept + read));
  }

  /** Sees that what follows the chunk in hand is on its way: `size` bytes a time, and nothing from `limit` on. */
  readAhead(readAt: ReadAt, size: number, limit: number): void {
    const room = this.#options.carryBytesMax;
    let from = this.from + this.bytes;
    for (let i = 0; i < AHEAD_MAX; i++) {
      const length = Math.min(size, limit - from);
      const known = this.#ahead[i];
      if (known === undefined) {
        if (length <= 0) return;
        const buffer = this.#newBuffer(room + length);
        const held = readAt(buffer, room, length, from)
          .catch(() => 0)
          .finally(() => this.#underWay.delete(held));
        this.#underWay.add(held);
        this.#ahead.push({ from, length, buffer, held });
      }
      from += known?.length ?? length;
    }
  }

  /** Takes what was read ahead for the chunk, with the end of the old one in front of it. False where that is not what is wanted. */
  async #moveTo(ahead: Ahead, at: number, bytes: number): Promise<boolean> {
    const room = this.#options.carryBytesMax;
    const carried = ahead.from - at;
    if (carried > room || at < this.from) return false;
    // What was read before may have been short, at an end of the file that has moved since.
    if (carried > 0 && this.from + this.bytes !== ahead.from) return false;
    const held = await ahead.held;
    if (held === 0 || carried + held < bytes) return false;
    if (carried > 0) {
      const start = at - this.from;
      this.chunk.copy(ahead.buffer, room - carried, start, start + carried);
    }
    this.#take(ahead.buffer, ahead.buffer.subarray(room - carried, room + held), at, carried + held);
    return true;
  }

  #take(buffer: Buffer, chunk: Buffer, from: number, bytes: number): void {
    if (this.#options.reuse && this.#buffer.length > 0) this.#spare.push(this.#buffer);
    this.moves++;
    this.#buffer = buffer;
    this.chunk = chunk;
    this.from = from;
    this.bytes = bytes;
  }

  #newBuffer(length: number): Buffer {
    if (!this.#options.reuse) return newViewBuffer(length);
    const spare = this.#spare.pop();
    return spare !== undefined && spare.length >= length ? spare : Buffer.allocUnsafeSlow(length);
  }
}
