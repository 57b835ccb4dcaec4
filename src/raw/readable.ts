/**
 * What can be read of a store, in a few bytes a record: to prove that it still can after something was done to the store (P15).
 */
import { crc32, crc32Continued } from '../checksum.js';
import { EvaqError } from '../errors.js';
import type { IdRange } from '../ids.js';
import type { Host } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';
import { ReadOnlyEvaq } from './read-only-evaq.js';

const SUMS_MIN = 1024;

/** The records of one queue: their IDs, and a sum of each one's content. */
class ReadableQueue {
  readonly runs: { first: number; last: number }[] = [];
  /** In the order of the IDs. */
  sums: Uint32Array = new Uint32Array(SUMS_MIN);
  count = 0;

  add(id: number, sum: number): void {
    const run = this.runs.at(-1);
    if (run !== undefined && run.last + 1 === id) run.last = id;
    else this.runs.push({ first: id, last: id });
    if (this.count === this.sums.length) {
      const larger = new Uint32Array(2 * this.count);
      larger.set(this.sums);
      this.sums = larger;
    }
    this.sums[this.count++] = sum;
  }

  *records(): Generator<{ readonly id: number; readonly sum: number }, undefined, undefined> {
    let at = 0;
    for (const { first, last } of this.runs)
      for (let id = first; id <= last; id++) yield { id, sum: this.sums[at++] ?? 0 };
  }
}

/** By queue. */
export type Readable = ReadonlyMap<string, ReadableQueue>;

export interface ReadableOptions {
  readonly vfs: Vfs;
  readonly host: Host;
  readonly signal?: AbortSignal;
}

/** Reads all of it, past what is damaged. `undefined` where the store itself cannot be opened for reading. Rejects with EVAQ_IO. */
export async function readableOf(path: string, { vfs, host, signal }: ReadableOptions): Promise<Readable | undefined> {
  const wait = signal === undefined ? {} : { signal };
  let evaq: ReadOnlyEvaq;
  try {
    evaq = await ReadOnlyEvaq.open(path, { onCorruption: 'quarantine', ports: { vfs, host }, ...wait });
  } catch (error) {
    if (error instanceof EvaqError && (error.code === 'EVAQ_CORRUPT' || error.code === 'EVAQ_NOT_A_STORE'))
      return undefined;
    throw error;
  }
  try {
    const readable = new Map<string, ReadableQueue>();
    for (const name of await evaq.queueNames()) {
      const found = new ReadableQueue();
      try {
        const queue = await evaq.queue(name);
        for await (const { id, payload, ...rest } of queue.records(wait))
          found.add(id, crc32Continued(Buffer.from(JSON.stringify(rest)), crc32(payload)));
      } catch (error) {
        // Nothing of it is read where its files contradict each other.
        if (!(error instanceof EvaqError) || error.code !== 'EVAQ_CORRUPT') throw error;
        continue;
      }
      readable.set(name, found);
    }
    return readable;
  } finally {
    await evaq.close();
  }
}

/** What could be read before and cannot now, or is not what it was. */
export function goneFrom(before: Readable, after: Readable | undefined): (IdRange & { readonly queue: string })[] {
  const gone: { queue: string; first: number; last: number }[] = [];
  for (const [queue, had] of before) {
    const has = after?.get(queue)?.records();
    let next = has?.next().value;
    for (const { id, sum } of had.records()) {
      while (next !== undefined && next.id < id) next = has?.next().value;
      if (next?.id === id && next.sum === sum) continue;
      const last = gone.at(-1);
      if (last?.queue === queue && last.last + 1 === id) last.last = id;
      else gone.push({ queue, first: id, last: id });
    }
  }
  return gone;
}
