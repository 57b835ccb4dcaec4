/**
 * LMDB by lmdb-js: the ID as a 32-bit key, binary values. Writes of one turn of the event loop become one transaction by themselves, `batch`
 * makes one of a batch. A commit is durable when `flushed` resolves; 'os' is `noSync`.
 */
import type { Database } from 'lmdb';
import type { PayloadBatch } from '../harness/payloads.js';
import { loadPeer, type Mode, type OpenContender, type QueueDriver } from './contender.js';

export const openLmdb: OpenContender = async ({ dir, mode }) => {
  const { open } = await loadPeer('lmdb', () => import('lmdb'));
  const db = open({
    path: `${dir}/lmdb`,
    encoding: 'binary',
    keyEncoding: 'uint32',
    noMemInit: true,
    noSync: mode === 'os',
    overlappingSync: mode === 'sync',
  });
  return new LmdbDriver(db, mode);
};

class LmdbDriver implements QueueDriver {
  readonly #db: Database;
  readonly #durable: boolean;
  #nextId = 1;

  constructor(db: Database, mode: Mode) {
    this.#db = db;
    this.#durable = mode === 'sync';
  }

  async push(payload: Buffer): Promise<void> {
    await this.#db.put(this.#nextId++, payload);
    if (this.#durable) await this.#db.flushed;
  }

  async pushMany({ payloads }: PayloadBatch): Promise<void> {
    await this.#db.batch(() => {
      for (const payload of payloads) void this.#db.put(this.#nextId++, payload);
    });
    if (this.#durable) await this.#db.flushed;
  }

  async pushEach({ payloads }: PayloadBatch): Promise<void> {
    await Promise.all(payloads.map((payload) => this.#db.put(this.#nextId++, payload)));
    if (this.#durable) await this.#db.flushed;
  }

  async turn({ payloads }: PayloadBatch, removeFrom: number): Promise<void> {
    await this.#db.batch(() => {
      for (let i = 0; i < payloads.length; i++) {
        const payload = payloads[i];
        if (payload !== undefined) void this.#db.put(this.#nextId++, payload);
        void this.#db.remove(removeFrom + i);
      }
    });
    if (this.#durable) await this.#db.flushed;
  }

  async remove(ids: readonly number[]): Promise<void> {
    await this.#db.batch(() => {
      for (const id of ids) void this.#db.remove(id);
    });
    if (this.#durable) await this.#db.flushed;
  }

  async readAll(): Promise<{ records: number; bytes: number }> {
    let records = 0;
    let bytes = 0;
    for (const { value } of this.#db.getRange({ start: 0 })) {
      records++;
      bytes += value.length;
    }
    return { records, bytes };
  }

  close(): Promise<void> {
    return this.#db.close();
  }
}
