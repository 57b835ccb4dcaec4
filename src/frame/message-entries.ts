/**
 * What is kept of a record that was pushed with a message ID: a hash of the ID, the record's ID, its time. Columns of numbers, since there may be
 * millions.
 *
 * The hash is SHA-256 cut to 128 bits: two IDs that are not the same have the same hash never, in practice (a chance of 1 in 10^24 among a million), so
 * that the text need not be kept when the record is gone.
 */
import { createHash } from 'node:crypto';

export const HASH_BYTES = 16;
const HASH_WORDS = 4;

/** Four 32-bit numbers, little-endian. */
export type MessageHash = readonly [number, number, number, number];

export function messageHash(messageId: string): MessageHash {
  const digest = createHash('sha256').update(messageId, 'utf8').digest();
  return [digest.readUInt32LE(0), digest.readUInt32LE(4), digest.readUInt32LE(8), digest.readUInt32LE(12)];
}

const CAPACITY_MIN = 64;

export class MessageEntries {
  count = 0;
  #words = new Uint32Array(0);
  #ids = new Float64Array(0);
  #times = new Float64Array(0);

  add(hash: MessageHash, id: number, timeMs: number): void {
    if (this.count === this.#ids.length) this.#grow();
    this.#words.set(hash, this.count * HASH_WORDS);
    this.#ids[this.count] = id;
    this.#times[this.count] = timeMs;
    this.count++;
  }

  hashAt(index: number): MessageHash {
    const at = index * HASH_WORDS;
    const words = this.#words;
    return [words[at] ?? 0, words[at + 1] ?? 0, words[at + 2] ?? 0, words[at + 3] ?? 0];
  }

  idAt(index: number): number {
    return this.#ids[index] ?? 0;
  }

  timeAt(index: number): number {
    return this.#times[index] ?? 0;
  }

  #grow(): void {
    const capacity = Math.max(CAPACITY_MIN, this.count * 2);
    const words = new Uint32Array(capacity * HASH_WORDS);
    words.set(this.#words);
    this.#words = words;
    const ids = new Float64Array(capacity);
    ids.set(this.#ids);
    this.#ids = ids;
    const times = new Float64Array(capacity);
    times.set(this.#times);
    this.#times = times;
  }
}
