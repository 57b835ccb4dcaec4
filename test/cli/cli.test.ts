import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Evaq } from '../../src/evaq.js';
import { RawSegment } from '../../src/raw.js';
import { segmentsOf, snapshotOf } from '../unit/raw/support/disk.js';
import { cliPath, evaq, finished, startEvaq } from './support/evaq-cli.js';

beforeAll(async () => {
  await cliPath();
});

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-cli-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'store');
}

/** A store with the records a, b, c. */
async function abc(): Promise<string> {
  const store = temporary();
  await evaq(['push', store], 'a\nb\nc\n');
  return store;
}

function flip(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(offset) ^ 1, offset);
  writeFileSync(path, bytes);
}

describe('push and cat', () => {
  test('lines come back as they went in, and standard error tells how many are durable', async () => {
    const store = temporary();
    const pushed = await evaq(['push', store], 'a\n\nlast without newline');
    expect(pushed).toMatchObject({ code: 0, stdout: Buffer.alloc(0) });
    expect(pushed.stderr).toBe(`evaq: made a new store at ${store}\nevaq: pushed 3 records, IDs 1 to 3\n`);
    expect((await evaq(['push', store], 'd')).stderr).toBe('evaq: pushed 1 record, ID 4\n');
    expect((await evaq(['push', store])).stderr).toBe('evaq: pushed nothing\n');
    const all = await evaq(['cat', store]);
    expect(all).toMatchObject({ code: 0, stderr: '' });
    expect(all.stdout.toString()).toBe('a\n\nlast without newline\nd\n');
  });

  test('with --null any bytes but NUL make the round trip', async () => {
    const store = temporary();
    const input = Buffer.concat([Buffer.from([0xff, 0x0a, 0xfe, 0]), Buffer.from('x\ny\0'), Buffer.from('\0')]);
    expect((await evaq(['push', store, '--null'], input)).code).toBe(0);
    expect((await evaq(['cat', store, '-0'])).stdout).toEqual(input);
  });

  test('records that span blocks of input are whole, many are pushed in order, and --batch changes nothing in that', async () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `${i}:${'x'.repeat(i % 50)}`);
    lines.splice(7777, 0, 'y'.repeat(300_000));
    const input = `${lines.join('\n')}\n`;
    for (const flags of [[], ['--batch', '64']]) {
      const store = temporary();
      const pushed = await evaq(['push', store, ...flags], input);
      expect(pushed.stderr).toContain('pushed 20001 records, IDs 1 to 20001');
      expect((await evaq(['cat', store])).stdout.toString()).toBe(input);
    }
  });

  test('--from, --to and -n choose, --json tells all that is known, --queue another queue', async () => {
    const store = await abc();
    expect((await evaq(['cat', store, '--from', '2', '-n', '1'])).stdout.toString()).toBe('b\n');
    expect((await evaq(['cat', store, '--to', '2'])).stdout.toString()).toBe('a\nb\n');
    await evaq(['push', store, '--queue', 'other', '-0'], Buffer.from([0xff]));
    {
      await using library = await Evaq.open(store);
      await library.pushWal('d', { headers: { topic: 'x' } });
      await library.deadLetter(1, { reason: 'no route' });
    }
    const lines = (await evaq(['cat', store, '--json'])).stdout.toString().trimEnd().split('\n');
    const records: unknown[] = lines.map((line) => JSON.parse(line));
    expect(records).toMatchObject([{ id: 2, payload: 'b' }, { id: 3 }, { id: 4, headers: { topic: 'x' } }]);
    const other: unknown = JSON.parse((await evaq(['cat', store, '-q', 'other', '--json'])).stdout.toString());
    expect(other).toMatchObject({ id: 1, payload: { base64: '/w==' } });
    const dead: unknown = JSON.parse((await evaq(['cat', store, '-q', 'dead-letters', '--json'])).stdout.toString());
    expect(dead).toMatchObject({ reason: 'no route', attempts: 1, origin: { queue: 'wal', id: 1 } });
  });

  test('cat reads a segment file without its store, removed records included', async () => {
    const store = await abc();
    await evaq(['remove', store, '2']);
    const [segment = ''] = segmentsOf(store);
    expect((await evaq(['cat', segment])).stdout.toString()).toBe('a\nb\nc\n');
    expect((await evaq(['cat', store])).stdout.toString()).toBe('a\nc\n');
    const both = await evaq(['cat', segment, store, '-n', '4']);
    expect(both.stdout.toString()).toBe('a\nb\nc\na\n');
    const json: unknown = JSON.parse((await evaq(['cat', segment, '--json', '-n', '1'])).stdout.toString());
    expect(json).toMatchObject({ id: 1, payload: 'a', offset: 176 });
  });

  test('cat ends silently with 0 when its reader has had enough', async () => {
    const store = temporary();
    await evaq(['push', store], `${Array.from({ length: 50_000 }, (_, i) => `line ${i}`).join('\n')}\n`);
    const shell = spawn('bash', [
      '-c',
      `"$0" "$1" cat "$2" | head -1; echo "\${PIPESTATUS[0]}"`,
      process.execPath,
      await cliPath(),
      store,
    ]);
    const result = await finished(shell);
    expect(result.stdout.toString()).toBe('line 0\n0\n');
    expect(result.stderr).toBe('');
  });

  test.runIf(process.platform === 'linux')(
    'a slow reader is waited for: memory does not grow with the backlog',
    async () => {
      const store = temporary();
      {
        await using library = await Evaq.open(store);
        for (let i = 0; i < 200; i++) await library.pushWal(Buffer.alloc(1024 * 1024, 65));
      }
      const child = await startEvaq(['cat', store]);
      const out = child.stdout;
      if (out === null) throw new Error('no pipe');
      await once(out, 'readable');
      // Whoever does not wait has read all 200 MiB by the time that others have done a lot less.
      await evaq(['cat', store, '-n', '50']);
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      const residentKib = Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]);
      expect(residentKib).toBeLessThan(150 * 1024);
    },
  );

  test('an interrupted push keeps every whole record that it had read and no half of one, tells so, and exits with 130', async () => {
    const store = temporary();
    const child = await startEvaq(['push', store]);
    const result = finished(child);
    await new Promise<void>((resolve) => {
      child.stderr?.on('data', (chunk: Buffer) => {
        if (chunk.toString().includes('made a new store')) resolve();
      });
    });
    child.stdin?.write('a\nb\nc');
    // Visible to a reader: then it was read.
    for (;;) {
      const seen = await evaq(['cat', store]);
      if (seen.stdout.toString() === 'a\nb\n') break;
    }
    child.kill('SIGINT');
    const { code, stderr } = await result;
    expect(code).toBe(130);
    expect(stderr).toContain('pushed 2 records, IDs 1 to 2');
    expect((await evaq(['verify', store, '--strict'])).code).toBe(0);
  });
});

describe('get and remove', () => {
  test('get prints one record; --raw adds no newline', async () => {
    const store = await abc();
    expect((await evaq(['get', store, '2'])).stdout.toString()).toBe('b\n');
    expect((await evaq(['get', store, '2', '--raw'])).stdout.toString()).toBe('b');
    const json: unknown = JSON.parse((await evaq(['get', store, '2', '--json'])).stdout.toString());
    expect(json).toMatchObject({ id: 2, payload: 'b' });
  });

  test('a record that is not there is exit code 6', async () => {
    const store = await abc();
    expect(await evaq(['get', store, '9'])).toMatchObject({
      code: 6,
      stderr: "evaq: EVAQ_RECORD_NOT_FOUND: queue 'wal' has no live record 9\n",
    });
    const removed = await evaq(['remove', store, '1', '9', '3']);
    expect(removed.code).toBe(6);
    expect(removed.stderr).toContain('removed 2 records');
    expect(removed.stderr).toContain('no live record 9');
    expect((await evaq(['cat', store])).stdout.toString()).toBe('b\n');
  });

  test('remove --through removes all up to an ID', async () => {
    const store = await abc();
    expect((await evaq(['remove', store, '--through', '2'])).stderr).toBe('evaq: removed 2 records\n');
    expect((await evaq(['cat', store])).stdout.toString()).toBe('c\n');
  });
});

describe('wrong input is told, and makes nothing', () => {
  test.each([
    ['no command', [], 2],
    ['an unknown command', ['frobnicate'], 2],
    ['an unknown option', ['cat', 'STORE', '--frob'], 2],
    ['no folder', ['cat'], 2],
    ['an ID that is none', ['get', 'STORE', 'x'], 2],
    ['a negative ID', ['get', 'STORE', '--', '-1'], 2],
    ['an ID with a fraction', ['get', 'STORE', '1.5'], 2],
    ['an ID past the safe integers', ['get', 'STORE', '9007199254740993'], 2],
    ['a count of 0', ['cat', 'STORE', '-n', '0'], 2],
    ['a batch of 0', ['push', 'STORE', '--batch', '0'], 2],
    ['options that exclude each other', ['get', 'STORE', '1', '--raw', '--json'], 2],
    ['nothing to remove', ['remove', 'STORE'], 2],
    ['IDs and --through', ['remove', 'STORE', '1', '--through', '2'], 2],
    ['a name that no queue can have', ['cat', 'STORE', '--queue', '../wal'], 2],
    ['an unknown queue', ['cat', 'STORE', '--queue', 'orders'], 6],
    ['an unknown queue to remove from', ['remove', 'STORE', '1', '--queue', 'orders'], 6],
    ['an unknown queue to get from', ['get', 'STORE', '1', '--queue', 'orders'], 6],
    ['a store that is not there', ['cat', 'NOWHERE'], 1],
    ['a store that is not there, to get from', ['get', 'NOWHERE', '1'], 1],
    ['a store that is not there, to remove from', ['remove', 'NOWHERE', '1'], 1],
    ['a store that is not there, to be told of', ['info', 'NOWHERE'], 1],
    ['a store that is not there, to verify', ['verify', 'NOWHERE'], 1],
    ['a store that is not there, with --no-create', ['push', 'NOWHERE', '--no-create'], 1],
    ['a folder that is something else', ['push', 'FOREIGN'], 1],
    ['a folder that is something else, to be told of', ['info', 'FOREIGN'], 1],
    ['a file that is no segment', ['cat', 'FOREIGN/notes.txt'], 1],
  ])('%s', async (_what, args, code) => {
    const store = await abc();
    const parent = join(store, '..');
    mkdirSync(join(parent, 'foreign'));
    writeFileSync(join(parent, 'foreign/notes.txt'), 'mine, and longer than a header of 128 bytes: '.repeat(5));
    const before = snapshotOf(parent);
    const names = { STORE: store, NOWHERE: join(parent, 'nowhere'), FOREIGN: join(parent, 'foreign') };
    const real = args.map((arg) =>
      arg.replace(/^(STORE|NOWHERE|FOREIGN)/, (name) =>
        name === 'STORE' ? names.STORE : name === 'NOWHERE' ? names.NOWHERE : names.FOREIGN,
      ),
    );
    const result = await evaq(real, 'x\n');
    expect(result.code).toBe(code);
    expect(result.stdout.toString()).toBe('');
    expect(result.stderr).not.toMatch(/\n {4}at /);
    expect(result.stderr.length).toBeGreaterThan(10);
    expect(snapshotOf(parent)).toEqual(before);
  });

  test('help and version that were asked for are no failure', async () => {
    expect(await evaq(['--help'])).toMatchObject({ code: 0, stderr: '' });
    expect((await evaq(['cat', '--help'])).stdout.toString()).toContain('--skip-damaged');
    const { version }: { version: string } = JSON.parse(
      readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'),
    );
    expect((await evaq(['--version'])).stdout.toString()).toBe(`${version}\n`);
  });
});

describe('a store in use', () => {
  test('writing commands tell who holds it and exit with 5; reading commands work', async () => {
    const store = await abc();
    await using library = await Evaq.open(store);
    const refused = await evaq(['push', store], 'x\n');
    expect(refused.code).toBe(5);
    expect(refused.stderr).toMatch(new RegExp(`^evaq: EVAQ_LOCKED: .* is open for writing by pid ${process.pid}`));
    expect(refused.stderr).toContain('\nhint: ');
    expect((await evaq(['remove', store, '1'])).code).toBe(5);
    await library.pushWal('d');
    expect((await evaq(['cat', store])).stdout.toString()).toBe('a\nb\nc\nd\n');
    expect((await evaq(['verify', store, '--strict'])).code).toBe(0);
    const info = await evaq(['info', store]);
    expect(info.code).toBe(0);
    expect(info.stdout.toString()).toContain(`state      open for writing by pid ${process.pid}`);
    const json: unknown = JSON.parse((await evaq(['info', store, '--json'])).stdout.toString());
    expect(json).toMatchObject({ v: 1, state: { kind: 'open', holder: { pid: process.pid } } });
  });

  test('P11: reading commands work for who may only read, and change nothing', async () => {
    const store = await abc();
    for (const name of ['', ...readdirSync(store, { recursive: true, encoding: 'utf8' })]) {
      const path = join(store, name);
      chmodSync(path, /\.(seg|tomb|free)$|STORE$|LOCK$/.test(name) ? 0o444 : 0o555);
    }
    chmodSync(join(store, '..'), 0o555);
    onTestFinished(() => {
      for (const name of ['..', '', ...readdirSync(store, { recursive: true, encoding: 'utf8' })])
        chmodSync(join(store, name), 0o755);
    });
    const before = snapshotOf(join(store, '..'));
    // The administrator may write to anything, so somebody else has to try.
    const options = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
    for (const args of [
      ['cat', store],
      ['get', store, '1'],
      ['info', store],
      ['verify', store],
    ]) {
      const result = await finished(await startEvaq(args, options));
      expect({ args, code: result.code, stderr: result.stderr }).toEqual({ args, code: 0, stderr: '' });
    }
    expect(snapshotOf(join(store, '..'))).toEqual(before);
  });
});

describe('info and verify', () => {
  test('info shows every queue of a closed store', async () => {
    const store = await abc();
    await evaq(['remove', store, '1']);
    const { code, stdout } = await evaq(['info', store]);
    expect(code).toBe(0);
    expect(stdout.toString()).toMatch(/state {6}closed/);
    expect(stdout.toString()).toMatch(/^wal +2 +1 +4 /m);
    const json: unknown = JSON.parse((await evaq(['info', store, '--json'])).stdout.toString());
    expect(json).toMatchObject({
      v: 1,
      path: store,
      state: { kind: 'clean' },
      queues: [{ queue: 'dead-letters' }, { queue: 'wal', live: 2, dead: 1, nextId: 4, oldestId: 2, damage: [] }],
    });
  });

  test('verify finds everything intact', async () => {
    const store = await abc();
    const result = await evaq(['verify', store, '--strict']);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout.toString()).toMatch(/^intact: 3 records in 2 queues/);
  });

  test('P9: verify of a flipped byte names file, offset, IDs and times, and exits with 3', async () => {
    const store = await abc();
    const [segment = ''] = segmentsOf(store);
    flip(segment, 128 + 48 + 8);
    const text = await evaq(['verify', store]);
    expect(text.code).toBe(3);
    expect(text.stdout.toString()).toMatch(
      /^damage {2}\/.*\.seg: offset 128, \d+ bytes: the body of a commit is damaged\n/,
    );
    expect(text.stdout.toString()).toMatch(/may be lost: record 1, pushed from \d{4}-/);
    const json: unknown = JSON.parse((await evaq(['verify', store, '--json'])).stdout.toString());
    expect(json).toMatchObject({ v: 1, ok: false, damage: [{ file: segment, offset: 128, firstId: 1, lastId: 1 }] });

    const all = await evaq(['cat', store]);
    expect(all.code).toBe(3);
    expect(all.stderr).toContain('EVAQ_CORRUPT');
    const rest = await evaq(['cat', store, '--skip-damaged']);
    expect(rest.code).toBe(3);
    expect(rest.stdout.toString()).toBe('b\nc\n');
    const raw = await evaq(['cat', segment, '--skip-damaged']);
    expect(raw).toMatchObject({ code: 3, stdout: Buffer.from('b\nc\n') });
    expect((await evaq(['info', store])).code).toBe(0);
    expect((await evaq(['get', store, '1'])).code).toBe(3);
    expect((await evaq(['get', store, '2'])).code).toBe(0);
  });

  test('P9: a torn end is no damage: 0, or 4 with --strict, and the next push repairs it', async () => {
    const store = temporary();
    const child = await startEvaq(['push', store]);
    child.stdin?.write('a\nb\n');
    for (;;) if ((await evaq(['cat', store])).stdout.toString() === 'a\nb\n') break;
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect((await evaq(['info', store])).stdout.toString()).toContain('its writer died');
    expect((await evaq(['verify', store, '--strict'])).code).toBe(0);

    const segment = segmentsOf(store).at(-1) ?? '';
    let end = 0;
    {
      await using raw = await RawSegment.open(segment);
      for await (const commit of raw.commits()) if (commit.kind === 'records') end = commit.offset + commit.bytes;
    }
    const bytes = readFileSync(segment);
    writeFileSync(segment, Buffer.concat([bytes.subarray(0, end), Buffer.alloc(40, 7), bytes.subarray(end + 40)]));
    expect((await evaq(['verify', store])).code).toBe(0);
    const strict = await evaq(['verify', store, '--strict']);
    expect(strict.code).toBe(4);
    expect(strict.stdout.toString()).toContain(`torn      ${segment}`);
    expect((await evaq(['cat', store])).stdout.toString()).toBe('a\nb\n');
    expect((await evaq(['cat', segment])).stdout.toString()).toBe('a\nb\n');

    expect((await evaq(['push', store], 'c\n')).code).toBe(0);
    expect((await evaq(['cat', store])).stdout.toString()).toBe('a\nb\nc\n');
    expect((await evaq(['verify', store, '--strict'])).code).toBe(0);
  });

  test('P9: one damaged copy of the header of the store stops no reader, two are corruption', async () => {
    const store = await abc();
    flip(join(store, 'STORE'), 10);
    expect((await evaq(['verify', store])).code).toBe(3);
    expect((await evaq(['cat', store])).code).toBe(0);
    flip(join(store, 'STORE'), 80);
    for (const command of ['verify', 'cat', 'info']) expect((await evaq([command, store])).code).toBe(3);
    expect(existsSync(join(store, 'LOCK'))).toBe(true);
  });
});
