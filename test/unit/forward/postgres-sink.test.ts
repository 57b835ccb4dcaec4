/** The sink for PostgreSQL, with a client that is made up; `test/forward/postgres.test.ts` has a real one. */
import { describe, expect, it } from 'vitest';
import { postgresSink } from '../../../src/forward/postgres.js';
import { CONTEXT, recordOf } from './sink-fixture.js';

function newClient(fail?: unknown) {
  const asked: { readonly text: string; readonly values: unknown[] }[] = [];
  const query = async (text: string, values: unknown[]): Promise<unknown> => {
    asked.push({ text, values });
    if (fail !== undefined) throw fail;
    return {};
  };
  return { asked, client: { query } };
}

describe('postgresSink', () => {
  it('inserts a batch by one statement, and takes a conflict of the key for there', async () => {
    const { client, asked } = newClient();
    await postgresSink({ client, table: 'orders' }).deliver([recordOf(1, 'a'), recordOf(2, 'b')], CONTEXT);
    expect(asked).toEqual([
      {
        text:
          'INSERT INTO "orders" ("delivery_id", "payload") SELECT * FROM unnest($1::text[], $2::bytea[]) ' +
          'ON CONFLICT ("delivery_id") DO NOTHING',
        values: [
          ['s:wal:1', 's:wal:2'],
          [Buffer.from('a'), Buffer.from('b')],
        ],
      },
    ]);
  });

  it('writes into the columns that are named, whatever their names are', async () => {
    const { client, asked } = newClient();
    const columns = { deliveryId: 'i"d', payload: 'p', headers: 'h', timestamp: 't', key: 'k' };
    const sink = postgresSink({ client, table: ['a', 'b;c'], columns, payloadType: 'text' });
    await sink.deliver([recordOf(1, 'ä', { headers: { x: 'y' }, key: 'z' }), recordOf(2, '')], CONTEXT);
    expect(asked).toEqual([
      {
        text:
          'INSERT INTO "a"."b;c" ("i""d", "p", "h", "t", "k") ' +
          'SELECT * FROM unnest($1::text[], $2::text[], $3::jsonb[], $4::timestamptz[], $5::text[]) ' +
          'ON CONFLICT ("i""d") DO NOTHING',
        values: [
          ['s:wal:1', 's:wal:2'],
          ['ä', ''],
          ['{"x":"y"}', '{}'],
          ['1970-01-01T00:00:00.005Z', '1970-01-01T00:00:00.005Z'],
          ['z', null],
        ],
      },
    ]);
  });

  it('tells whose fault it is by SQLSTATE; what has none is the connection’s', async () => {
    const kinds: Record<string, string> = {
      '23505': 'rejected',
      '22P02': 'rejected',
      '54000': 'rejected',
      P0001: 'rejected',
      '40001': 'retry',
      '40P01': 'retry',
      '28P01': 'unauthorized',
      '42501': 'unauthorized',
      '42703': 'unauthorized',
      '42P01': 'unavailable',
      '53300': 'unavailable',
      '57P01': 'unavailable',
      '25006': 'unavailable',
      XX000: 'unavailable',
      '08006': 'unavailable',
      ECONNREFUSED: 'unavailable',
      EPIPE: 'unavailable',
    };
    for (const [code, kind] of Object.entries(kinds)) {
      const { client } = newClient(Object.assign(new Error('because'), { code }));
      const delivered = Promise.resolve(postgresSink({ client, table: 't' }).deliver([recordOf(1, 'a')], CONTEXT));
      const expected =
        kind === 'rejected' ? { kind, reason: `SQLSTATE ${code}`, message: `because (${code})` } : { kind };
      await expect(delivered, code).rejects.toMatchObject(expected);
    }
    const { client } = newClient(new Error('Connection terminated unexpectedly'));
    await expect(postgresSink({ client, table: 't' }).probe?.(CONTEXT)).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('no answer in time is the destination’s fault', async () => {
    const client = { query: () => new Promise<never>(() => undefined) };
    const sink = postgresSink({ client, table: 't', ackTimeoutMs: 5 });
    await expect(Promise.resolve(sink.deliver([recordOf(1, 'a')], CONTEXT))).rejects.toMatchObject({
      kind: 'unavailable',
    });
  });

  it('says what is wrong with its options', () => {
    const { client } = newClient();
    const columns = { deliveryId: 'id', payload: 'p' };
    for (const options of [
      undefined,
      {},
      { client: {}, table: 't' },
      { client },
      { client, table: '' },
      { client, table: [] },
      { client, table: ['a', 7] },
      { client, table: 't', columns: { payload: 'p' } },
      { client, table: 't', columns: { ...columns, headers: '' } },
      { client, table: 't', columns: { ...columns, id: 'i' } },
      { client, table: 't', payloadType: 'xml' },
      { client, table: 't', schema: 's' },
    ]) {
      expect(() => Reflect.apply(postgresSink, undefined, [options])).toThrow(TypeError);
    }
    expect(() => postgresSink({ client, table: 't', ackTimeoutMs: 0 })).toThrow(RangeError);
  });
});
