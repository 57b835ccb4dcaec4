// Orders to a queue of RabbitMQ: node rabbitmq.mjs amqp://127.0.0.1

import amqp from 'amqplib';
import { closeOnSignal, Evaq } from 'evaq';
import { forward } from 'evaq/forward';
import { rabbitmqSink } from 'evaq/forward/rabbitmq';

const [, , url = 'amqp://127.0.0.1'] = process.argv;
const connect = () => amqp.connect(url, { timeout: 10_000 });
const setup = await connect();
await (await setup.createChannel()).assertQueue('orders', { durable: true });
await setup.close();

// What is pushed is on disk when push resolves, whether the destination is there or not.
const evaq = await Evaq.open('./outbox');
for (const customer of ['ann', 'bob', 'ann']) {
  await evaq.wal.push(JSON.stringify({ customer }), { headers: { customer } });
}

// Each is persistent and confirmed; one that no queue takes is a dead letter.
const forwarding = forward(evaq.wal, rabbitmqSink({ connect, routingKey: 'orders' }));
closeOnSignal(evaq, forwarding);

// A service goes on for ever. This one ends when all of it has arrived.
await forwarding.drained();
const { delivered, deadLettered } = await forwarding.stats();
console.log(`arrived: ${delivered}, dead letters: ${deadLettered}`);
await forwarding.stop();
await evaq.close();
