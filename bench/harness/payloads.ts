/**
 * Payloads that do not compress, laid out one behind the other, so that a batch of them is also one range of bytes for those
 * who write ranges.
 */
import { randomFillSync } from 'node:crypto';

export interface PayloadBatch {
  readonly payloads: readonly Buffer[];
  /** The same bytes in one piece. */
  readonly bytes: Buffer;
}

export class PayloadSource {
  readonly size: number;
  readonly #all: Buffer;
  readonly #payloads: Buffer[] = [];
  #next = 0;

  /** `batchMax`: the largest batch that will be asked for. */
  constructor(size: number, batchMax = 1) {
    const count = Math.max(batchMax, Math.min(4096, Math.ceil((4 * 1024 * 1024) / size)));
    this.size = size;
    this.#all = randomFillSync(Buffer.alloc(count * size));
    for (let i = 0; i < count; i++) this.#payloads.push(this.#all.subarray(i * size, (i + 1) * size));
  }

  one(): Buffer {
    const payload = this.#payloads[this.#advance(1)];
    if (payload === undefined) throw new RangeError('no payload');
    return payload;
  }

  batch(count: number): PayloadBatch {
    const at = this.#advance(count);
    return {
      payloads: this.#payloads.slice(at, at + count),
      bytes: this.#all.subarray(at * this.size, (at + count) * this.size),
    };
  }

  #advance(count: number): number {
    if (this.#next + count > this.#payloads.length) this.#next = 0;
    const at = this.#next;
    this.#next += count;
    return at;
  }
}
