/** evaq+nats://HOST:PORT/STORE/QUEUE: another store, on NATS JetStream, by `@nats-io/transport-node`. */
import type { NatsConnection } from '@nats-io/transport-node';
import { isStoreName } from '../../jetstream/stream-names.js';
import type { JetStreamEvaq, JetStreamQueue } from '../../jetstream.js';
import { UsageError } from '../exit-code.js';
import { requiredPackage } from './client-package.js';
import type { Destination } from './destination.js';
import { credentialsOf, hostsOf } from './url-parts.js';

const DEFAULT_PORT = 4222;
/** Below that of a batch. */
const TIMEOUT_MS = 8000;
const WINDOW_S = 3600;

type Client = typeof import('@nats-io/transport-node');

export const EVAQ_NATS: Destination = {
  schemes: ['evaq+nats:'],
  form: 'evaq+nats://HOST:PORT/STORE/QUEUE',
  options: ['hosts', 'tls', 'replicas', 'window'],
  async open(url, options) {
    const [name = '', queue = 'wal', more] = decodeURIComponent(url.pathname.slice(1)).split('/');
    if (!isStoreName(name) || queue === '' || more !== undefined)
      throw new UsageError(
        '--to evaq+nats://HOST:PORT/STORE/QUEUE: a store is letters, digits and hyphens, and a queue may follow',
      );
    const servers = hostsOf(url, DEFAULT_PORT, options.text('hosts'));
    const replicas = options.count('replicas') ?? 1;
    const windowMs = (options.count('window') ?? WINDOW_S) * 1000;
    const own = credentialsOf(url);
    const tls = options.flag('tls') ? { tls: {} } : {};
    const { connect, headers } = await requiredPackage<Client>('@nats-io/transport-node', `--to ${url.protocol}//`);
    const { queueSink } = await import('../../forward.js');
    const { JetStreamEvaq: Store } = await import('../../jetstream.js');
    const { connectError } = await import('../../jetstream/nats-errors.js');
    let connection: NatsConnection | undefined;
    let evaq: JetStreamEvaq | undefined;
    const open = async (): Promise<JetStreamQueue> => {
      connection ??= await connect({
        servers,
        maxReconnectAttempts: -1,
        reconnectTimeWait: 500,
        ...(own === undefined ? {} : { user: own.user, pass: own.password }),
        ...tls,
      }).catch((cause: unknown) => {
        throw connectError(cause, '');
      });
      evaq ??= await Store.connect({ connection, headers, name, replicas, timeoutMs: TIMEOUT_MS });
      return evaq.queue(queue, { dedupe: { windowMs } });
    };
    return {
      sink: queueSink(open),
      batch: { maxRecords: 1000, maxBytes: 4 * 1024 * 1024 },
      close: async () => {
        await evaq?.close();
        await connection?.close();
      },
    };
  },
};
