// Orders to a table of PostgreSQL, each once: node postgres.mjs postgres://127.0.0.1/shop
import { closeOnSignal, Evaq } from 'evaq';
import { forward } from 'evaq/forward';
import { postgresSink } from 'evaq/forward/postgres';
import pg from 'pg';

const [, , connectionString = 'postgres://127.0.0.1/shop'] = process.argv;
const client = new pg.Pool({ connectionString });
client.on('error', (error) => console.error(error.message));
await client.query('CREATE TABLE IF NOT EXISTS orders (delivery_id text PRIMARY KEY, payload bytea NOT NULL)');

// What is pushed is on disk when push resolves, whether the destination is there or not.
const evaq = await Evaq.open('./outbox');
for (const customer of ['ann', 'bob', 'ann']) {
  await evaq.wal.push(JSON.stringify({ customer }), { headers: { customer } });
}

// A batch is one statement; a row that is there already is left as it is.
const forwarding = forward(evaq.wal, postgresSink({ client, table: 'orders' }));
closeOnSignal(evaq, forwarding);

// A service goes on for ever. This one ends when all of it has arrived.
await forwarding.drained();
const { delivered, deadLettered } = await forwarding.stats();
console.log(`arrived: ${delivered}, dead letters: ${deadLettered}`);
await forwarding.stop();
await evaq.close();
await client.end();
