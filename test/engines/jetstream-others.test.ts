/** What others do to a replicated queue, and what it does to others: options, known messages, room, streams that are made anew, leases. */
import { setTimeout as passTime } from 'node:timers/promises';
import { connect, headers } from '@nats-io/transport-node';
import { describe, expect, test, vi } from 'vitest';
import { openReplicated } from '../../src/cli/replicated-store.js';
import { JetStreamEvaq, type JetStreamQueue } from '../../src/jetstream.js';
import { answering, LosingConnection } from './faulty-connections.js';
import { newName, startNats, urlOf, whyNoBatches } from './nats-server.js';
import { oneServer } from './one-server.js';

const why = await whyNoBatches();

describe.skipIf(why !== undefined)(`JetStream among others${why === undefined ? '' : ` (${why})`}`, () => {
  const nats = oneServer({ timeoutMs: 5000 });
  const { open } = nats;
  const ask = async (method: string, body?: unknown): Promise<Record<string, unknown>> =>
    (await nats.connection.request(`$JS.API.${method}`, body === undefined ? '' : JSON.stringify(body))).json();
  const configOf = async (store: string, queue: string): Promise<unknown> =>
    (await ask(`STREAM.INFO.EVAQ_${store}_${queue}`))['config'];
  const textsOf = async (queue: JetStreamQueue): Promise<string[]> =>
    (await queue.read()).map(({ payload }) => payload.toString());

  test('of a queue that is there only what is given is changed, and no window is made shorter', async () => {
    const name = newName();
    await using one = await open(name, { duplicateWindowMs: 600_000 });
    await one.queue('q', { limits: { records: 5, whenFull: 'drop-oldest' } });
    await using other = await open(name);
    await other.queue('q', { dedupe: { windowMs: 60_000 } });
    const kept = { max_msgs: 5, discard: 'old', duplicate_window: 600e9 };
    expect(await configOf(name, 'q')).toMatchObject(kept);
    await other.queue('q', { dedupe: { windowMs: 3_600_000 } });
    expect(await configOf(name, 'q')).toMatchObject({ ...kept, duplicate_window: 3600e9 });
    await other.queue('q', { limits: { records: 7 } });
    const limited = { max_msgs: 7, discard: 'new', duplicate_window: 3600e9 };
    expect(await configOf(name, 'q')).toMatchObject(limited);
    await other.queue('q', { limits: false });
    expect(await configOf(name, 'q')).toMatchObject({ ...limited, max_msgs: -1 });
    await other.queue('q', { limits: { ageMs: 30_000 } });
    expect(await configOf(name, 'q')).toMatchObject({ max_age: 30e9, duplicate_window: 30e9 });
  });

  test('no copy is taken from a queue that has more than this one asks for', async () => {
    const asked: string[] = [];
    const watching = answering(nats.connection, (subject, payload) => {
      if (subject.includes('STREAM.UPDATE')) asked.push(String(payload));
      return undefined;
    });
    const name = newName();
    await using one = await open(name);
    await one.queue('q');
    // One server has one copy: what is found says that it is three.
    const three = answering(watching, async (subject) => {
      if (!subject.includes('STREAM.INFO')) return undefined;
      const found = await nats.connection.request(subject);
      return Buffer.from(found.string().replace('"num_replicas":1', '"num_replicas":3'));
    });
    const other = await JetStreamEvaq.connect({ connection: three, headers, name, timeoutMs: 1000, replicas: 1 });
    await expect(other.queue('q', { dedupe: { windowMs: 3_600_000 } })).rejects.toMatchObject({ code: 'EVAQ_IO' });
    expect(asked.map((text) => JSON.parse(text).num_replicas)).toEqual([3]);
    await other.close();
  });

  test('P4: a batch with a known message is refused as a whole, also where it was asked for twice', async () => {
    const losing = new LosingConnection(nats.connection);
    await using evaq = await JetStreamEvaq.connect({ connection: losing.connection, headers, name: newName() });
    await evaq.wal.push('old', { messageId: 'm2' });
    losing.loseNext();
    const batch = ['m1', 'm2', 'm3'].map((messageId) => ({ payload: messageId, messageId }));
    await expect(evaq.wal.pushMany(batch)).rejects.toMatchObject({ code: 'EVAQ_DUPLICATE' });
    expect(losing.lost).toBe(1);
    expect(await textsOf(evaq.wal)).toEqual(['old']);
  });

  test('a batch with IDs of callers whose answer was lost has its own IDs, also where it has left meanwhile', async () => {
    const name = newName();
    await using other = await open(name);
    const losing = new LosingConnection(nats.connection, async () => void (await other.wal.removeThrough(9)));
    await using evaq = await JetStreamEvaq.connect({ connection: losing.connection, headers, name });
    losing.loseNext();
    const batch = ['m1', 'm2'].map((messageId) => ({ payload: messageId, messageId }));
    expect(await evaq.wal.pushMany([...batch, 'without'])).toEqual({ firstId: 1, lastId: 3 });
    losing.loseNext();
    expect(await evaq.wal.pushMany(['a', 'b'])).toEqual({ firstId: 4, lastId: 5 });
    expect([losing.lost, await evaq.wal.size]).toEqual([2, 0]);
  });

  test('a batch that the server has no place for among those of others is sent again', async () => {
    let refusals = 2;
    const busy = answering(nats.connection, (_subject, _payload, options) => {
      if (options?.headers?.get('Nats-Batch-Commit') !== '1' || refusals-- <= 0) return undefined;
      return Buffer.from('{"error":{"code":400,"err_code":10176,"description":"atomic publish batch is incomplete"}}');
    });
    await using evaq = await JetStreamEvaq.connect({ connection: busy, headers, name: newName() });
    expect(await evaq.wal.pushMany(['a', 'b'])).toEqual({ firstId: 1, lastId: 2 });
    expect([refusals < 0, await textsOf(evaq.wal)]).toEqual([true, ['a', 'b']]);
  });

  test('a push that waits for room: withdrawn by its signal, ended by a close, and others wait behind it', async () => {
    const name = newName();
    await using other = await open(name);
    const evaq = await open(name);
    const queue = await evaq.queue('q', { limits: { records: 2, whenFull: 'wait' } });
    // Together they are too many, one by one they are not.
    const three = ['1', '2', '3'].map((text) => queue.push(text));
    await three[1];
    const removing = await other.queue('q');
    await removing.remove(1);
    await three[2];
    const first = queue.push('first', { signal: AbortSignal.timeout(200) });
    const behind = queue.push('behind', { signal: AbortSignal.timeout(200) });
    await expect(first).rejects.toMatchObject({ name: 'TimeoutError' });
    await expect(behind).rejects.toMatchObject({ name: 'TimeoutError' });
    await removing.removeThrough(3);
    expect(await queue.pushMany(['4', '5'])).toEqual({ firstId: 4, lastId: 5 });
    expect(await textsOf(removing)).toEqual(['4', '5']);
    // Another handle takes the name over: the one that waits ends all the same.
    const waiting = queue.push('6');
    await evaq.queue('q', { limits: { records: 2, whenFull: 'wait' } });
    await Promise.all([evaq.close(), expect(waiting).rejects.toMatchObject({ code: 'EVAQ_CLOSED' })]);
  });

  test('a push that is larger than its queue may be is refused at once', async () => {
    await using evaq = await open(newName());
    const queue = await evaq.queue('q', { limits: { records: 2, bytes: 1000, whenFull: 'wait' } });
    const tooLarge = { code: 'EVAQ_RECORD_TOO_LARGE' };
    await expect(queue.pushMany(['1', '2', '3'])).rejects.toMatchObject({ ...tooLarge, details: { limit: 2 } });
    await expect(queue.push(Buffer.alloc(990))).rejects.toMatchObject({ ...tooLarge, details: { limit: 1000 } });
    expect(await queue.push('small')).toBe(1);
  });

  test('a flush waits for what was pushed before it, and not for what comes after', async () => {
    await using evaq = await open(newName());
    let isOver = false;
    // One of them is always on its way.
    const pushing = Promise.all(
      ['x', 'y'].map(async (text) => {
        while (!isOver) await evaq.wal.push(text);
      }),
    );
    await passTime(50);
    const before = Promise.all(['a', 'b'].map((text) => evaq.wal.push(text))).then(() => 'pushed');
    await evaq.wal.flush();
    expect(await Promise.race([before, passTime(20).then(() => 'not yet')])).toBe('pushed');
    isOver = true;
    await pushing;
  });

  test('a stream that was made anew: its dead letters are others than those before, which its IDs name, too', async () => {
    const name = newName();
    await using one = await open(name);
    const queue = await one.queue('q');
    await queue.deadLetter(await queue.push('first'), { reason: 'x' });
    await (await one.queue('q.dead')).remove(1);
    await ask(`STREAM.DELETE.EVAQ_${name}_q`);
    await using other = await open(name);
    const anew = await other.queue('q');
    expect(await anew.deadLetter(await anew.push('second'), { reason: 'y' })).toBe(2);
    expect(await textsOf(await other.queue('q.dead'))).toEqual(['second']);
  });

  test('of several leases the longest holds: a record is in one handler, whoever asks how often', async () => {
    const name = newName();
    await using patient = await open(name, { leaseMs: 4000 });
    await using hasty = await open(name, { leaseMs: 1000 });
    await patient.wal.push('job');
    let begun = 0;
    const handler = async (): Promise<void> => {
      begun++;
      await passTime(1800);
    };
    const first = patient.wal.process(handler);
    while (begun === 0) await passTime(10);
    const second = hasty.wal.process(handler);
    await second.drained();
    for (const delivery of [first, second]) await delivery.stop();
    expect(begun).toBe(1);
    const { config } = await ask(`CONSUMER.INFO.EVAQ_${name}_wal.evaq`);
    expect(config).toMatchObject({ ack_wait: 4e9 });
  });

  test('many who begin to deliver at the same time agree on the longest lease', async () => {
    const name = newName();
    const all = await Promise.all([1000, 5000, 2000, 1000].map((leaseMs) => open(name, { leaseMs })));
    const deliveries = all.map(({ wal }) => wal.process(() => undefined));
    await all[0]?.wal.push('x');
    await Promise.all(deliveries.map((delivery) => delivery.drained()));
    // Another one may have been given the record: who asks for the longest may still be about to say so.
    const agreed = async (): Promise<void> => {
      expect((await ask(`CONSUMER.INFO.EVAQ_${name}_wal.evaq`))['config']).toMatchObject({ ack_wait: 5e9 });
    };
    await vi.waitFor(agreed, { timeout: 5000 });
    await Promise.all(deliveries.map((delivery) => delivery.stop()));
    await agreed();
    await Promise.all(all.map((one) => one.close()));
  });

  test('a record of the greatest length has its dead letter: what is said of its failure is cut', async () => {
    await using evaq = await open(newName());
    const cause = new Error('c'.repeat(5000));
    const error = new Error('e'.repeat(5000), { cause });
    for (const size of [evaq.wal.recordBytesMax, evaq.wal.recordBytesMax - 6000, 10]) {
      const id = await evaq.wal.push(Buffer.alloc(size));
      const deadId = await evaq.wal.deadLetter(id, { reason: 'é'.repeat(5000), error });
      const letter = await evaq.deadLetters.get(deadId);
      expect(letter).toMatchObject({ identity: { queue: 'wal', id }, attempts: 1 });
      expect([letter?.payload.length, (letter?.reason ?? '').startsWith('éé')]).toEqual([size, true]);
    }
    const whole = await evaq.deadLetters.get(3);
    expect([whole?.reason?.length, whole?.error?.cause?.message.length]).toEqual([4096, 4096]);
  });

  test('what the server does not let us do is EVAQ_UNAUTHORIZED', async () => {
    const users = `{ user: all, password: x }, { user: few, password: x, permissions: { publish: { deny: "evaq.>" } } }`;
    const guarded = await startNats(`no_auth_user: all\nauthorization { users: [${users}] }`);
    try {
      const name = newName();
      const stranger = `nats://few:wrong@127.0.0.1:${guarded.port}/${name}`;
      await expect(openReplicated(stranger)).rejects.toMatchObject({ code: 'EVAQ_UNAUTHORIZED' });
      await expect(openReplicated('nats://127.0.0.1:1/x')).rejects.toMatchObject({ code: 'EVAQ_IO' });
      const few = await connect({ servers: urlOf(guarded), user: 'few', pass: 'x' });
      const evaq = await JetStreamEvaq.connect({ connection: few, headers, name, timeoutMs: 3000 });
      await expect(evaq.wal.push('x')).rejects.toMatchObject({ code: 'EVAQ_UNAUTHORIZED', hint: expect.any(String) });
      await evaq.close();
      await few.close();
    } finally {
      await guarded.end();
    }
  });
});
