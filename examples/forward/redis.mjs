// Orders to a Redis stream, each once: node redis.mjs redis://127.0.0.1:6379
import { closeOnSignal, Evaq } from 'evaq';
import { forward } from 'evaq/forward';
import { redisSink } from 'evaq/forward/redis';
import { Redis } from 'ioredis';

const [, , url = 'redis://127.0.0.1:6379'] = process.argv;
const client = new Redis(url);
client.on('error', (error) => console.error(error.message));

// What is pushed is on disk when push resolves, whether the destination is there or not.
const evaq = await Evaq.open('./outbox');
for (const customer of ['ann', 'bob', 'ann']) {
  await evaq.wal.push(JSON.stringify({ customer }), { headers: { customer } });
}

// Entries have the IDs of their records, so that Redis refuses a second one.
const forwarding = forward(evaq.wal, redisSink({ client, stream: 'orders', ids: 'record' }));
closeOnSignal(evaq, forwarding);

// A service goes on for ever. This one ends when all of it has arrived.
await forwarding.drained();
const { delivered, deadLettered } = await forwarding.stats();
console.log(`arrived: ${delivered}, dead letters: ${deadLettered}`);
await forwarding.stop();
await evaq.close();
client.disconnect();
