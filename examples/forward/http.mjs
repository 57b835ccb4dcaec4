// Orders to an HTTP endpoint, a request each: node http.mjs http://127.0.0.1:8080/orders
import { closeOnSignal, Evaq } from 'evaq';
import { forward } from 'evaq/forward';
import { httpSink } from 'evaq/forward/http';

const [, , url = 'http://127.0.0.1:8080/orders'] = process.argv;

// What is pushed is on disk when push resolves, whether the destination is there or not.
const evaq = await Evaq.open('./outbox');
for (const customer of ['ann', 'bob', 'ann']) {
  await evaq.wal.push(JSON.stringify({ customer }), { headers: { customer } });
}

// The far side drops what comes twice by its Idempotency-Key.
const sink = httpSink({ url, headers: { 'content-type': 'application/json' } });
const forwarding = forward(evaq.wal, sink);
closeOnSignal(evaq, forwarding);

// A service goes on for ever. This one ends when all of it has arrived.
await forwarding.drained();
const { delivered, deadLettered } = await forwarding.stats();
console.log(`arrived: ${delivered}, dead letters: ${deadLettered}`);
await forwarding.stop();
await evaq.close();
