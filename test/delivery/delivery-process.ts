/**
 * The process that is killed: pushes what it is told to, and delivers by HTTP what is in its store, in order by key. Says on descriptor 3 what was
 * acknowledged. Starts when a line comes on its standard input, and ends when that closes: it never outlives its parent.
 */
import { writeSync } from 'node:fs';
import { Evaq, type QueueRecord } from '../../src/evaq.js';

function say(event: unknown): void {
  const line = Buffer.from(`${JSON.stringify(event)}\n`);
  for (let done = 0; done < line.length; ) done += writeSync(3, line, done);
}

/** `<key>/<number>` */
const keyOf = ({ payload }: QueueRecord): string => payload.toString().split('/')[0] ?? '';

async function run(path: string, url: string, payloads: readonly string[]): Promise<void> {
  const evaq = await Evaq.open(path, { segmentBytes: 64 * 1024 });
  const delivery = evaq.evacuate(
    async (record, { signal, deliveryId, attempt }) => {
      const headers = { 'idempotency-key': deliveryId, 'x-attempt': String(attempt) };
      const response = await fetch(url, { method: 'POST', body: record.payload.toString(), headers, signal });
      await response.arrayBuffer();
      if (response.ok) return;
      throw Object.assign(new Error(`the destination says ${response.status}`), { status: response.status });
    },
    {
      concurrency: 8,
      order: keyOf,
      timeoutMs: 300,
      retry: { maxAttempts: 1000, maxCrashes: 1000, backoff: { baseMs: 5, maxMs: 50 } },
      breaker: { openMs: 20, maxOpenMs: 100 },
    },
  );
  say({ event: 'ready' });
  // In order by key: pushes that are made one after the other get ascending IDs.
  await Promise.all(
    payloads.map(async (payload) => {
      await evaq.pushWal(payload);
      say({ event: 'pushed', payload });
    }),
  );
  say({ event: 'all pushed' });
  await delivery.drained();
  await delivery.stop();
  say({ event: 'drained', deadLetters: evaq.deadLetters.stats().live });
  await evaq.close();
}

const [path = '', url = '', count = '0', first = '0'] = process.argv.slice(2);
const payloads = Array.from({ length: Number(count) }, (_, i) => `k${(Number(first) + i) % 7}/${Number(first) + i}`);
process.stdin.on('end', () => process.exit(0));
process.stdin.once('data', () => {
  run(path, url, payloads).then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
