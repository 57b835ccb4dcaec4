/**
 * The input of the drill: a text file, line by line, and one made up if there is none.
 */
import * as fs from 'node:fs';
import { createInterface } from 'node:readline';
import { crc32 } from '../../checksum.js';
import { Prng } from '../../sim/sim-prng.js';

const PATHS: readonly string[] = [
  '/',
  '/orders',
  '/orders/new',
  '/login',
  '/search',
  '/assets/app.js',
  '/api/v1/items',
];
const METHODS: readonly string[] = ['GET', 'GET', 'GET', 'POST', 'PUT'];
const STATUSES: readonly number[] = [200, 200, 200, 201, 304, 404, 500];

/** Writes `lines` lines of an access log that nobody served. The same seed makes the same lines. */
export async function writeInput(path: string, lines: number, seed: number): Promise<void> {
  const random = new Prng(seed);
  const pick = <T>(from: readonly T[]): T | string => from[random.below(from.length)] ?? '';
  const file = await fs.promises.open(path, 'w');
  try {
    for (let line = 1; line <= lines; ) {
      let text = '';
      for (const end = Math.min(lines, line + 999); line <= end; line++) {
        const address = `10.${random.below(256)}.${random.below(256)}.${random.below(256)}`;
        const request = `${pick(METHODS)} ${pick(PATHS)}?q=${random.next().toString(36)} HTTP/1.1`;
        text += `${address} - - [line ${line}] "${request}" ${pick(STATUSES)} ${random.below(100_000)}\n`;
      }
      await file.write(text);
    }
  } finally {
    await file.close();
  }
}

/** The lines of the file as text, in order. */
export async function* readLines(path: string): AsyncGenerator<string, void, undefined> {
  const input = fs.createReadStream(path, { encoding: 'utf8', highWaterMark: 256 * 1024 });
  try {
    // An error of the stream does not end the lines by itself.
    const failure = new Promise<never>((_, reject) => input.once('error', reject));
    failure.catch(() => undefined);
    await Promise.race([failure, new Promise<void>((resolve) => input.once('ready', () => resolve()))]);
    yield* createInterface({ input, crlfDelay: Infinity });
  } finally {
    input.destroy();
  }
}

/** The checksum of every line's text, the first at 0; of the first `max` lines. Rejects where the file cannot be read. */
export async function checksumsOf(path: string, max: number): Promise<number[]> {
  const sums: number[] = [];
  for await (const text of readLines(path)) {
    if (sums.length >= max) break;
    sums.push(checksumOf(text));
  }
  return sums;
}

export function checksumOf(text: string): number {
  return crc32(Buffer.from(text));
}
