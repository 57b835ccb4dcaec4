/** `evaq inspect` and `cat` of single files, as a user runs them. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Evaq } from '../../src/evaq.js';
import { cliPath, evaq } from './support/evaq-cli.js';

beforeAll(async () => {
  await cliPath();
});

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-inspect-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'store');
}

/** Records a, b, c with a header on the second, of which the first is removed. */
async function abc(): Promise<string> {
  const store = temporary();
  await using library = await Evaq.open(store);
  await library.wal.pushMany(['a', { payload: 'b', headers: { type: 'x' } }, 'c']);
  await library.wal.remove(1);
  return store;
}

function fileOf(store: string, pattern: RegExp): string {
  const dir = join(store, 'queues/wal');
  return join(dir, readdirSync(dir).find((name) => pattern.test(name)) ?? '');
}

interface Line {
  readonly kind: string;
  readonly offset: number;
  readonly bytes: number;
  readonly check: string;
  readonly id?: number;
}

async function linesOf(...args: string[]): Promise<{ lines: Line[]; code: number | string }> {
  const { stdout, code } = await evaq(['inspect', ...args, '--json']);
  const lines = stdout.toString().trimEnd().split('\n');
  return { lines: lines.slice(1).map((line): Line => JSON.parse(line)), code };
}

describe('inspect', () => {
  test('a segment: commits and records cover it from its header to its end, and tell of what is in them', async () => {
    const path = fileOf(await abc(), /\.seg$/);
    const { lines, code } = await linesOf(path);
    expect(code).toBe(0);
    const outer = lines.filter(({ kind }) => ['header', 'records', 'footer'].includes(kind));
    let at = 0;
    for (const { offset, bytes } of outer) {
      expect(offset).toBe(at);
      at += bytes;
    }
    expect(at).toBe(readFileSync(path).length);
    expect(lines.filter(({ kind }) => kind === 'record')).toMatchObject([
      { id: 1, payload: 1, check: 'ok' },
      { id: 2, headers: { type: 'x' } },
      { id: 3 },
    ]);
    expect(lines.filter(({ kind }) => kind === 'index')).toMatchObject([{ id: 1 }]);
    const text = (await evaq(['inspect', path, '--commits'])).stdout.toString();
    expect(text).toMatch(/a segment, sealed/);
    expect(text).not.toMatch(/payload/);
  });

  test('a rotten byte is shown where it is, and what is intact beside it', async () => {
    const path = fileOf(await abc(), /\.seg$/);
    const bytes = readFileSync(path);
    const at = bytes.indexOf('c', 176);
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    writeFileSync(path, bytes);
    const { lines, code } = await linesOf(path);
    expect(code).toBe(3);
    expect(lines.filter(({ kind }) => kind === 'record').map(({ id }) => id)).toEqual([1, 2]);
    expect(lines.filter(({ check }) => check === 'BAD')).toMatchObject([{ kind: 'bad', offset: 128 }]);
  });

  test('a torn end is none, whatever stands behind it: cat says that there is one; a commit behind it makes it damage', async () => {
    const folder = temporary();
    const copy = join(folder, '..', 'copy.seg');
    await using library = await Evaq.open(folder);
    for (const text of ['first', 'second', 'third']) await library.wal.push(text);
    const whole = readFileSync(fileOf(folder, /1-.*\.seg$/));
    const changed = (text: string): number => {
      const bytes = Buffer.from(whole);
      const at = bytes.indexOf(text);
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      // Zeros ahead.
      writeFileSync(copy, Buffer.concat([bytes, Buffer.alloc(5000)]));
      return at;
    };
    changed('third');
    const { lines, code } = await linesOf(copy);
    expect(code).toBe(0);
    expect(lines.filter(({ check }) => check !== 'ok').map(({ kind }) => kind)).toContain('end');
    expect(lines.filter(({ check }) => check === 'BAD')).toEqual([]);
    const torn = await evaq(['cat', copy]);
    expect(torn).toMatchObject({ code: 0, stdout: Buffer.from('first\nsecond\n') });
    expect(torn.stderr).toMatch(/^evaq: \S+copy\.seg ends in a commit that is not whole, at offset \d+: [^\n]+\n$/);
    changed('second');
    const rotten = await linesOf(copy);
    expect(rotten.code).toBe(3);
    expect(rotten.lines.filter(({ check }) => check === 'BAD')).toHaveLength(1);
    expect((await evaq(['cat', copy])).code).toBe(3);
    const skipped = await evaq(['cat', copy, '--skip-damaged']);
    expect(skipped).toMatchObject({ code: 3, stdout: Buffer.from('first\nthird\n') });
    expect(skipped.stderr).not.toMatch(/ends in/);
    writeFileSync(copy, whole);
    expect(await evaq(['cat', copy])).toMatchObject({ code: 0, stderr: '' });
  });

  test('what stands behind the footer of a segment is damage', async () => {
    const path = fileOf(await abc(), /\.seg$/);
    writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.from('garbage')]));
    const { lines, code } = await linesOf(path);
    expect(code).toBe(3);
    expect(lines.at(-1)).toMatchObject({ kind: 'bad', bytes: 7, check: 'BAD' });
  });

  test('a tombstone log, the file STORE, a log of deliveries', async () => {
    const store = await abc();
    const log = await linesOf(fileOf(store, /\.tomb$/));
    expect(log.code).toBe(0);
    expect(log.lines.filter(({ kind }) => kind === 'removals')).toMatchObject([
      { removed: [{ first: 1, last: 1 }] },
      { removed: [{ first: 1, last: 1 }] },
    ]);
    const names = (await linesOf(join(store, 'STORE'))).lines.filter(({ kind }) => kind === 'queue');
    expect(names).toMatchObject([{ name: 'wal' }, { name: 'wal' }, { name: 'dead-letters' }, { name: 'dead-letters' }]);
  });

  test('a spare file is said to be one, and is no damage', async () => {
    const path = join(temporary(), '..', '00000000000000000000-0000000000000009.seg.tmp');
    writeFileSync(path, Buffer.alloc(4096));
    const { code, stdout, stderr } = await evaq(['inspect', path]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.toString()).toMatch(/a spare file: nothing is in it, 4096 bytes/);
    writeFileSync(path, Buffer.alloc(4096, 1));
    expect((await evaq(['inspect', path])).code).not.toBe(0);
  });

  test('--at shows the field there, of headers and of records', async () => {
    const path = fileOf(await abc(), /\.seg$/);
    const at = async (offset: number | string): Promise<string> =>
      (await evaq(['inspect', path, '--at', String(offset)])).stdout.toString();
    expect(await at(33)).toMatch(/^> +32 {2}base ID .* = 1$/m);
    expect(await at(128 + 5)).toMatch(/^> +132 {2}count .* = 3$/m);
    expect(await at('0xb8')).toMatch(/^176: record 1$[\s\S]*^> +184 {2}payload +61$/m);
    expect(await evaq(['inspect', path, '--at', '99999'])).toMatchObject({ code: 2 });
  });

  test('what is no file of a store is said to be none', async () => {
    const store = await abc();
    for (const path of [store, join(store, 'queues/wal'), join(store, 'nothing'), join(store, 'LOCK')]) {
      const { code, stderr } = await evaq(['inspect', path]);
      expect({ path, code, lines: stderr.trimEnd().split('\n').length }).toEqual({ path, code: 2, lines: 1 });
    }
  });
});

describe('cat of what is not a store', () => {
  test('says what it is, and prints what records there are', async () => {
    const store = await abc();
    const dir = join(store, 'queues/wal');
    const segment = fileOf(store, /\.seg$/);
    const queue = await evaq(['cat', dir]);
    expect(queue).toMatchObject({ code: 0, stderr: `evaq: ${dir} is queue 'wal' of the store ${store}\n` });
    expect(queue.stdout.toString()).toBe('b\nc\n');
    const tombstones = await evaq(['cat', fileOf(store, /\.tomb$/)]);
    expect(tombstones).toMatchObject({ code: 2 });
    expect(tombstones.stderr).toMatch(/is a tombstone log: .*evaq inspect/);
    mkdirSync(join(dir, 'quarantine'));
    cpSync(segment, join(dir, 'quarantine', segment.slice(dir.length + 1)));
    const aside = await evaq(['cat', join(dir, 'quarantine'), '--from', '-2']);
    expect(aside.stderr).toMatch(/holds files that were set aside/);
    expect(aside.stdout.toString()).toBe('b\nc\n');
    const free = join(dir, '00000000000000ff.free');
    cpSync(segment, free);
    const dead = await evaq(['cat', free, '--header', 'type', '--format', '%i %h{type} %o']);
    expect(dead.stderr).toMatch(/a dead segment, kept to be overwritten/);
    expect(dead.stdout.toString()).toMatch(/^2 x \d+\n$/);
    const alone = join(store, '..', 'alone');
    mkdirSync(alone);
    cpSync(segment, join(alone, segment.slice(dir.length + 1)));
    expect((await evaq(['cat', alone])).stderr).toMatch(/holds segments without their store: 1 segment file/);
    expect(await evaq(['cat', tmpdir()])).toMatchObject({ code: 1 });
  });

  test('ways of printing, and of selecting', async () => {
    const store = await abc();
    const out = async (...args: string[]): Promise<string> => (await evaq(['cat', store, ...args])).stdout.toString();
    expect(await out('-o', 'hex')).toBe('62\n63\n');
    expect(await out('-o', 'raw')).toBe('bc');
    expect(await out('-o', 'raw', '-0')).toBe('b\0c\0');
    expect(await out('--format', '%q:%i:%s:%p', '-g', '[bx]')).toBe('wal:2:1:b\n');
    expect(await out('-o', 'hexdump', '--from', 'last')).toMatch(/^# 3 wal \S+Z 1 B\n0{8} {2}63 .*\|c\|\n$/);
    expect(JSON.parse(await out('--json', '--to', 'first'))).toMatchObject({ v: 1, id: 2, queue: 'wal', payload: 'b' });
    expect(await out('-q', '*', '--since', '1h', '--until', '0s')).toBe('b\nc\n');
    expect(await out('--until', '1h')).toBe('');
    for (const wrong of [
      ['--from', 'x'],
      ['--since', 'soon'],
      ['-g', '('],
      ['--format', '%x'],
      ['-o', 'xml'],
      ['-q', 'a b'],
    ]) {
      expect(await evaq(['cat', store, ...wrong])).toMatchObject({ code: 2 });
    }
    expect(await evaq(['cat', store, '--json', '-0'])).toMatchObject({ code: 2 });
  });
});
