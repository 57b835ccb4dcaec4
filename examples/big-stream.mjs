// A file of any size goes into a queue line by line, and out of it again into another file, through pipelines: memory stays flat, and what has
// finished is on the disk. The size in MiB can be given.
// Run it with: node examples/big-stream.mjs 1024
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Evaq } from 'evaq';

const [mebibytes = '24'] = process.argv.slice(2);
const folder = await mkdtemp(join(tmpdir(), 'evaq-example-'));
const [input, output] = [join(folder, 'input'), join(folder, 'output')];
const line = `${'measurement '.repeat(21)}\n`;
const block = line.repeat(Math.floor(2 ** 20 / line.length));
await pipeline(Readable.from(Array.from({ length: Number(mebibytes) }, () => block)), createWriteStream(input));
const before = process.memoryUsage().rss;

// The program.
const evaq = await Evaq.open(join(folder, 'store'), { durability: 'os' });
await pipeline(createReadStream(input), evaq.wal.writable({ split: 'lines' }));
console.log(`${evaq.wal.size} records are durable`);
await pipeline(
  evaq.wal.readable(),
  async function* (records) {
    for await (const { payload } of records) yield `${payload}\n`;
  },
  createWriteStream(output),
);
await evaq.wal.removeThrough(evaq.wal.stats().nextId);
// The end of the program.

const grown = (process.memoryUsage().rss - before) / 2 ** 20;
console.log(`memory grew by less than 200 MiB: ${grown < 200}`);
if (Number(mebibytes) < 100)
  console.log(`the same came out: ${(await readFile(input)).equals(await readFile(output))}`);
await evaq.close();
await rm(folder, { recursive: true });
