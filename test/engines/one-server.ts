/** The ground of a test file about JetStream: a server of its own, and a connection to it. */
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll } from 'vitest';
import { JetStreamEvaq, type JetStreamOptions } from '../../src/jetstream.js';
import type { Server } from '../forward/servers.js';
import { startNats, urlOf } from './nats-server.js';

export interface OneServer {
  /** There from the first test on. */
  readonly connection: NatsConnection;
  /** A store on it, by a connection of its own. */
  readonly open: (name: string, options?: Partial<JetStreamOptions>) => Promise<JetStreamEvaq>;
}

/** Called once within a `describe`: begun before its tests, and ended behind them. `defaults`: of the stores that are opened. */
export function oneServer(defaults: Partial<JetStreamOptions> = {}): OneServer {
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
  return {
    get connection() {
      return connection;
    },
    open: (name, options = {}) => JetStreamEvaq.connect({ servers: urlOf(server), name, ...defaults, ...options }),
  };
}
