/** What is JetStream's own: the deviations that docs/replicated.md names, several processes, servers that are killed. */
import { connect, headers, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { JetStreamEvaq, type JetStreamOptions } from '../../src/jetstream.js';
import type { Server } from '../forward/servers.js';
import { newName, startCluster, startNats, startOldNats, urlOf, whyNoBatches } from './nats-server.js';
import { until } from './queue-suite.js';

const why = await whyNoBatches();

describe.skipIf(why !== undefined)(`JetStream by itself${why === undefined ? '' : ` (${why})`}`, () => {
  let server: Server;
  let connection: NatsConnection;

  beforeAll(async () => {
    server = await startNats();
    connection = await connect({ servers: urlOf(server), maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  });
  afterAll(async () => {
    await connection.close();
    await server.end();
  });

  const open = (name: string, options: Partial<JetStreamOptions> = {}): Promise<JetStreamEvaq> =>
    JetStreamEvaq.connect({ servers: urlOf(server), name, ...options });

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

  test('two handles share a store: a record is in one handler, wherever that runs', async () => {
    const name = newName();
    await using one = await open(name);
    await using other = await JetStreamEvaq.connect({ connection, headers, name });
    expect(other.storeId).toBe(one.storeId);
    await one.wal.pushMany(Array.from({ length: 200 }, (_, i) => `r${i}`));
    const seen: string[][] = [[], []];
    const deliveries = [one, other].map(({ wal }, i) =>
      wal.process(async ({ payload }) => void seen[i]?.push(payload.toString()), { concurrency: 4 }),
    );
    await deliveries[0]?.drained();
    for (const delivery of deliveries) await delivery.stop();
    expect(seen.map(({ length }) => length > 0)).toEqual([true, true]);
    expect(seen.flat().sort()).toEqual(Array.from({ length: 200 }, (_, i) => `r${i}`).sort());
  });

  test('a record whose process is gone comes again after its lease, and has failed once', async () => {
    const name = newName();
    const dying = await connect({ servers: urlOf(server) });
    const first = await JetStreamEvaq.connect({ connection: dying, headers, name, leaseMs: 1000 });
    await first.wal.push('x');
    const begun: number[] = [];
    const held = first.wal.process(
      async (_record, { attempt }) => {
        begun.push(attempt);
        await new Promise(() => undefined);
      },
      { hold: false },
    );
    await until(async () => begun.length === 1);
    // As a process that is killed: nobody says a word.
    await dying.close();
    await using second = await open(name, { leaseMs: 1000 });
    const seen: [number, number][] = [];
    const delivery = second.wal.process((_record, { attempt, crashes }) => void seen.push([attempt, crashes]));
    await delivery.drained();
    await delivery.stop();
    expect(seen).toEqual([[2, 1]]);
    void held.stop({ graceMs: 0 });
  });

  test('a handler that takes longer than the lease keeps its record', async () => {
    const name = newName();
    await using evaq = await open(name, { leaseMs: 1000 });
    await using other = await open(name, { leaseMs: 1000 });
    await evaq.wal.push('slow');
    let begun = 0;
    const deliveries = [evaq, other].map(({ wal }) =>
      wal.process(async () => {
        begun++;
        await new Promise((resolve) => setTimeout(resolve, 2500));
      }),
    );
    await deliveries[0]?.drained();
    for (const delivery of deliveries) await delivery.stop();
    expect(begun).toBe(1);
  });

  test('an answer that was lost: the same push again brings no double, and its own ID', async () => {
    const losing = new LosingConnection(connection);
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

  test('the server is killed under load: what was acknowledged is there, each once', async () => {
    const fragile = await startNats();
    try {
      await using evaq = await JetStreamEvaq.connect({ servers: urlOf(fragile), name: 'kill' });
      const load = startLoad(evaq);
      for (let kills = 0; kills < 3; kills++) {
        const before = load.acknowledged.size;
        await until(async () => load.acknowledged.size > before + 200);
        await fragile.kill();
        await fragile.start();
      }
      await load.stop();
      await expectAll(evaq, load);
    } finally {
      await fragile.end();
    }
  }, 60_000);

  test('three servers, three copies, the leader killed under load: what was acknowledged is there, each once', async () => {
    const servers = await startCluster(3);
    try {
      const evaq = await connectWhenReady(servers);
      const load = startLoad(evaq);
      await until(async () => load.acknowledged.size > 200);
      const { leader, replicas } = await evaq.wal.stats();
      expect([leader, replicas]).toEqual([expect.stringMatching(/^s[012]$/), 3]);
      const killed = servers[Number(leader?.slice(1))];
      await killed?.kill();
      const before = load.acknowledged.size;
      await until(async () => load.acknowledged.size > before + 300, 30_000);
      await load.stop();
      expect(await evaq.health()).toMatchObject({ status: 'degraded' });
      await killed?.start();
      await expectAll(evaq, load);
      await evaq.close();
    } finally {
      await Promise.all(servers.map((one) => one.end()));
    }
  }, 90_000);

  async function connectWhenReady(servers: readonly Server[]): Promise<JetStreamEvaq> {
    return JetStreamEvaq.connect({ servers: servers.map(urlOf), name: 'three', replicas: 3, timeoutMs: 40_000 });
  }
});

interface Load {
  readonly acknowledged: Map<number, string>;
  /** Not acknowledged: who knows. */
  readonly unknown: Set<string>;
  stop(): Promise<void>;
}

/** Pushes, sixteen at a time, until it is stopped. */
function startLoad({ wal }: JetStreamEvaq): Load {
  const acknowledged = new Map<number, string>();
  const unknown = new Set<string>();
  let count = 0;
  let isStopped = false;
  const lane = async (): Promise<void> => {
    while (!isStopped) {
      const payload = `p${count++}`;
      try {
        acknowledged.set(await wal.push(payload), payload);
      } catch {
        unknown.add(payload);
      }
    }
  };
  const lanes = Array.from({ length: 16 }, lane);
  return {
    acknowledged,
    unknown,
    stop: async () => {
      isStopped = true;
      await Promise.all(lanes);
    },
  };
}

async function expectAll({ wal }: JetStreamEvaq, { acknowledged, unknown }: Load): Promise<void> {
  const found = new Map<number, string>();
  for await (const { id, payload } of wal.records()) found.set(id, payload.toString());
  const missing = [...acknowledged].filter(([id, payload]) => found.get(id) !== payload);
  expect(missing).toEqual([]);
  expect(new Set(found.values()).size).toBe(found.size);
  for (const payload of found.values()) expect([...acknowledged.values(), ...unknown]).toContain(payload);
}

/** A connection that loses an answer, as a network does: what was asked was done. */
class LosingConnection {
  lost = 0;
  #losing = false;
  readonly connection: NatsConnection;

  constructor(connection: NatsConnection) {
    const request: NatsConnection['request'] = async (subject, payload, options) => {
      const answer = await connection.request(subject, payload, options);
      if (!this.#losing) return answer;
      this.#losing = false;
      this.lost++;
      throw new Error('timeout');
    };
    this.connection = new Proxy(connection, {
      get: (target, name) => {
        if (name === 'request') return request;
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  loseNext(): void {
    this.#losing = true;
  }
}
