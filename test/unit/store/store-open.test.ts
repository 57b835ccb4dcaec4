import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { crc32 } from '../../../src/checksum.js';
import { Evaq } from '../../../src/evaq.js';
import {
  callUntyped,
  contentOf,
  idsOf,
  newDisk,
  newPath,
  openReal,
  openSim,
  rejection,
  SIM_PATH,
} from './store-fixture.js';

const walDir = (path: string): string => join(path, 'queues/wal');
const segmentsIn = (path: string): string[] =>
  readdirSync(walDir(path))
    .filter((name) => name.endsWith('.seg'))
    .sort();

/** Every file below a folder, with its content. */
function snapshot(path: string): Record<string, string> {
  const files: Record<string, string> = {};
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name);
    files[file] = entry.isFile() ? readFileSync(file).toString('base64') : entry.isDirectory() ? 'folder' : 'other';
  }
  return files;
}

/** Gives both header copies of a file another major version, as a newer evaq would have written it. */
function makeNewer(file: string): void {
  const bytes = readFileSync(file);
  for (const copy of [bytes.subarray(0, 64), bytes.subarray(64, 128)]) {
    copy.writeUInt8(9, 4);
    copy.writeUInt32LE(crc32(copy.subarray(0, 60)), 60);
  }
  writeFileSync(file, bytes);
}

describe('opening a store', () => {
  it('makes it with the folders above it, opens it again, and says which', async () => {
    const path = join(newPath(), 'deep/er');
    const evaq = await openReal({}, path);
    expect(evaq.recovery).toMatchObject({ created: true, clean: true, torn: [], damage: [], movesCompleted: 0 });
    expect(evaq.path).toBe(path);
    expect(evaq.queueNames()).toEqual(['dead-letters', 'wal']);
    await evaq.pushWal('kept');
    await evaq.close();
    const again = await openReal({}, path);
    expect(again.recovery).toMatchObject({ created: false, clean: true });
    expect(await contentOf(again.wal)).toEqual({ 1: 'kept' });
  });

  it('a relative path is meant from where the process is', async () => {
    const path = newPath();
    mkdirSync(path);
    const evaq = await openReal({}, join(path, 'x/../y'));
    expect(evaq.path).toBe(join(path, 'y'));
  });

  it('its folders are for the owner alone, and so are its files', async () => {
    const evaq = await openReal({ segmentBytes: 64 * 1024 });
    for (let i = 0; i < 3; i++) await evaq.pushWal(Buffer.alloc(50_000));
    await evaq.wal.removeThrough(2);
    await (await evaq.queue('other')).push('x');
    for (const entry of [
      { name: '', parentPath: evaq.path, isDirectory: () => true },
      ...readdirSync(evaq.path, { recursive: true, withFileTypes: true }),
    ]) {
      const mode = statSync(join(entry.parentPath, entry.name)).mode & 0o777;
      expect([entry.name, mode.toString(8)]).toEqual([entry.name, entry.isDirectory() ? '700' : '600']);
    }
  });

  it('with create: false there has to be one, and nothing is made', async () => {
    const path = newPath();
    await rejection(Evaq.open(path, { create: false }), 'EVAQ_NOT_A_STORE', { path });
    expect(existsSync(path)).toBe(false);
    await (await openReal({}, path)).close();
    await openReal({ create: false }, path);
  });

  it('an empty folder becomes a store', async () => {
    const path = newPath();
    mkdirSync(path);
    expect((await openReal({}, path)).recovery.created).toBe(true);
  });

  it('a folder that holds something else is refused and left untouched', async () => {
    const path = newPath();
    mkdirSync(path);
    writeFileSync(join(path, 'thesis.tex'), 'years of work');
    const before = snapshot(path);
    const error = await rejection(Evaq.open(path), 'EVAQ_NOT_A_STORE', { path });
    expect(error.message).toContain('thesis.tex');
    expect(snapshot(path)).toEqual(before);
  });

  it('a path that is a file, or goes through one, is refused', async () => {
    const path = newPath();
    writeFileSync(path, 'a file');
    await rejection(Evaq.open(path), 'EVAQ_NOT_A_STORE', { path });
    await rejection(Evaq.open(join(path, 'below')), 'EVAQ_IO', { path: join(path, 'below') });
    expect(readFileSync(path, 'utf8')).toBe('a file');
  });

  it.each<[string, Parameters<typeof Evaq.open>, RegExp]>([
    ['no path', [''], /path must be a non-empty string, got ""/],
    [
      'segmentBytes too small',
      ['/nowhere/x', { segmentBytes: 1000 }],
      /segmentBytes must be a whole number of at least 65536, got 1000/,
    ],
    [
      'segmentBytes too large',
      ['/nowhere/x', { segmentBytes: 2 ** 31 }],
      /segmentBytes must be at most 1073741824, got 2147483648/,
    ],
    ['a fraction', ['/nowhere/x', { recordBytesMax: 1.5 }], /recordBytesMax must be .* got 1.5/],
    ['NaN', ['/nowhere/x', { maxPendingBytes: Number.NaN }], /maxPendingBytes must be .* got NaN/],
    ['a negative', ['/nowhere/x', { recycleSegments: -1 }], /recycleSegments must be .* got -1/],
    [
      'an interval of nothing',
      ['/nowhere/x', { durability: { intervalMs: 0 } }],
      /durability.intervalMs must be .* got 0/,
    ],
    [
      'a share above one',
      ['/nowhere/x', { gc: { liveShareMax: 1.1 } }],
      /gc.liveShareMax must be a number from 0 to 1, got 1.1/,
    ],
    ['no rate', ['/nowhere/x', { gc: { bytesPerSecond: 0 } }], /gc.bytesPerSecond must be .* got 0/],
  ])('a wrong option names itself, what it must be and what it is: %s', async (_what, args, message) => {
    await expect(Evaq.open(...args)).rejects.toThrow(message);
    await expect(Evaq.open(...args)).rejects.not.toMatchObject({ name: 'EvaqError' });
    expect(existsSync('/nowhere')).toBe(false);
  });

  it('wrong types from JavaScript are a TypeError that names the argument', async () => {
    const open = (options: string): Promise<unknown> => callUntyped(Evaq, 'open', '/nowhere/x', JSON.parse(options));
    await expect(open('null')).rejects.toThrow(new TypeError('open: options must be an object, got null'));
    await expect(open('{"durability":"never"}')).rejects.toThrow(
      /durability must be 'sync', 'os' or \{ intervalMs \}, got "never"/,
    );
    await expect(open('{"onCorruption":"ignore"}')).rejects.toThrow(
      /onCorruption must be 'fail' or 'quarantine', got "ignore"/,
    );
    await expect(open('{"create":"yes"}')).rejects.toThrow(/create must be a boolean, got "yes"/);
    await expect(open('{"segmentBytes":"64"}')).rejects.toThrow(
      new TypeError('segmentBytes must be a number, got "64"'),
    );
    await expect(open('{"gc":true}')).rejects.toThrow(/gc must be false or an object, got true/);
    await expect(callUntyped(Evaq, 'open', 7)).rejects.toThrow(
      new TypeError('path must be a non-empty string or a file URL, got 7'),
    );
  });
});

describe('the lock of a store', () => {
  it('a store that could not be opened is not left locked', async () => {
    const disk = newDisk();
    await (await openSim(disk)).close();
    disk.fault({ on: 'list', path: 'queues' });
    await rejection(openSim(disk), 'EVAQ_IO');
    await (await openSim(disk)).close();
    expect(disk.violations).toEqual([]);
  });
});

describe('a store of a newer format', () => {
  it.each(['STORE', 'segment', 'tombstones'])('is EVAQ_UNSUPPORTED_VERSION and not written to: %s', async (what) => {
    const evaq = await openReal();
    await evaq.pushWal('x');
    await evaq.close();
    const name =
      what === 'STORE'
        ? 'STORE'
        : readdirSync(walDir(evaq.path)).find((one) => one.endsWith(what === 'segment' ? '.seg' : '.tomb'));
    makeNewer(join(what === 'STORE' ? evaq.path : walDir(evaq.path), name ?? ''));
    const before = snapshot(evaq.path);
    for (const onCorruption of ['fail', 'quarantine'] as const) {
      const error = await rejection(Evaq.open(evaq.path, { onCorruption }), 'EVAQ_UNSUPPORTED_VERSION');
      expect(error.message).toContain('9');
    }
    const after = snapshot(evaq.path);
    delete before[join(evaq.path, 'LOCK')];
    delete after[join(evaq.path, 'LOCK')];
    expect(after).toEqual(before);
  });
});

describe('what is not ours', () => {
  it('foreign files in a queue folder are left alone, through use, recovery and GC', async () => {
    const evaq = await openReal({ segmentBytes: 64 * 1024 });
    const dir = walDir(evaq.path);
    const foreign = [
      'README',
      '1-1.seg',
      '00000000000000000001-0000000000000001.seg.bak',
      '.hidden',
      'x.tomb',
      '0000000000000001.tomb~',
    ];
    for (const name of foreign) writeFileSync(join(dir, name), name);
    mkdirSync(join(dir, 'folder'));
    for (let i = 0; i < 4; i++) await evaq.pushWal(Buffer.alloc(40_000));
    await evaq.wal.removeThrough(4);
    await evaq.wal.compact();
    await evaq.close();
    const again = await openReal({}, evaq.path);
    expect(again.recovery).toMatchObject({ clean: true, damage: [] });
    for (const name of foreign) expect(readFileSync(join(dir, name), 'utf8')).toBe(name);
    expect(existsSync(join(dir, 'folder'))).toBe(true);
  });

  it('a folder in queues/ that cannot be a queue is left alone', async () => {
    const evaq = await openReal();
    await evaq.close();
    mkdirSync(join(evaq.path, 'queues/.git'));
    mkdirSync(join(evaq.path, 'queues/with space'));
    writeFileSync(join(evaq.path, 'queues/file'), '');
    const again = await openReal({}, evaq.path);
    expect(again.queueNames()).toEqual(['dead-letters', 'wal']);
    expect(readdirSync(join(evaq.path, 'queues')).sort()).toEqual([
      '.git',
      'dead-letters',
      'file',
      'wal',
      'with space',
    ]);
  });

  it('a symbolic link in place of a segment is refused, and what it leads to is not touched', async () => {
    const evaq = await openReal();
    await evaq.pushWal('x');
    await evaq.close();
    const [segment = ''] = segmentsIn(evaq.path);
    const file = join(walDir(evaq.path), segment);
    const elsewhere = join(dirname(evaq.path), 'elsewhere');
    renameSync(file, elsewhere);
    symlinkSync(elsewhere, file);
    const before = readFileSync(elsewhere);
    const error = await rejection(Evaq.open(evaq.path), 'EVAQ_CORRUPT', { path: file, queue: 'wal' });
    expect(error.message).toContain('not a regular file');
    expect(readFileSync(elsewhere).equals(before)).toBe(true);
    rmSync(file);
    renameSync(elsewhere, file);
    expect(await contentOf((await openReal({}, evaq.path)).wal)).toEqual({ 1: 'x' });
  });

  it('a symbolic link in place of STORE is not followed', async () => {
    const evaq = await openReal();
    await evaq.close();
    const elsewhere = join(dirname(evaq.path), 'STORE');
    renameSync(join(evaq.path, 'STORE'), elsewhere);
    symlinkSync(elsewhere, join(evaq.path, 'STORE'));
    await rejection(Evaq.open(evaq.path), 'EVAQ_NOT_A_STORE');
  });

  it('P9: a segment of another store is not read as ours', async () => {
    const a = await openReal();
    const b = await openReal();
    for (const evaq of [a, b]) await evaq.pushWal(evaq === a ? 'mine' : 'theirs');
    await a.close();
    await b.close();
    const [mine = '', theirs = ''] = [segmentsIn(a.path)[0], segmentsIn(b.path)[0]];
    expect(mine).toBe(theirs);
    cpSync(join(walDir(b.path), theirs), join(walDir(a.path), mine));
    await rejection(Evaq.open(a.path), 'EVAQ_CORRUPT', { path: join(walDir(a.path), mine) });
  });
});

describe('the names of queues', () => {
  it.each([
    '',
    '.',
    '..',
    '.hidden',
    '../evil',
    '/etc',
    'a/b',
    'a\\b',
    'a b',
    'ü',
    'a\0b',
    'a\nb',
    'x'.repeat(65),
    'a:b',
    'a*',
  ])('%j is EVAQ_QUEUE_NAME, and nothing is created', async (name) => {
    const evaq = await openReal();
    const before = Object.keys(snapshot(dirname(evaq.path)));
    await rejection(evaq.queue(name), 'EVAQ_QUEUE_NAME');
    expect(Object.keys(snapshot(dirname(evaq.path)))).toEqual(before);
    await evaq.pushWal('still fine');
  });

  it('a name that is no string is EVAQ_QUEUE_NAME', async () => {
    const evaq = await openReal();
    for (const name of [undefined, null, 7, {}, ['a']]) {
      await rejection(callUntyped(evaq, 'queue', name), 'EVAQ_QUEUE_NAME');
    }
  });

  it.each(['a', '0', '-', '_', 'a.b', 'A-b_c.9', 'x'.repeat(64), 'console', 'constructor', '__proto__'])(
    '%j is a queue of its own',
    async (name) => {
      const evaq = await openReal();
      const queue = await evaq.queue(name);
      expect(queue.name).toBe(name);
      expect(await queue.push('here')).toBe(1);
      expect(await evaq.queue(name)).toBe(queue);
      expect(evaq.queueNames()).toContain(name);
      await evaq.close();
      const again = await openReal({}, evaq.path);
      expect(again.queueNames()).toContain(name);
      expect(await contentOf(await again.queue(name))).toEqual({ 1: 'here' });
      expect(await idsOf(again.wal)).toEqual([]);
    },
  );

  it('a queue that two ask for at once is made once', async () => {
    const evaq = await openReal();
    const [a, b] = await Promise.all([evaq.queue('jobs'), evaq.queue('jobs')]);
    expect(a).toBe(b);
    const ids = await Promise.all([a.push('1'), b.push('2')]);
    expect(ids).toEqual([1, 2]);
  });

  it('a queue that could not be made can be asked for again', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    // The file that is kept for removals, and then the log itself.
    disk.fault({ on: 'create', path: 'queues/jobs', error: 'ENOSPC', times: 2 });
    await rejection(evaq.queue('jobs'), 'EVAQ_NO_SPACE');
    expect(await (await evaq.queue('jobs')).push('x')).toBe(1);
    await evaq.close();
    expect(await contentOf(await (await openSim(disk)).queue('jobs'))).toEqual({ 1: 'x' });
  });
});

describe('closing', () => {
  it('calls in flight finish first, and every later one is EVAQ_CLOSED', async () => {
    const evaq = await openReal();
    const first = await evaq.wal.push('first');
    const inFlight = [
      evaq.wal.push('a'),
      evaq.wal.pushMany(['b', 'c']),
      evaq.wal.remove(first),
      evaq.wal.get(first),
      evaq.wal.read(),
      evaq.deadLetters.push('d'),
    ];
    const closing = evaq.close();
    expect(evaq.shutdown()).toBe(closing);
    const outcomes = await Promise.allSettled(inFlight);
    expect(outcomes.map(({ status }) => status)).toEqual(outcomes.map(() => 'fulfilled'));
    await closing;
    const { wal } = evaq;
    const calls: (() => Promise<unknown>)[] = [
      () => wal.push('x'),
      () => wal.pushMany(['x']),
      async () => wal.pushSync('x'),
      () => wal.get(1),
      () => wal.pop(1),
      () => wal.read(),
      () => wal.remove(1),
      () => wal.removeMany([1]),
      () => wal.removeThrough(1),
      () => wal.flush(),
      () => wal.compact(),
      () => wal.records().next(),
      () => evaq.queue('jobs'),
      () => evaq.queue('wal'),
      () => evaq.deadLetter(2, { reason: 'x' }),
      () => evaq.redrive([1]),
      () => evaq.doneRetryItems([1]),
      () => evaq.firstNBytesFromDeadLetterQueue(0, 10),
    ];
    for (const call of calls) await rejection(call(), 'EVAQ_CLOSED');
    await evaq.close();
    const again = await openReal({}, evaq.path);
    expect(await contentOf(again.wal)).toEqual({ 2: 'a', 3: 'b', 4: 'c' });
    expect(again.recovery.clean).toBe(true);
  });

  it('await using closes at the end of the block', async () => {
    const path = newPath();
    {
      await using evaq = await Evaq.open(path);
      await evaq.pushWal('x');
    }
    await openReal({}, path);
  });

  it('P5: opening and closing without any work changes no queue and piles up no files', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { segmentBytes: 64 * 1024 });
    for (let i = 0; i < 5; i++) await evaq.wal.push(Buffer.alloc(40_000, i));
    await evaq.wal.remove(2);
    await (await evaq.queue('other')).push('x');
    await evaq.close();
    let files = -1;
    for (let round = 0; round < 4; round++) {
      const again = await openSim(disk);
      expect(again.recovery).toMatchObject({ clean: true, damage: [] });
      expect(await idsOf(again.wal)).toEqual([1, 3, 4, 5]);
      await again.close();
      const now = disk.tree().split('\n').length;
      if (files >= 0) expect(now).toBeLessThanOrEqual(files);
      files = now;
    }
    expect(disk.violations).toEqual([]);
    expect(SIM_PATH).toBe(evaq.path);
  });
});
