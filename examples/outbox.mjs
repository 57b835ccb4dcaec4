// outbox.mjs: an order is on the disk before anybody is told of it, and leaves it when it has arrived. Ctrl-C ends it.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { closeOnSignal, Evaq } from 'evaq';

// Stands for the service that wants the orders, and fails every other time. With an address it is that one's turn.
let calls = 0;
const service = createServer((_request, response) => response.writeHead(++calls % 2 === 0 ? 204 : 500).end());
await once(service.listen(0, '127.0.0.1'), 'listening');
const [, , url = `http://127.0.0.1:${service.address().port}/orders`] = process.argv;

const evaq = await Evaq.open('./outbox'); // new, or what the last run has left

// Persist. When push resolves, the order is on the disk: now you may tell your caller.
for (const order of [17, 18, 19]) {
  const id = await evaq.wal.push(JSON.stringify({ order }));
  console.log(`order ${order} is safe: record ${id}`);
}

// Send. When this returns, the record is removed. When it throws, it is tried again, after a wait that grows, by the
// next process if need be. After ten tries it is a dead letter.
const delivery = evaq.evacuate(
  async (record, { signal, deliveryId, attempt }) => {
    const headers = { 'content-type': 'application/json', 'idempotency-key': deliveryId }; // the same at every try
    const response = await fetch(url, { method: 'POST', body: record.payload, headers, signal });
    await response.arrayBuffer(); // else the connection stays taken
    if (!response.ok) throw Object.assign(new Error(response.statusText), { status: response.status });
    console.log(`record ${record.id} has arrived, at try ${attempt}`);
  },
  { timeoutMs: 10_000, retry: { maxAttempts: 10, backoff: { baseMs: 200, maxMs: 60_000 } } },
);

// Shut down. At SIGTERM and SIGINT handlers may finish, the store is closed, and the process ends by that signal.
closeOnSignal(evaq, delivery);
await delivery.done; // rejects where the disk has failed: then this ends with an error, and whoever watches it starts it again
