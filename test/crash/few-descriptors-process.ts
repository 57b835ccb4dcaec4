/**
 * A process that uses many queues. `fill`: pushes a record to each, and is killed. `use`: opens the store, uses each of them in every way, and says
 * how many records it found, and the most descriptors it had (0 where the system does not list them).
 */
import { readdirSync } from 'node:fs';
import { Evaq } from '../../src/evaq.js';

const [, , mode = '', path = '', count = '0'] = process.argv;
const names = Array.from({ length: Number(count) }, (_, i) => `q${i}`);
let most = 0;

function countDescriptors(): void {
  try {
    most = Math.max(most, readdirSync('/proc/self/fd').length);
  } catch {
    // Nothing is said of it.
  }
}

const evaq = await Evaq.open(path, { durability: 'os' });
if (mode === 'fill') {
  await Promise.all(names.map(async (name) => (await evaq.queue(name)).push(name)));
  process.kill(process.pid, 'SIGKILL');
}
let found = 0;
countDescriptors();
await Promise.all(
  names.map(async (name) => {
    const queue = await evaq.queue(name);
    const [first] = await queue.read();
    if (first?.payload.toString() === name) found++;
    const second = queue.pushSync('again');
    countDescriptors();
    await queue.remove(first?.id ?? 0);
    await queue.pop(second);
    countDescriptors();
  }),
);
await evaq.close();
const reader = await Evaq.openReadOnly(path);
let left = 0;
for (const name of names) left += (await (await reader.queue(name)).read()).length;
countDescriptors();
await reader.close();
console.log(JSON.stringify({ found, left, most }));
