// Takes orders over HTTP, and passes them on to a destination that is down half of the time. An order that was answered with 202 is on the disk: it is
// tried again until it has arrived, also after a restart.
// Run it with: node examples/http-ingest.mjs
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { Evaq } from 'evaq';

const folder = await mkdtemp(join(tmpdir(), 'evaq-example-'));
const destination = await startDestination();

// The program.
const evaq = await Evaq.open(join(folder, 'store'));
const ingest = createServer(async (request, response) => {
  await evaq.wal.push(await buffer(request), { headers: { from: request.url } });
  response.writeHead(202).end();
}).listen(0, '127.0.0.1');
const retry = { backoff: { baseMs: 20 } };
const delivery = evaq.evacuate(async ({ payload }, { deliveryId, signal }) => {
  const headers = { 'idempotency-key': deliveryId };
  const { ok, status } = await fetch(destination.url, { method: 'POST', body: payload, headers, signal });
  if (!ok) throw Object.assign(new Error(`status ${status}`), { status });
}, { retry, breaker: { openMs: 20 } }); // biome-ignore format: as it is read
// The end of the program.

await once(ingest, 'listening');
const answers = await Promise.all(
  Array.from({ length: 20 }, async (_, n) => {
    const { status } = await fetch(`http://127.0.0.1:${ingest.address().port}/shop`, {
      method: 'POST',
      body: `order ${n}`,
    });
    return status;
  }),
);
console.log(`accepted: ${answers.filter((status) => status === 202).length}`);
await delivery.drained();
console.log(`arrived: ${destination.orders.size}, refused on the way: ${destination.refusals}`);
ingest.close();
destination.close();
await evaq.close();
await rm(folder, { recursive: true });

/** Stands for a service with bad days. It knows an order that comes twice by its key. */
async function startDestination() {
  const orders = new Map();
  let calls = 0;
  let refusals = 0;
  const server = createServer(async (request, response) => {
    calls++;
    const body = await text(request);
    if (calls % 2 === 1) refusals++;
    else orders.set(request.headers['idempotency-key'], body);
    response.writeHead(calls % 2 === 1 ? 503 : 200).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    orders,
    close: () => server.close(),
    get refusals() {
      return refusals;
    },
  };
}
