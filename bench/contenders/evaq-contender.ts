/**
 * Ours, as its documentation says: `push` with a promise each, `pushMany` for batches.
 */
import type { Evaq, Queue } from '../../src/evaq.js';
import { PayloadSource } from '../harness/payloads.js';
import type { OpenContender, OpenOptions, QueueDriver } from './contender.js';

const SEGMENT_BYTES_DEFAULT = 64 * 1024 * 1024;

export const openEvaq: OpenContender = async ({ dir, mode, engine, segmentBytes }) => {
  const store = await engine.Evaq.open(dir, {
    durability: mode,
    ...(segmentBytes === undefined ? {} : { segmentBytes }),
  });
  return new EvaqDriver(store);
};

/** The same where segments have been through their life already: what is written overwrites files that were allocated before. */
export const openEvaqRecycled: OpenContender = async (options) => {
  const { dir, engine, segmentBytes = SEGMENT_BYTES_DEFAULT } = options;
  const recycling: OpenOptions = { ...options, segmentBytes };
  const store = await engine.Evaq.open(dir, { durability: 'os', segmentBytes });
  const source = new PayloadSource(16 * 1024, 64);
  const pushes = Math.ceil((3 * segmentBytes) / source.size / 64);
  let lastId = 0;
  for (let i = 0; i < pushes; i++) lastId = (await store.wal.pushMany(source.batch(64).payloads)).lastId;
  await store.wal.flush();
  await store.wal.removeThrough(lastId);
  await store.wal.compact();
  const pooled = store.wal.stats().recycledFiles;
  await store.close();
  if (pooled === 0) throw new Error('no segment was recycled');
  return openEvaq(recycling);
};

/** Single records by `pushSync`, which writes and syncs in the calling thread and holds the event loop meanwhile, as SQLite does. */
export const openEvaqBlocking: OpenContender = async ({ dir, mode, engine }) =>
  new BlockingEvaqDriver(await engine.Evaq.open(dir, { durability: mode }));

export class EvaqDriver implements QueueDriver {
  readonly store: Evaq;
  readonly queue: Queue;

  constructor(store: Evaq) {
    this.store = store;
    this.queue = store.wal;
  }

  push(payload: Buffer): Promise<unknown> {
    return this.queue.push(payload);
  }

  pushMany({ payloads }: { readonly payloads: readonly Buffer[] }): Promise<unknown> {
    return this.queue.pushMany(payloads);
  }

  pushEach({ payloads }: { readonly payloads: readonly Buffer[] }): Promise<unknown> {
    return Promise.all(payloads.map((payload) => this.queue.push(payload)));
  }

  turn({ payloads }: { readonly payloads: readonly Buffer[] }, removeFrom: number): Promise<unknown> {
    const calls: Promise<unknown>[] = [];
    for (let i = 0; i < payloads.length; i++) {
      const payload = payloads[i];
      if (payload !== undefined) calls.push(this.queue.push(payload));
      calls.push(this.queue.remove(removeFrom + i));
    }
    return Promise.all(calls);
  }

  async remove(ids: readonly number[]): Promise<void> {
    const removed = await this.queue.removeMany(ids);
    if (removed !== ids.length) throw new Error(`${removed} of ${ids.length} records were removed`);
  }

  async readAll(): Promise<{ records: number; bytes: number }> {
    let records = 0;
    let bytes = 0;
    for (let from = 0; ; ) {
      const chunk = await this.queue.read({ from, maxBytes: 1024 * 1024 });
      const last = chunk.at(-1);
      if (last === undefined) return { records, bytes };
      from = last.id + 1;
      records += chunk.length;
      for (const record of chunk) bytes += record.payload.length;
    }
  }

  counters(): Readonly<Record<string, number>> {
    const { gc } = this.queue.stats();
    return { copiedByGc: gc.copiedBytes };
  }

  async close(): Promise<void> {
    await this.store.close();
  }
}

class BlockingEvaqDriver extends EvaqDriver {
  override async push(payload: Buffer): Promise<unknown> {
    return this.queue.pushSync(payload);
  }
}
