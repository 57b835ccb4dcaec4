/** What `cat` prints without making records is what it prints of records: the bytes, the exit code, and what it says. A template makes it take the other way. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Evaq } from '../../src/evaq.js';
import { evaq } from './support/evaq-cli.js';

let folder = '';

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'evaq-cat-packed-'));
  for (const name of ['whole', 'damaged']) {
    const store = await Evaq.open(join(folder, name), { durability: 'os', segmentBytes: 65_536, gc: false });
    for (let id = 1; id <= 2000; id += 100) {
      await store.wal.pushMany(
        Array.from({ length: 100 }, (_, i) => ({
          payload: i % 50 === 0 ? Buffer.alloc(3000, i) : `${id + i} ${'text '.repeat(i % 20)}`,
          ...(i % 7 === 0 ? { headers: { of: String(i) } } : {}),
        })),
      );
    }
    await store.wal.removeMany(Array.from({ length: 300 }, (_, i) => 3 * i + 1));
    await (await store.queue('other')).pushMany(['', '5', '\u001b[2J']);
    await store.close();
  }
  const dir = join(folder, 'damaged', 'queues', 'wal');
  const path = join(
    dir,
    readdirSync(dir)
      .filter((name) => name.endsWith('.seg'))
      .sort()[1] ?? '',
  );
  const bytes = readFileSync(path);
  const at = bytes.indexOf('text text text');
  bytes[at] = (bytes[at] ?? 0) ^ 32;
  writeFileSync(path, bytes);
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

test.each<[string, readonly string[], number]>([
  ['all of it', ['whole'], 0],
  ['all queues, with NUL bytes', ['whole', '-q', '*', '-0'], 0],
  ['a range', ['whole', '--from', '500', '--to', '-20'], 0],
  ['what holds some characters', ['whole', '-g', '99 text'], 0],
  ['what stands in front of damage', ['damaged'], 3],
  ['what stands around damage', ['damaged', '--skip-damaged'], 3],
  ['what holds some characters, around damage', ['damaged', '-g', 'text text', '--skip-damaged'], 3],
])('P15: cat prints %s', async (_what, [name = '', ...args], code) => {
  const path = join(folder, name);
  const packed = await evaq(['cat', path, ...args]);
  const made = await evaq(['cat', path, ...args, '--format', '%p']);
  expect(packed.stdout.equals(made.stdout)).toBe(true);
  expect(packed.stdout.length).toBeGreaterThan(100);
  expect([packed.code, packed.stderr]).toEqual([made.code, made.stderr]);
  expect(packed.code).toBe(code);
});
