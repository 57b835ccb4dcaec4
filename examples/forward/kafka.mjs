// Orders to a topic of Kafka, those of a customer in their order: node kafka.mjs 127.0.0.1:9092
import { closeOnSignal, Evaq } from 'evaq';
import { forward } from 'evaq/forward';
import { kafkaSink } from 'evaq/forward/kafka';
import kafkajs from 'kafkajs';

const [, , broker = '127.0.0.1:9092'] = process.argv;
const kafka = new kafkajs.Kafka({ brokers: [broker], logLevel: kafkajs.logLevel.ERROR });
const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
await producer.connect();

// What is pushed is on disk when push resolves, whether the destination is there or not.
const evaq = await Evaq.open('./outbox');
for (const customer of ['ann', 'bob', 'ann']) {
  await evaq.wal.push(JSON.stringify({ customer }), { headers: { customer } });
}

// One at a time of each customer, and all of a customer in one partition.
const customer = ({ headers }) => headers?.customer;
const forwarding = forward(evaq.wal, kafkaSink({ producer, topic: 'orders' }), { order: customer, key: customer });
closeOnSignal(evaq, forwarding);

// A service goes on for ever. This one ends when all of it has arrived.
await forwarding.drained();
const { delivered, deadLettered } = await forwarding.stats();
console.log(`arrived: ${delivered}, dead letters: ${deadLettered}`);
await forwarding.stop();
await evaq.close();
await producer.disconnect();
