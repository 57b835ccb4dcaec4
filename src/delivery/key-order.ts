/**
 * Order by key: of each key one record at a time, in ID order. While its first record is being delivered, waits for its next try or is held, those
 * behind it wait, by their IDs alone; other keys pass.
 *
 * Invariant: a key that is known has a head, which is the lowest of its IDs that are there; what waits ascends.
 */
import { assert } from '../assert.js';
import type { QueueRecord } from '../log/queue-record.js';

/** 'fifo': one at a time. A function: the key of a record, of which one is delivered at a time; `undefined`: no order for this one. */
export type Order = 'none' | 'fifo' | ((record: QueueRecord) => string | undefined);

interface Line {
  head: number;
  /** IDs behind it, ascending, from `at` on. */
  waiting: number[];
  at: number;
}

export class KeyOrder {
  readonly #lines = new Map<string, Line>();
  /** The key of which an ID is the head. */
  readonly #heads = new Map<number, string>();
  #waiting = 0;

  /** IDs that were looked past. */
  get waiting(): number {
    return this.#waiting;
  }

  get keys(): number {
    return this.#lines.size;
  }

  /** The record may be delivered: it is the head of its key, now or before. Otherwise it waits. */
  enter(key: string, id: number): boolean {
    const line = this.#lines.get(key);
    if (line === undefined) {
      this.#lines.set(key, { head: id, waiting: [], at: 0 });
      this.#heads.set(id, key);
      return true;
    }
    if (line.head === id) return true;
    const last = line.waiting.at(-1);
    if (line.waiting.length === line.at || (last !== undefined && last < id)) {
      line.waiting.push(id);
    } else {
      // One that was delayed, or given back: its place is in front of later ones.
      let place = line.waiting.length;
      while (place > line.at && (line.waiting[place - 1] ?? 0) > id) place--;
      if (line.waiting[place - 1] === id && place > line.at) return false;
      line.waiting.splice(place, 0, id);
    }
    this.#waiting++;
    return false;
  }

  /** The head has left for good. Its successor, if there is one, is the head now, and is to be fetched. */
  leave(key: string, id: number): number | undefined {
    const line = this.#lines.get(key);
    assert(line !== undefined && line.head === id, 'only the head of a key leaves it');
    this.#heads.delete(id);
    if (line.at === line.waiting.length) {
      this.#lines.delete(key);
      return undefined;
    }
    const next = line.waiting[line.at++] ?? 0;
    line.head = next;
    this.#heads.set(next, key);
    this.#waiting--;
    // What has left the array's front is let go now and then.
    if (line.at > 1024 && line.at * 2 > line.waiting.length) {
      line.waiting = line.waiting.slice(line.at);
      line.at = 0;
    }
    return next;
  }

  /** The key of which this is the head. */
  keyOfHead(id: number): string | undefined {
    return this.#heads.get(id);
  }
}
