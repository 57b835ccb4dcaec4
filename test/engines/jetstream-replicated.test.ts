/** The same queue on NATS JetStream: the shared suite, on three servers that all have each record. */
import { afterAll, beforeAll, describe } from 'vitest';
import { JetStreamEvaq } from '../../src/jetstream.js';
import type { Server } from '../forward/servers.js';
import type { Engine } from './engine.js';
import { newName, startCluster, urlOf, whyNoBatches } from './nats-server.js';
import { testQueue } from './queue-suite.js';

const why = await whyNoBatches();

describe.skipIf(why !== undefined)(`JetStream on three servers${why === undefined ? '' : ` (${why})`}`, () => {
  let servers: Server[] = [];

  const connect = (name: string): Promise<JetStreamEvaq> =>
    JetStreamEvaq.connect({ servers: servers.map(urlOf), name, replicas: 3, timeoutMs: 40_000 });

  beforeAll(async () => {
    servers = await startCluster(3);
    // Until they have found each other.
    await (await connect('first')).close();
  });
  afterAll(() => Promise.all(servers.map((server) => server.end())));

  const replicated: Engine = {
    name: 'JetStream, three replicas',
    newStore() {
      const name = newName();
      return {
        open: () => connect(name),
        end: async () => undefined,
      };
    },
  };
  testQueue(replicated);
});
