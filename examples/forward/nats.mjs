// Orders to a stream of NATS JetStream, each once: node nats.mjs 127.0.0.1:4222

import { jetstreamManager } from '@nats-io/jetstream';
import { connect, headers } from '@nats-io/transport-node';
import { closeOnSignal, Evaq } from 'evaq';
import { forward } from 'evaq/forward';
import { natsSink } from 'evaq/forward/nats';

const [, , servers = '127.0.0.1:4222'] = process.argv;
const connection = await connect({ servers, maxReconnectAttempts: -1 });
const manager = await jetstreamManager(connection);
// It drops what comes twice within a day.
await manager.streams.add({ name: 'orders', subjects: ['orders'], duplicate_window: 24 * 3600 * 1_000_000_000 });

// What is pushed is on disk when push resolves, whether the destination is there or not.
const evaq = await Evaq.open('./outbox');
for (const customer of ['ann', 'bob', 'ann']) {
  await evaq.wal.push(JSON.stringify({ customer }), { headers: { customer } });
}

const forwarding = forward(evaq.wal, natsSink({ connection, headers, subject: 'orders', stream: 'orders' }));
closeOnSignal(evaq, forwarding);

// A service goes on for ever. This one ends when all of it has arrived.
await forwarding.drained();
const { delivered, deadLettered } = await forwarding.stats();
console.log(`arrived: ${delivered}, dead letters: ${deadLettered}`);
await forwarding.stop();
await evaq.close();
await connection.close();
