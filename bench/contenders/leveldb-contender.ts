/**
 * LevelDB by classic-level: the ID as a big-endian key, so that order is kept; `batch` where there is more than one record, `sync: true` for
 * durability. Compression is off, which is in its favour: the payloads do not compress.
 */
import type { ClassicLevel, Operation } from 'classic-level';
import type { PayloadBatch } from '../harness/payloads.js';
import { loadPeer, type Mode, type OpenContender, type QueueDriver } from './contender.js';

const READ_RECORDS = 1000;
const READ_BYTES = 1024 * 1024;

export const openLeveldb: OpenContender = async ({ dir, mode }) => {
  const { ClassicLevel: Level } = await loadPeer('classic-level', () => import('classic-level'));
  const db = new Level(`${dir}/leveldb`, { keyEncoding: 'view', valueEncoding: 'view', compression: false });
  await db.open();
  return new LeveldbDriver(db, mode);
};

class LeveldbDriver implements QueueDriver {
  readonly #db: ClassicLevel;
  readonly #options: { readonly sync: boolean };
  #nextId = 1;

  constructor(db: ClassicLevel, mode: Mode) {
    this.#db = db;
    this.#options = { sync: mode === 'sync' };
  }

  push(payload: Buffer): Promise<void> {
    return this.#db.put(keyOf(this.#nextId++), payload, this.#options);
  }

  pushMany({ payloads }: PayloadBatch): Promise<void> {
    return this.#db.batch(this.#puts(payloads), this.#options);
  }

  pushEach(batch: PayloadBatch): Promise<void> {
    return this.pushMany(batch);
  }

  turn({ payloads }: PayloadBatch, removeFrom: number): Promise<void> {
    const operations = this.#puts(payloads);
    for (let i = 0; i < payloads.length; i++) operations.push({ type: 'del', key: keyOf(removeFrom + i) });
    return this.#db.batch(operations, this.#options);
  }

  remove(ids: readonly number[]): Promise<void> {
    return this.#db.batch(
      ids.map((id): Operation => ({ type: 'del', key: keyOf(id) })),
      this.#options,
    );
  }

  async readAll(): Promise<{ records: number; bytes: number }> {
    let records = 0;
    let bytes = 0;
    const iterator = this.#db.iterator({ highWaterMarkBytes: READ_BYTES });
    try {
      for (;;) {
        const entries = await iterator.nextv(READ_RECORDS);
        if (entries.length === 0) return { records, bytes };
        records += entries.length;
        for (const [, value] of entries) bytes += value.length;
      }
    } finally {
      await iterator.close();
    }
  }

  close(): Promise<void> {
    return this.#db.close();
  }

  #puts(payloads: readonly Buffer[]): Operation[] {
    return payloads.map((value) => ({ type: 'put', key: keyOf(this.#nextId++), value }));
  }
}

function keyOf(id: number): Buffer {
  const key = Buffer.allocUnsafe(8);
  key.writeUInt32BE(Math.floor(id / 2 ** 32), 0);
  key.writeUInt32BE(id >>> 0, 4);
  return key;
}
