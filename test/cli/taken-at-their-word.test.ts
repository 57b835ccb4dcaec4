/** What an option says is what happens; and what a command has come to, or done, is told. */
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Evaq } from '../../src/evaq.js';
import { cliPath, evaq } from './support/evaq-cli.js';

beforeAll(async () => {
  await cliPath();
});

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-word-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function storeOf(records: number): Promise<string> {
  const store = join(temporary(), 'store');
  const lines = Array.from({ length: records }, (_, i) => `${i + 1}`.padEnd(500, 'x'));
  expect((await evaq(['push', store], `${lines.join('\n')}\n`)).code).toBe(0);
  return store;
}

function filesOf(store: string, ending: string): string[] {
  const wal = join(store, 'queues/wal');
  return readdirSync(wal)
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => join(wal, name));
}

async function countOf(store: string): Promise<number> {
  return (await evaq(['cat', store])).stdout.toString().split('\n').length - 1;
}

test.each([
  ['--dry-run', '3', '77'],
  ['--dry-run', '--through', '3'],
  ['--yes', '--dry-run', '--through', '3'],
])('remove %s %s %s removes nothing', async (...args) => {
  const store = await storeOf(5);
  const { code, stderr } = await evaq(['remove', store, ...args]);
  expect(stderr).toMatch(
    args.includes('77') ? /would remove 1 record of wal: 3\n/ : /would remove 3 records of wal: 1 to 3\n/,
  );
  expect(code).toBe(args.includes('77') ? 6 : 0);
  expect(await countOf(store)).toBe(5);
});

test.each([
  ['remove', '-g', '1', '-g', '2', '--yes'],
  ['remove', '--reason', 'a', '--reason', 'b', '--yes'],
  ['cat', '--since', '1h', '--since', '2h'],
  ['replay', '--to', './k1', '--to', './k2'],
  ['push', '-q', 'a', '-q', 'b'],
])('an option that is given twice is refused: %s %s %s', async (command, ...args) => {
  const store = await storeOf(3);
  const { code, stderr } = await evaq([command, store, ...args], 'x\n');
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('given twice') });
  expect(await countOf(store)).toBe(3);
});

test('a checkpoint is of one destination', async () => {
  const store = await storeOf(3);
  const checkpoint = join(store, '../checkpoint');
  const replay = ['replay', store, '--checkpoint', checkpoint];
  expect((await evaq(replay)).stderr).toContain('replayed 3 records');
  const { code, stderr } = await evaq([...replay, '--to', join(store, '../other')]);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('name another file') });
  expect((await evaq(replay)).stderr).toContain('replayed 0 records to standard output, 3 before');
});

test('bytes that are no UTF-8 are not made others', async () => {
  const store = await storeOf(1);
  const line = Buffer.concat([Buffer.from('{"payload":"x'), Buffer.from([0xff]), Buffer.from('"}\n')]);
  expect(await evaq(['push', store, '--json'], line)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('no UTF-8'),
  });
  expect(await countOf(store)).toBe(1);
});

test.each(['info', 'tail', 'export', 'verify', 'why', 'stats'])(
  '%s of an address is told in a line',
  async (command) => {
    for (const place of ['nats://127.0.0.1:1/x', 'file:///tmp/a%2fb', 'file:///tmp/%00']) {
      const { code, stderr } = await evaq([command, place]);
      expect({ place, code, lines: stderr.trim().split('\n').length }).toEqual({ place, code: 2, lines: 1 });
    }
  },
);

test('a file that was copied out is known by what is in it, whatever its name', async () => {
  const store = await storeOf(3);
  await evaq(['remove', store, '1']);
  const [log = ''] = filesOf(store, '.tomb');
  for (const [from, as] of [
    [log, 'a tombstone log'],
    [join(store, 'STORE'), 'the file that makes its folder a store'],
  ] as const) {
    const copy = join(store, '../one');
    copyFileSync(from, copy);
    const { code, stdout } = await evaq(['inspect', copy]);
    expect({ code, front: stdout.toString().split('\n')[0] }).toEqual({ code: 0, front: expect.stringContaining(as) });
  }
});

test('a report is not written into its store', async () => {
  const store = await storeOf(3);
  const before = readFileSync(join(store, 'STORE'));
  const { code, stderr } = await evaq(['report', store, '--no-write', '-o', join(store, 'STORE')]);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('is in the store') });
  expect(readFileSync(join(store, 'STORE'))).toEqual(before);
});

describe('of a damaged store', () => {
  test('compact tells which records it had to set aside', async () => {
    const store = await storeOf(200);
    {
      await using library = await Evaq.open(store, { gc: false });
      await library.wal.removeMany(Array.from({ length: 150 }, (_, i) => i + 1));
    }
    const [segment = ''] = filesOf(store, '.seg');
    const bytes = readFileSync(segment);
    const at = bytes.indexOf('180xxxx');
    bytes.writeUInt8(bytes.readUInt8(at) ^ 0x40, at);
    writeFileSync(segment, bytes);
    const { code, stderr } = await evaq(['compact', store]);
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringMatching(/damaged: .*quarantine.*: 180\n/) });
  });

  test('why says that it is, and that its numbers may not be so', async () => {
    const store = await storeOf(20);
    await evaq(['remove', store, '1', '2']);
    const [log = ''] = filesOf(store, '.tomb');
    writeFileSync(log, '');
    expect(await evaq(['why', store])).toMatchObject({ code: 3, stderr: expect.stringContaining('damaged place') });
  });

  test('a report exits as verify does, also where nothing is lost', async () => {
    const store = await storeOf(5);
    const [log = ''] = filesOf(store, '.tomb');
    const bytes = readFileSync(log);
    bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20);
    writeFileSync(log, bytes);
    expect((await evaq(['verify', store])).code).toBe(3);
    expect((await evaq(['report', store, '--no-write'])).code).toBe(3);
  });

  test('repair does not say that no record is lost where nothing tells which are', async () => {
    const store = join(temporary(), 'store');
    {
      await using library = await Evaq.open(store);
      await library.wal.pushMany(Array.from({ length: 40 }, () => 'x'));
    }
    for (const segment of filesOf(store, '.seg')) rmSync(segment);
    const { code, stdout } = await evaq(['repair', store]);
    expect(code).toBe(3);
    expect(stdout.toString()).not.toContain('lost      no record');
  });
});
