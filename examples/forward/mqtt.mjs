// Orders to an MQTT broker, a topic for each customer: node mqtt.mjs mqtt://127.0.0.1 orders
import { closeOnSignal, Evaq } from 'evaq';
import { forward } from 'evaq/forward';
import { mqttSink } from 'evaq/forward/mqtt';
import { connectAsync } from 'mqtt';

const [, , url = 'mqtt://127.0.0.1', folder = 'orders'] = process.argv;
const client = await connectAsync(url, { protocolVersion: 5 });
client.on('error', (error) => console.error(error.message));

// What is pushed is on disk when push resolves, whether the destination is there or not.
const evaq = await Evaq.open('./outbox');
for (const customer of ['ann', 'bob', 'ann']) {
  await evaq.wal.push(JSON.stringify({ customer }), { headers: { customer } });
}

const forwarding = forward(evaq.wal, mqttSink({ client, topic: ({ key }) => `${folder}/${key}` }), {
  key: ({ headers }) => headers?.customer,
});
closeOnSignal(evaq, forwarding);

// A service goes on for ever. This one ends when all of it has arrived.
await forwarding.drained();
const { delivered, deadLettered } = await forwarding.stats();
console.log(`arrived: ${delivered}, dead letters: ${deadLettered}`);
await forwarding.stop();
await evaq.close();
await client.endAsync();
