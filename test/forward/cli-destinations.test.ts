/** `evaq forward --to redis://…`, against a redis-server. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Evaq } from '../../src/evaq.js';
import { evaq } from '../cli/support/evaq-cli.js';
import { Server, whyNot } from './servers.js';

const missing = whyNot('redis-server', 'ioredis');
const why = missing === undefined ? '' : ` [skipped: ${missing}]`;

async function newStore(payloads: readonly string[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-destinations-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const dir = join(folder, 'store');
  const store = await Evaq.open(dir);
  await store.wal.pushMany(payloads);
  await store.close();
  return dir;
}

test.skipIf(missing !== undefined)(`forwards to a Redis stream${why}`, async () => {
  const server = await Server.start({
    binary: 'redis-server',
    args: (port, folder) => `--port ${port} --bind 127.0.0.1 --dir ${folder} --save`.split(' ').concat(''),
  });
  onTestFinished(() => server.end());
  const dir = await newStore(['a', 'b', 'c']);
  const to = `redis://127.0.0.1:${server.port}/orders?ids=record`;
  expect(await evaq(['forward', dir, '--to', to])).toMatchObject({ code: 0, stderr: 'evaq: 3 records arrived\n' });
  const { Redis } = await import('ioredis');
  const client = new Redis(server.port, '127.0.0.1');
  const entries = await client.xrange('orders', '-', '+');
  client.disconnect();
  expect(entries.map(([id, fields]) => [id, fields[3]])).toEqual([
    ['1-0', 'a'],
    ['2-0', 'b'],
    ['3-0', 'c'],
  ]);
});

test('what is wrong with a destination is a line', async () => {
  const dir = await newStore(['a']);
  for (const to of ['redis://127.0.0.1:1/', 'redis://127.0.0.1:1/s?ids=mine']) {
    const { code, stderr } = await evaq(['forward', dir, '--to', to]);
    expect({ code, lines: stderr.trimEnd().split('\n').length }).toEqual({ code: 2, lines: 1 });
  }
});
