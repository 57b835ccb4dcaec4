// Persist first, send second: an event is on disk before anybody tries to send it, and leaves the disk when it has arrived.
// Run it with: node examples/persist-before-send.mjs
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Evaq } from 'evaq';

/** Stands for a broker or a web service: every third call fails. */
const arrived = [];
let calls = 0;
async function send(event) {
  calls++;
  if (calls % 3 === 0) throw new Error('connection reset');
  arrived.push(event.order);
}

const folder = await mkdtemp(join(tmpdir(), 'evaq-example-'));
const evaq = await Evaq.open(join(folder, 'outbox'));
try {
  // The part of the program that takes orders. When pushWal has resolved, the order survives a crash and a power cut.
  await Promise.all([1, 2, 3, 4, 5, 6].map((order) => evaq.pushWal(JSON.stringify({ order }))));
  console.log(`on disk: ${evaq.wal.size} orders`);

  // The part that sends them. It may as well run in the next process, after a crash of this one.
  while (evaq.wal.size > 0) {
    for await (const record of evaq.wal.records()) {
      try {
        await send(JSON.parse(record.payload.toString()));
      } catch (error) {
        console.log(`record ${record.id}: ${error.message}; it stays on disk`);
        continue;
      }
      // Only now may it go. A crash before this line sends it twice; none makes it vanish.
      await evaq.removeWal(record.id);
    }
  }
  console.log(`arrived: ${arrived.join(' ')}`);
  console.log(`on disk: ${evaq.wal.size} orders`);
} finally {
  await evaq.close();
  await rm(folder, { recursive: true });
}
