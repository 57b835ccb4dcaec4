// A burst goes to disk as fast as it comes; the destination gets it at the rate it allows. Memory stays flat whatever the backlog.
// Run it with: node examples/rate-limit-buffer.mjs
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Evaq } from 'evaq';

const BURST = 5_000;
const PER_SECOND = 4_000;
/** Sent at once; what one request takes. */
const BATCH = 100;

let received = 0;
async function send(records) {
  await sleep(1);
  received += records.length;
}

const folder = await mkdtemp(join(tmpdir(), 'evaq-example-'));
const evaq = await Evaq.open(join(folder, 'buffer'));
try {
  const started = performance.now();
  const pushes = [];
  for (let i = 0; i < BURST; i++) pushes.push(evaq.pushWal(`measurement ${i}`));
  await Promise.all(pushes);
  console.log(`${BURST} records are durable after ${Math.round(performance.now() - started)} ms`);

  // A token bucket: it fills at the allowed rate, holds one batch, and a batch must find it full.
  let tokens = BATCH;
  let filledMs = performance.now();
  const startedSending = performance.now();
  while (evaq.wal.size > 0) {
    const now = performance.now();
    tokens = Math.min(BATCH, tokens + ((now - filledMs) / 1000) * PER_SECOND);
    filledMs = now;
    if (tokens < BATCH) {
      await sleep(((BATCH - tokens) / PER_SECOND) * 1000);
      continue;
    }
    tokens -= BATCH;
    const records = await evaq.wal.read({ maxRecords: BATCH });
    await send(records);
    // All of them in one durable step, a few bytes on disk.
    await evaq.wal.removeMany(records.map(({ id }) => id));
    if (received % 1_000 === 0) console.log(`received ${received}, waiting on disk ${evaq.wal.size}`);
  }
  const seconds = (performance.now() - startedSending) / 1000;
  console.log(`received ${received} at ${Math.round((received - BATCH) / seconds)} records/s (allowed: ${PER_SECOND})`);
} finally {
  await evaq.close();
  await rm(folder, { recursive: true });
}
