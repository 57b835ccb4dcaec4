/** postgres://USER:PASSWORD@HOST:PORT/DATABASE/TABLE or …/DATABASE/SCHEMA/TABLE, postgresql://: by `pg`. */
import type { PostgresColumns } from '../../forward/postgres.js';
import { UsageError } from '../exit-code.js';
import { requiredPackage } from './client-package.js';
import type { Destination } from './destination.js';
import type { UrlOptions } from './url-options.js';

const COLUMNS = ['deliveryId', 'payload', 'headers', 'timestamp', 'key'] as const;
const OWN = [...COLUMNS, 'payloadType'] as const;
/** `pg` reads them in its URL. */
const OF_CLIENT = ['sslmode', 'sslcert', 'sslkey', 'sslrootcert', 'application_name'] as const;
const CONNECT_MS = 5000;
/** Batches at a time, and one for the question whether it is there. */
const CONNECTIONS = 5;

export const POSTGRES: Destination = {
  schemes: ['postgres:', 'postgresql:'],
  form: 'postgres://HOST:PORT/DATABASE/TABLE',
  options: [...OWN, ...OF_CLIENT],
  async open(url, options) {
    const [database, ...table] = url.pathname.slice(1).split('/').map(decodeURIComponent);
    if (database === undefined || database === '' || table.length < 1 || table.length > 2 || table.includes('')) {
      throw new UsageError('--to postgres://HOST:PORT/DATABASE/TABLE: with a schema it is …/DATABASE/SCHEMA/TABLE');
    }
    const payloadType = options.choice('payloadType', ['bytea', 'text', 'json', 'jsonb']);
    const columns = columnsOf(options);
    const { Pool } = await requiredPackage<typeof import('pg')>('pg', `--to ${url.protocol}//`);
    const server = new URL(url);
    server.pathname = `/${encodeURIComponent(database)}`;
    for (const own of OWN) server.searchParams.delete(own);
    const client = new Pool({
      connectionString: server.href,
      connectionTimeoutMillis: CONNECT_MS,
      max: CONNECTIONS,
      keepAlive: true,
    });
    // A connection that is lost while nobody uses it.
    client.on('error', () => undefined);
    const { postgresSink } = await import('../../forward/postgres.js');
    return { sink: postgresSink({ client, table, columns, payloadType }), close: () => client.end() };
  },
};

function columnsOf(options: UrlOptions): PostgresColumns {
  const named: { -readonly [Name in keyof PostgresColumns]: PostgresColumns[Name] } = {
    deliveryId: options.text('deliveryId') ?? 'delivery_id',
    payload: options.text('payload') ?? 'payload',
  };
  for (const name of ['headers', 'timestamp', 'key'] as const) {
    const column = options.text(name);
    if (column !== undefined) named[name] = column;
  }
  return named;
}
