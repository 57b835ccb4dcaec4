/**
 * Bytes that are looked for in payloads. A chunk of a file is searched once from front to end, however many payloads stand in it: what lies between two hits
 * is passed over at the price of a comparison. For one reader at a time.
 */
import type { ReadWindow } from '../vfs/read-window.js';

export class Needle {
  readonly #bytes: Buffer;
  #window: ReadWindow | undefined;
  #moves = 0;
  /** The first hit from `#from` on begins at `#hit`. */
  #from = 0;
  #hit = Infinity;

  /** @throws RangeError of no bytes, which everything holds */
  constructor(bytes: Uint8Array) {
    if (bytes.length === 0) throw new RangeError('what is looked for has at least one byte');
    // The caller may use its own again.
    this.#bytes = Buffer.from(bytes);
  }

  /** Whether they stand in [at, end) of the chunk in hand. */
  isIn(window: ReadWindow, at: number, end: number): boolean {
    if (window !== this.#window || window.moves !== this.#moves || at < this.#from || at > this.#hit) {
      const hit = window.chunk.indexOf(this.#bytes, at);
      this.#window = window;
      this.#moves = window.moves;
      this.#hit = hit < 0 ? Infinity : hit;
    }
    this.#from = at;
    return this.#hit + this.#bytes.length <= end;
  }

  isInPayload(payload: Buffer): boolean {
    return payload.includes(this.#bytes);
  }
}
