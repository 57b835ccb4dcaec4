/** The sink for PostgreSQL, against a server. */
import type { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postgresSink } from '../../src/forward/postgres.js';
import { because, newPool, startPostgres, WHY_NOT } from './brokers.js';
import { forwardThroughKill, lettersOf } from './forward-through-kill.js';
import type { Server } from './servers.js';

const missing = WHY_NOT.postgres;

describe.skipIf(missing !== undefined)(`a real PostgreSQL${because(missing)}`, () => {
  let server: Server;
  let client: Pool;

  beforeAll(async () => {
    server = await startPostgres();
    client = await newPool(server.port);
    // A connection of the pool that is lost says so.
    client.on('error', () => undefined);
  });
  afterAll(async () => {
    await client.end();
    await server.end();
  });

  test('killed in the middle: each is there once, a batch wholly or not at all', async () => {
    await client.query('CREATE TABLE killed (delivery_id text PRIMARY KEY, payload bytea NOT NULL)');
    const { doubles } = await forwardThroughKill({
      sink: postgresSink({ client, table: 'killed' }),
      server,
      arrived: async () => {
        const { rows } = await client.query<{ delivery_id: string; payload: Buffer }>('SELECT * FROM killed');
        return rows.map(({ delivery_id: deliveryId, payload }) => ({ deliveryId, payload }));
      },
    });
    expect(doubles).toBe(0);
  });

  test('what the table refuses is a dead letter with its SQLSTATE; the rest of the batch is there', async () => {
    await client.query('CREATE SCHEMA "my app"');
    await client.query(
      `CREATE TABLE "my app"."a ""b""" (id text UNIQUE, body jsonb CHECK (body->>'n' <> '7'), h jsonb, at timestamptz, k text UNIQUE)`,
    );
    const columns = { deliveryId: 'id', payload: 'body', headers: 'h', timestamp: 'at', key: 'k' };
    const sink = postgresSink({ client, table: ['my app', 'a "b"'], columns, payloadType: 'jsonb' });
    const payloads = ['{"n":"1"}', '{"n":"7"}', 'no json', '{"n":"2"}', '{"n":"2"}', '{"n":"3"}'];
    const letters = await lettersOf(sink, payloads, { key: ({ payload }) => payload.toString() });
    // The second of a key is another record that a constraint refuses, and not one that is there already.
    expect(letters.map(({ reason, payload }) => `${reason} ${payload}`).sort()).toEqual([
      'SQLSTATE 22P02 no json',
      'SQLSTATE 23505 {"n":"2"}',
      'SQLSTATE 23514 {"n":"7"}',
    ]);
    const { rows } = await client.query(
      `SELECT body->>'n' n, h, k, at > now() - interval '1 hour' fresh FROM "my app"."a ""b""" ORDER BY 1`,
    );
    expect(rows).toEqual(['1', '2', '3'].map((n) => ({ n, h: {}, k: `{"n":"${n}"}`, fresh: true })));
  });

  test('no table yet is the destination’s fault; a table without the key, or that we may not write, stops', async () => {
    const record = { id: 1, payload: Buffer.from('a'), headers: {}, timestamp: 1, attempt: 1, key: undefined };
    const records = [{ ...record, deliveryId: 's:wal:1' }];
    const context = { signal: new AbortController().signal, queue: 'wal' };
    const deliver = (table: string): Promise<unknown> =>
      Promise.resolve(postgresSink({ client, table }).deliver(records, context));
    await expect(deliver('nowhere')).rejects.toMatchObject({ kind: 'unavailable' });
    await client.query('CREATE TABLE keyless (delivery_id text, payload bytea)');
    await expect(deliver('keyless')).rejects.toMatchObject({ kind: 'unauthorized' });
    await expect(deliver('pg_class')).rejects.toMatchObject({ kind: 'unauthorized' });
    await postgresSink({ client, table: 'killed' }).probe?.(context);
  });
});
