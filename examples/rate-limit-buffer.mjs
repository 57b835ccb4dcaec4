// A burst goes to disk as fast as it comes; the destination gets it at the rate it allows. Memory stays flat whatever the backlog.
// Run it with: node examples/rate-limit-buffer.mjs
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Evaq } from 'evaq';

const BURST = 5_000;
const PER_SECOND = 4_000;
let received = 0;

/** Stands for a destination that takes a hundred at a time. */
async function send(records) {
  await sleep(1);
  received += records.length;
}

const folder = await mkdtemp(join(tmpdir(), 'evaq-example-'));

// The program.
const evaq = await Evaq.open(join(folder, 'buffer'));
const started = performance.now();
await Promise.all(Array.from({ length: BURST }, (_, i) => evaq.wal.push(`measurement ${i}`)));
console.log(`${BURST} records are durable after ${Math.round(performance.now() - started)} ms`);

const startedSending = performance.now();
const delivery = evaq.wal.processBatch((records) => send(records), {
  batch: { maxRecords: 100 },
  rate: { limit: PER_SECOND, perMs: 1000, burst: 100 },
});
await delivery.drained();
// The end of the program.

const seconds = (performance.now() - startedSending) / 1000;
console.log(`received ${received} at ${Math.round((received - 100) / seconds)} records/s (allowed: ${PER_SECOND})`);
await delivery.stop();
await evaq.close();
await rm(folder, { recursive: true });
