/** Servers and processes that are killed, and such as take long: what JetStream's queues come to then. */
import { connect, headers } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { JetStreamEvaq, type JetStreamOptions } from '../../src/jetstream.js';
import type { Server } from '../forward/servers.js';
import { newName, startCluster, startNats, urlOf, whyNoBatches } from './nats-server.js';
import { until } from './queue-suite.js';

const why = await whyNoBatches();

describe.skipIf(why !== undefined)(`JetStream, killed${why === undefined ? '' : ` (${why})`}`, () => {
  let server: Server;

  beforeAll(async () => {
    server = await startNats();
  });
  afterAll(() => server.end());

  const open = (name: string, options: Partial<JetStreamOptions> = {}): Promise<JetStreamEvaq> =>
    JetStreamEvaq.connect({ servers: urlOf(server), name, ...options });

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

  test('where nobody answers calls end within their time, also those that wait behind others', async () => {
    const held = await startNats();
    try {
      await using evaq = await JetStreamEvaq.connect({ servers: urlOf(held), name: 'held', timeoutMs: 1000 });
      const before = Date.now();
      held.hold();
      const first = evaq.wal.push('x');
      await new Promise((resolve) => setTimeout(resolve, 50));
      const calls = [first, evaq.wal.push('behind'), evaq.wal.get(1), evaq.wal.read(), evaq.wal.remove(1)];
      for (const one of await Promise.allSettled(calls)) expect(one).toMatchObject({ reason: { code: 'EVAQ_IO' } });
      expect(await evaq.health()).toMatchObject({
        status: 'failed',
        reasons: [{ code: 'unreachable' }, { code: 'unreachable' }],
      });
      expect(Date.now() - before).toBeLessThan(9000);
      held.resume();
      expect(await evaq.wal.push('y')).toBeGreaterThan(0);
    } finally {
      held.resume();
      await held.end();
    }
  }, 20_000);

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
      // What was pushed here is read here, whichever replica answers.
      for (let i = 0; i < 20; i++) {
        const id = await evaq.deadLetters.push(`d${i}`);
        expect((await evaq.deadLetters.read()).at(-1)?.id).toBe(id);
      }
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
});

async function connectWhenReady(servers: readonly Server[]): Promise<JetStreamEvaq> {
  return JetStreamEvaq.connect({ servers: servers.map(urlOf), name: 'three', replicas: 3, timeoutMs: 40_000 });
}

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
