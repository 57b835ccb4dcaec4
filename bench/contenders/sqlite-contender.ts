/**
 * SQLite by better-sqlite3: a table with an integer primary key, prepared statements, WAL; a transaction where there is more than one record.
 * `synchronous = FULL` syncs every commit, 'os' is NORMAL, which syncs at checkpoints only.
 */
import type Database from 'better-sqlite3';
import type { Statement } from 'better-sqlite3';
import type { PayloadBatch } from '../harness/payloads.js';
import { loadPeer, type OpenContender, type QueueDriver } from './contender.js';

export const openSqlite: OpenContender = async ({ dir, mode }) => {
  const { default: Sqlite } = await loadPeer('better-sqlite3', () => import('better-sqlite3'));
  let db: Database;
  try {
    db = new Sqlite(`${dir}/queue.sqlite`);
  } catch (error) {
    // The native part is loaded only here.
    return loadPeer('better-sqlite3', () => Promise.reject(error));
  }
  db.pragma('journal_mode = WAL');
  db.pragma(`synchronous = ${mode === 'sync' ? 'FULL' : 'NORMAL'}`);
  db.exec('CREATE TABLE IF NOT EXISTS queue (id INTEGER PRIMARY KEY, payload BLOB NOT NULL)');
  return new SqliteDriver(db);
};

class SqliteDriver implements QueueDriver {
  readonly #db: Database;
  readonly #insert: Statement;
  readonly #delete: Statement;
  readonly #insertAll: (payloads: readonly Buffer[]) => void;
  readonly #deleteAll: (ids: readonly number[]) => void;
  readonly #turn: (payloads: readonly Buffer[], removeFrom: number) => void;
  #nextId = 1;

  constructor(db: Database) {
    this.#db = db;
    this.#insert = db.prepare('INSERT INTO queue (id, payload) VALUES (?, ?)');
    this.#delete = db.prepare('DELETE FROM queue WHERE id = ?');
    this.#insertAll = db.transaction((payloads: readonly Buffer[]) => {
      for (const payload of payloads) this.#insert.run(this.#nextId++, payload);
    });
    this.#deleteAll = db.transaction((ids: readonly number[]) => {
      for (const id of ids) this.#delete.run(id);
    });
    this.#turn = db.transaction((payloads: readonly Buffer[], removeFrom: number) => {
      for (let i = 0; i < payloads.length; i++) {
        this.#insert.run(this.#nextId++, payloads[i]);
        this.#delete.run(removeFrom + i);
      }
    });
  }

  async push(payload: Buffer): Promise<void> {
    this.#insert.run(this.#nextId++, payload);
  }

  async pushMany({ payloads }: PayloadBatch): Promise<void> {
    this.#insertAll(payloads);
  }

  async pushEach({ payloads }: PayloadBatch): Promise<void> {
    this.#insertAll(payloads);
  }

  async turn({ payloads }: PayloadBatch, removeFrom: number): Promise<void> {
    this.#turn(payloads, removeFrom);
  }

  async remove(ids: readonly number[]): Promise<void> {
    this.#deleteAll(ids);
  }

  async readAll(): Promise<{ records: number; bytes: number }> {
    let records = 0;
    let bytes = 0;
    for (const { payload } of this.#db.prepare('SELECT id, payload FROM queue ORDER BY id').iterate()) {
      records++;
      bytes += payload.length;
    }
    return { records, bytes };
  }

  async close(): Promise<void> {
    this.#db.close();
  }
}
