/** Contenders that can deliver: hand out what is there, a handler at work on it, and remove what it has returned from. */
import type { Evaq } from '../../src/evaq.js';
import type { EngineModule } from '../harness/engine.js';
import { loadPeer, type Mode } from './contender.js';

export interface Deliverer {
  fill(payloads: readonly Buffer[]): Promise<void>;
  /**
   * Delivers all that is there: one record a handler, some handlers at a time, or a batch a handler. Resolves when the last one is removed, with how many
   * there were.
   */
  deliver(how: 'single' | 'batch', handler: () => Promise<void>): Promise<number>;
  close(): Promise<void>;
}

export interface DelivererOptions {
  readonly dir: string;
  readonly mode: Mode;
  readonly engine: EngineModule;
}

export const CONCURRENCY = 256;
export const BATCH_RECORDS = 1000;

export function openDeliverer(name: string, options: DelivererOptions): Promise<Deliverer> {
  return name === 'sqlite' ? openTable(options) : openOurs(options);
}

async function openOurs({ dir, mode, engine }: DelivererOptions): Promise<Deliverer> {
  return new EvaqDeliverer(await engine.Evaq.open(dir, { durability: mode }));
}

class EvaqDeliverer implements Deliverer {
  readonly #store: Evaq;

  constructor(store: Evaq) {
    this.#store = store;
  }

  async fill(payloads: readonly Buffer[]): Promise<void> {
    await this.#store.wal.pushMany(payloads);
  }

  async deliver(how: 'single' | 'batch', handler: () => Promise<void>): Promise<number> {
    const { wal } = this.#store;
    const delivery =
      how === 'single'
        ? wal.process(handler, { concurrency: CONCURRENCY })
        : wal.processBatch(handler, { concurrency: 2, batch: { maxRecords: BATCH_RECORDS } });
    await delivery.drained();
    const { delivered } = delivery.stats();
    await delivery.stop();
    return delivered;
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

/**
 * A queue in a table, as people write it by hand: whoever takes rows marks them in one transaction, and deletes them in another when the handlers have
 * returned. What was marked when the process died is found by its mark.
 */
async function openTable({ dir, mode }: DelivererOptions): Promise<Deliverer> {
  const { default: Sqlite } = await loadPeer('better-sqlite3', () => import('better-sqlite3'));
  const path = `${dir}/table.sqlite`;
  // The native part is loaded only here.
  const db = await loadPeer('better-sqlite3', async () => new Sqlite(path));
  db.pragma('journal_mode = WAL');
  db.pragma(`synchronous = ${mode === 'sync' ? 'FULL' : 'NORMAL'}`);
  db.exec(
    'CREATE TABLE queue (id INTEGER PRIMARY KEY, payload BLOB NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, taken INTEGER NOT NULL DEFAULT 0)',
  );
  db.exec('CREATE INDEX waiting ON queue (id) WHERE taken = 0');
  const insert = db.prepare('INSERT INTO queue (payload) VALUES (?)');
  const insertAll = db.transaction((payloads: readonly Buffer[]) => {
    for (const payload of payloads) insert.run(payload);
  });
  const take = db.prepare(
    'UPDATE queue SET taken = 1, attempts = attempts + 1 WHERE id IN (SELECT id FROM queue WHERE taken = 0 ORDER BY id LIMIT ?) RETURNING id, payload',
  );
  const remove = db.prepare('DELETE FROM queue WHERE id = ?');
  const removeAll = db.transaction((ids: readonly number[]) => {
    for (const id of ids) remove.run(id);
  });
  return {
    fill: async (payloads) => insertAll(payloads),
    async deliver(how, handler) {
      let delivered = 0;
      for (;;) {
        const rows = [...take.iterate(how === 'single' ? CONCURRENCY : BATCH_RECORDS)];
        if (rows.length === 0) return delivered;
        await (how === 'single' ? Promise.all(rows.map(handler)) : handler());
        removeAll(rows.map(({ id }) => id));
        delivered += rows.length;
      }
    },
    close: async () => db.close(),
  };
}
