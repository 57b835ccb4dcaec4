/**
 * A process that writes to a store while a test reads it. Pushes batches of numbered records, removes what the reader has
 * seen but for every 97th, and compacts now and then, so that segments roll, die, are recycled and rewritten.
 *
 * Arguments: path, records in all, and 'follow' (stay a few thousand records ahead of the reader, and close at the end) or
 * 'hang' (wait to be killed). Messages: in { seen: up to which record }, out { done: up to where was removed }.
 */
import { Evaq } from '../../../../src/evaq.js';

const [path = '', total = '0', ending = 'follow'] = process.argv.slice(2);
const records = Number(total);
const evaq = await Evaq.open(path, { segmentBytes: 64 * 1024, recycleSegments: 2 });
const AHEAD = 3000;
let seen = 0;
let wake = (): void => undefined;
let removed = 0;
const removals: Promise<unknown>[] = [];
process.on('message', (message: { seen: number }) => {
  seen = message.seen;
  wake();
});

for (let next = 1, round = 0; next <= records; round++) {
  const batch: Promise<number>[] = [];
  const size = 1 + ((round * 37) % 150);
  for (let i = 0; i < size && next <= records; i++, next++) {
    batch.push(evaq.pushWal(`${next}:${'x'.repeat(next % 300)}`));
  }
  await Promise.all(batch);
  const ids: number[] = [];
  for (; removed < seen; ) {
    removed++;
    if (removed % 97 !== 0) ids.push(removed);
  }
  if (ids.length > 0) removals.push(evaq.wal.removeMany(ids));
  if (round % 25 === 24) await evaq.wal.compact();
  // Lets messages in.
  await new Promise((resolve) => setImmediate(resolve));
  if (ending === 'follow') await reader(next - AHEAD);
}
if (ending === 'follow') await reader(records);
await Promise.all(removals);
await evaq.wal.compact();
if (ending === 'follow') {
  await evaq.close();
  process.send?.({ done: removed });
  process.disconnect();
} else {
  process.send?.({ done: removed });
}

async function reader(hasSeen: number): Promise<void> {
  while (seen < hasSeen) {
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
}
