// What is awaited holds the process, and what is not does not: ends with exit code 0 after its last line, or 13 where somebody waits for ever.
import { Evaq } from 'evaq';
import { newFolder } from './folder.cjs';

async function openSparse(dir, bytesPerSecond) {
  const evaq = await Evaq.open(dir, { segmentBytes: 65_536, durability: 'os', gc: { bytesPerSecond } });
  for (let i = 0; i < 4; i++) await evaq.wal.pushMany(Array.from({ length: 64 }, () => Buffer.alloc(1000)));
  await evaq.wal.removeMany(Array.from({ length: 256 }, (_, i) => i + 1).filter((id) => id % 3 === 0));
  return evaq;
}

const slow = await openSparse(`${newFolder()}/slow`, 500_000);
await slow.wal.compact();
await slow.close();

// Its GC would take hours: the close ends it.
const crawling = await openSparse(`${newFolder()}/crawling`, 10);
const ended = crawling.wal.compact().catch(({ code }) => code);
await crawling.wal.get(1);
await crawling.close();
if ((await ended) !== 'EVAQ_CLOSED') throw new Error(`compact was told ${JSON.stringify(await ended)}`);

// A reader that waits for a record holds the process; its close ends the wait.
const reader = await Evaq.openReadOnly(slow.path);
const next = reader.wal.tail({ from: 1000, pollMs: 1 }).next();
await reader.close();
if ((await next).done !== true) throw new Error('a tail went on after the close');

// Left open, with GC under way that nobody awaits: the process ends all the same.
const left = await openSparse(`${newFolder()}/left`, 10);
await left.queue('synced', { durability: { intervalMs: 3_600_000 } });
console.log('done');
