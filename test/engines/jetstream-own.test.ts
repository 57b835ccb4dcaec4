/** What is JetStream's own: the deviations that docs/replicated.md names, and what several handles of a store share. */
import { headers } from '@nats-io/transport-node';
import { describe, expect, test } from 'vitest';
import { JetStreamEvaq } from '../../src/jetstream.js';
import { BreakingConnection, LosingConnection } from './faulty-connections.js';
import { newName, startOldNats, urlOf, whyNoBatches } from './nats-server.js';
import { oneServer } from './one-server.js';

const why = await whyNoBatches();

describe.skipIf(why !== undefined)(`JetStream by itself${why === undefined ? '' : ` (${why})`}`, () => {
  const nats = oneServer();
  const { open } = nats;

  test('more than a thousand records together are refused, and nothing is pushed', async () => {
    await using evaq = await open(newName());
    const all = Array.from({ length: 1001 }, (_, i) => `r${i}`);
    await expect(evaq.wal.pushMany(all)).rejects.toMatchObject({
      code: 'EVAQ_RECORD_TOO_LARGE',
      details: { limit: 1000 },
    });
    expect(await evaq.wal.size).toBe(0);
    const { firstId, lastId } = await evaq.wal.pushMany(all.slice(1));
    expect(lastId - firstId).toBe(999);
  });

  test('a record that the server would not take is refused before it is sent', async () => {
    await using evaq = await open(newName());
    const large = Buffer.alloc(evaq.wal.recordBytesMax);
    const id = await evaq.wal.push(large);
    expect((await evaq.wal.get(id))?.payload.length).toBe(large.length);
    await expect(evaq.wal.push(Buffer.alloc(large.length + 1))).rejects.toMatchObject({
      code: 'EVAQ_RECORD_TOO_LARGE',
    });
    await expect(evaq.wal.push(large, { headers: { k: 'v'.repeat(2000) } })).rejects.toMatchObject({
      code: 'EVAQ_RECORD_TOO_LARGE',
    });
    expect(await evaq.wal.size).toBe(1);
  });

  test('what there is not is told with a hint', async () => {
    await using evaq = await open(newName());
    const checkpoint = { source: 's', position: 1 };
    const letters = { retry: {} };
    for (const call of [
      async () => evaq.wal.pushSync('x'),
      () => evaq.wal.pushMany(['x'], { checkpoint }),
      () => evaq.queue('files', { segmentBytes: 1024 * 1024 }),
      async () => evaq.wal.process(() => undefined, { order: ({ headers: had }) => had?.['k'] }),
      async () => evaq.wal.process(() => undefined, { deadLetters: letters }),
    ])
      await expect(call()).rejects.toMatchObject({ code: 'EVAQ_UNSUPPORTED', hint: expect.stringMatching(/./) });
    expect(await evaq.queueNames()).toEqual(['dead-letters', 'wal']);
  });

  test('a server that is too old is refused, and nothing is made on it', async (context) => {
    const old = await startOldNats();
    if (old === undefined) return context.skip('no older nats-server');
    try {
      await expect(JetStreamEvaq.connect({ servers: urlOf(old), name: 'old', timeoutMs: 3000 })).rejects.toMatchObject({
        code: 'EVAQ_UNSUPPORTED',
        hint: expect.stringContaining('2.12.1'),
      });
    } finally {
      await old.end();
    }
  });

  test('a server that is not there is EVAQ_IO', async () => {
    await expect(
      JetStreamEvaq.connect({ servers: 'nats://127.0.0.1:1', name: 'x', timeoutMs: 500 }),
    ).rejects.toMatchObject({ code: 'EVAQ_IO' });
  });

  test('many who make a store at the same time make one', async () => {
    const name = newName();
    const all = await Promise.all(Array.from({ length: 6 }, () => open(name)));
    expect(new Set(all.map(({ storeId }) => storeId)).size).toBe(1);
    await Promise.all(all.map((one) => one.close()));
  });

  test('two handles share a store: a record is in one handler, wherever that runs', async () => {
    const name = newName();
    await using one = await open(name);
    await using other = await JetStreamEvaq.connect({ connection: nats.connection, headers, name });
    expect(other.storeId).toBe(one.storeId);
    await one.wal.pushMany(Array.from({ length: 200 }, (_, i) => `r${i}`));
    const seen: string[][] = [[], []];
    let begin: () => void = () => undefined;
    const bothHaveSome = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const deliveries = [one, other].map(({ wal }, i) =>
      wal.process(
        async ({ payload }) => {
          seen[i]?.push(payload.toString());
          if (seen.every(({ length }) => length > 0)) begin();
          // Else one of them may be through before the other has begun.
          await bothHaveSome;
        },
        { concurrency: 4 },
      ),
    );
    await deliveries[0]?.drained();
    for (const delivery of deliveries) await delivery.stop();
    expect(seen.map(({ length }) => length > 0)).toEqual([true, true]);
    expect(seen.flat().sort()).toEqual(Array.from({ length: 200 }, (_, i) => `r${i}`).sort());
  });

  test('an answer that was lost: the same push again brings no double, and its own ID', async () => {
    const losing = new LosingConnection(nats.connection);
    await using evaq = await JetStreamEvaq.connect({ connection: losing.connection, headers, name: newName() });
    losing.loseNext();
    const id = await evaq.wal.push('single');
    losing.loseNext();
    const span = await evaq.wal.pushMany(['a', 'b', 'c']);
    losing.loseNext();
    const others = await Promise.all([evaq.wal.push('d'), evaq.wal.push('e')]);
    expect([id, span, others]).toEqual([1, { firstId: 2, lastId: 4 }, [5, 6]]);
    expect((await evaq.wal.read()).map(({ payload }) => payload.toString())).toEqual([
      'single',
      'a',
      'b',
      'c',
      'd',
      'e',
    ]);
    expect(losing.lost).toBe(3);
  });

  test('a push that waits for room ends with a close, and is not pushed', async () => {
    const name = newName();
    await using other = await open(name);
    const evaq = await open(name);
    const queue = await evaq.queue('full', { limits: { records: 1, whenFull: 'wait' } });
    await queue.push('a');
    const waiting = queue.push('b');
    await new Promise((resolve) => setTimeout(resolve, 150));
    await Promise.all([evaq.close(), expect(waiting).rejects.toMatchObject({ code: 'EVAQ_CLOSED' })]);
    expect(await (await other.queue('full')).size).toBe(1);
  });

  test('one order at a time: another is refused while somebody delivers, and is fine when he has stopped', async () => {
    const name = newName();
    await using one = await open(name);
    await using other = await open(name);
    const first = one.wal.process(() => undefined);
    await one.wal.push('x');
    await first.drained();
    await expect(other.wal.process(() => undefined, { order: 'fifo' }).done).rejects.toBeInstanceOf(TypeError);
    await first.stop();
    const second = one.wal.process(() => undefined, { order: 'fifo' });
    await one.wal.push('y');
    await second.drained();
    await second.stop();
    expect(await second.done).toMatchObject({ delivered: 1 });
  }, 20_000);

  test('a move that broke off between its two steps leaves the record in both queues; made again, there is one copy', async () => {
    const breaking = new BreakingConnection(nats.connection);
    const name = newName();
    await using evaq = await JetStreamEvaq.connect({ connection: breaking.connection, headers, name, timeoutMs: 1000 });
    const id = await evaq.wal.push('x');
    breaking.breakAt('MSG.DELETE');
    await expect(evaq.wal.deadLetter(id, { reason: 'a' })).rejects.toMatchObject({ code: 'EVAQ_IO' });
    expect([await evaq.wal.size, await evaq.deadLetters.size]).toEqual([1, 1]);
    breaking.breakAt(undefined);
    const deadId = await evaq.wal.deadLetter(id, { reason: 'a' });
    expect([await evaq.wal.size, await evaq.deadLetters.size]).toEqual([0, 1]);
    expect(await evaq.wal.redrive([deadId])).toHaveLength(1);
  });

  test('a move that is repeated leaves one copy', async () => {
    await using evaq = await open(newName());
    const id = await evaq.wal.push('x');
    const both = await Promise.allSettled([
      evaq.wal.deadLetter(id, { reason: 'a' }),
      evaq.wal.deadLetter(id, { reason: 'b' }),
    ]);
    expect(both.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect([await evaq.wal.size, await evaq.deadLetters.size]).toEqual([0, 1]);
  });

  test('health says what there is to say', async () => {
    await using evaq = await open(newName());
    expect(await evaq.health()).toMatchObject({
      status: 'degraded',
      reasons: [
        { code: 'not-replicated', queue: 'wal' },
        { code: 'not-replicated', queue: 'dead-letters' },
      ],
    });
  });
});
