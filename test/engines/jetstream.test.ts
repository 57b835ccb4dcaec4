/** The same queue on NATS JetStream: the shared suite, on one server. */
import { afterAll, beforeAll, describe } from 'vitest';
import { JetStreamEvaq } from '../../src/jetstream.js';
import type { Server } from '../forward/servers.js';
import type { Engine } from './engine.js';
import { newName, startNats, urlOf, whyNoBatches } from './nats-server.js';
import { testQueue } from './queue-suite.js';

const why = await whyNoBatches();

describe.skipIf(why !== undefined)(`JetStream${why === undefined ? '' : ` (${why})`}`, () => {
  let server: Server;

  beforeAll(async () => {
    server = await startNats();
  });
  afterAll(() => server.end());

  const jetstream: Engine = {
    name: 'JetStream',
    newStore() {
      const name = newName();
      return {
        open: () => JetStreamEvaq.connect({ servers: urlOf(server), name }),
        end: async () => undefined,
      };
    },
  };
  testQueue(jetstream);
});
