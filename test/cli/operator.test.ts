/** What an operator asks of a store: why, info, doctor. */
import { execFileSync } from 'node:child_process';
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { inodeFinding, spaceFinding } from '../../src/cli/doctor/file-system.js';
import { isAtLeast } from '../../src/cli/doctor/machine.js';
import { judgeSyncs } from '../../src/cli/doctor/sync-probe.js';
import { formatAge, formatDuration } from '../../src/cli/durations.js';
import { expandGlobs } from '../../src/cli/globs.js';
import { Evaq } from '../../src/evaq.js';
import { snapshotOf } from '../unit/raw/support/disk.js';
import { cliPath, evaq, finished, startEvaq } from './support/evaq-cli.js';

beforeAll(async () => {
  await cliPath();
});

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-ops-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'store');
}

async function drained(store: string): Promise<void> {
  await using library = await Evaq.open(store, { segmentBytes: 64 * 1024, gc: false });
  for (let i = 0; i < 6; i++) await library.wal.pushMany(Array.from({ length: 50 }, () => 'x'.repeat(1000)));
  await library.wal.removeMany(Array.from({ length: 110 }, (_, i) => i + 1));
  await library.deadLetter(300, { reason: 'no route' });
}

describe('why', () => {
  test('has a line for each segment, says what keeps it, adds up to du, and changes nothing', async () => {
    const store = temporary();
    await drained(store);
    const before = snapshotOf(store);
    const { code, stdout, stderr } = await evaq(['why', store, '--segment-bytes', '64K']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const text = stdout.toString();
    expect(text).toMatch(/^ +101 to 150 .* 40 +10 .* 111 +keep it: 80 % live$/m);
    const json: { total: { diskBytes: number } } = JSON.parse((await evaq(['why', store, '--json'])).stdout.toString());
    const du = execFileSync('du', ['-s', '--block-size=1', store], { encoding: 'utf8' });
    expect(json.total.diskBytes).toBe(Number.parseInt(du, 10));
    expect(snapshotOf(store)).toEqual(before);
  });
});

describe('why, of a width', () => {
  test.each([undefined, 80, 56])('of COLUMNS %s fits it, also with long IDs', async (columns) => {
    const store = temporary();
    await drained(store);
    const options = { env: { ...process.env, COLUMNS: columns === undefined ? undefined : `${columns}` } };
    const { code, stdout } = await finished(await startEvaq(['why', store, '--segment-bytes', '64K'], options));
    expect(code).toBe(0);
    const lines = stdout.toString().trimEnd().split('\n');
    expect(lines.slice(1).filter((line) => line.length > (columns ?? 80))).toEqual([]);
    expect(stdout.toString()).toContain('101 to 150');
  });
});

describe('info', () => {
  test('fits 80 columns, tells of several stores and patterns, and of quarantine, backups and what is not its own', async () => {
    const store = temporary();
    await drained(store);
    const other = join(dirname(store), 'store-2');
    await evaq(['push', other, '-q', 'a-queue-of-a-name-that-is-rather-long-for-a-table'], 'a\n');
    execFileSync('mkdir', [join(store, 'queues/wal/quarantine'), join(store, '.evaq-backup-x')]);
    writeFileSync(join(store, 'queues/wal/quarantine/x'), 'x');
    writeFileSync(join(store, '.evaq-backup-x/x'), 'x');
    writeFileSync(join(store, 'notes'), 'x');
    const { code, stdout } = await evaq(['info', `${dirname(store)}/st*`]);
    expect(code).toBe(0);
    const text = stdout.toString();
    const wide = text.split('\n').filter((line) => line.length > 80 && !line.includes(dirname(store)));
    expect(wide).toEqual([]);
    expect(text).toMatch(/^quarantine +1 file, \d/m);
    expect(text).toMatch(/^backups +1 file, /m);
    expect(text).toMatch(/^others +1 file, /m);
    expect(text).toContain(`store      ${store}\n`);
    expect(text).toContain(`store      ${other}\n`);
    const json: unknown = JSON.parse((await evaq(['info', store, other, '--json'])).stdout.toString());
    expect(json).toMatchObject([{ path: store }, { path: other }]);
    const missing = await evaq(['info', join(dirname(store), 'none'), store]);
    expect(missing).toMatchObject({ code: 1 });
    expect(missing.stderr).toContain('EVAQ_NOT_A_STORE');
    expect(missing.stdout.toString()).toContain(store);
  });

  test('says what is wrong with a store whose STORE is gone, and still how large it is', async () => {
    const store = temporary();
    await drained(store);
    unlinkSync(join(store, 'STORE'));
    const { code, stdout, stderr } = await evaq(['info', store]);
    expect({ code, stderr }).toEqual({ code: 3, stderr: '' });
    expect(stdout.toString()).toContain('state      cannot be opened: the file STORE is missing');
    expect(stdout.toString()).toMatch(/on disk +\d/);
  });

  test('--watch looks again, tells how fast records come, and ends with 130', async () => {
    const store = temporary();
    await using library = await Evaq.open(store);
    await library.pushWal('a');
    const child = await startEvaq(['info', store, '--watch', '0.2']);
    const result = finished(child);
    let seen = 0;
    child.stdout?.on('data', (chunk: Buffer) => {
      seen += chunk.toString().split('store   ').length - 1;
    });
    while (seen < 3 && child.exitCode === null) {
      await library.wal.pushMany(['b', 'c', 'd']);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    child.kill('SIGINT');
    const { code, stdout, stderr } = await result;
    expect({ code, stderr }).toEqual({ code: 130, stderr: '' });
    const looks = stdout.toString().split('\n\nstore ');
    expect(looks.length).toBeGreaterThan(2);
    expect(looks.at(-1)).toMatch(/^wal .* \d+(\.\d)?$/m);
  });

  test('patterns stand for what is there; a name that is there is no pattern', () => {
    const folder = dirname(temporary());
    for (const name of ['a1', 'a2', 'b1', 'a*', '.a3']) execFileSync('mkdir', ['-p', join(folder, name, 'store')]);
    const found = (pattern: string): string[] =>
      expandGlobs([`${folder}/${pattern}`]).map((path) => path.slice(folder.length + 1));
    expect(found('a?')).toEqual(['a*', 'a1', 'a2']);
    expect(found('?1/st*')).toEqual(['a1/store', 'b1/store']);
    expect(found('a*')).toEqual(['a*']);
    expect(found('.a*')).toEqual(['.a3']);
    expect(found('c*')).toEqual(['c*']);
    expect(found('[a-c]1')).toEqual(['a1', 'b1']);
    expect(found('[ac]1/[r-t]t*')).toEqual(['a1/store']);
    expect(found('a[!1]')).toEqual(['a*', 'a2']);
    expect(found('a[^1*]')).toEqual(['a2']);
    expect(found('a[*]')).toEqual(['a*']);
    expect(found('a[]1]')).toEqual(['a1']);
    expect(found('a[2-1]')).toEqual(['a[2-1]']);
    expect(found('[a1')).toEqual(['[a1']);
    expect(found('[!a]*')).toEqual(['b1']);
  });
});

describe('doctor', () => {
  test('looks at the machine and the disk, and leaves nothing behind', async () => {
    const store = temporary();
    await evaq(['push', store], 'a\n');
    const before = snapshotOf(dirname(store)).map((line) => line.split(' ')[0]);
    const result = await evaq(['doctor', store, '--json']);
    const { v, findings }: { v: number; findings: { subject: string; verdict: string }[] } = JSON.parse(
      result.stdout.toString(),
    );
    expect(v).toBe(1);
    expect(findings.map(({ subject }) => subject)).toEqual([
      'Node.js',
      'locks',
      'descriptors',
      'file system',
      'free space',
      'free inodes',
      'sync',
      'store',
    ]);
    expect(result.code).toBe(findings.some(({ verdict }) => verdict === 'fails') ? 1 : 0);
    expect(snapshotOf(dirname(store)).map((line) => line.split(' ')[0])).toEqual(before);
    const quiet = await evaq(['doctor', store, '--no-write']);
    expect(quiet.stdout.toString()).not.toMatch(/sync /);
  });

  test('within a store it looks at that store, and puts nothing into it', async () => {
    const store = temporary();
    await evaq(['push', store], 'a\n');
    unlinkSync(join(store, 'STORE'));
    writeFileSync(join(store, 'STORE'), 'x');
    const before = statSync(store).mtimeMs;
    const { code, stdout } = await finished(await startEvaq(['doctor'], { cwd: store }));
    expect(code).toBe(1);
    expect(stdout.toString()).toMatch(/^bad +store/m);
    expect(statSync(store).mtimeMs).toBe(before);
  });

  test.skipIf(!existsSync('/dev/shm'))('a disk that is memory is found out by its name and by its speed', async () => {
    const folder = mkdtempSync('/dev/shm/evaq-ops-');
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const { code, stdout } = await evaq(['doctor', join(folder, 'store')]);
    expect(code).toBe(1);
    expect(stdout.toString()).toMatch(/^bad +file system +tmpfs/m);
    expect(stdout.toString()).toMatch(/^bad +sync .*\n +That is too fast to be true/m);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('judges what it has measured', () => {
    expect(judgeSyncs({ medianUs: 2, slowestUs: 9, count: 64 }).verdict).toBe('fails');
    expect(judgeSyncs({ medianUs: 900, slowestUs: 9000, count: 64 })).toMatchObject({
      verdict: 'ok',
      says: '900 µs (median of 64), 9.0 ms at most',
    });
    expect(judgeSyncs({ medianUs: 90_000, slowestUs: 90_000, count: 30 }).verdict).toBe('warns');
    const GIB = 2 ** 30;
    expect(spaceFinding(100 * GIB, 200 * GIB).verdict).toBe('ok');
    expect(spaceFinding(GIB, 200 * GIB).verdict).toBe('warns');
    expect(spaceFinding(1000, 200 * GIB).verdict).toBe('fails');
    expect(inodeFinding(0, 0).verdict).toBe('ok');
    expect(inodeFinding(10, 1000).verdict).toBe('fails');
    expect(isAtLeast('20.19.0', '20.19')).toBe(true);
    expect(isAtLeast('20.9.0', '20.19')).toBe(false);
    expect(isAtLeast('22.0.0', '20.19')).toBe(true);
  });
});

describe('backup, restore and compact', () => {
  test('a backup beside a writer is a store; restoring says first what it comes to', async () => {
    const store = temporary();
    const [backup, restored] = [join(dirname(store), 'backup'), join(dirname(store), 'restored')];
    await using library = await Evaq.open(store, { segmentBytes: 64 * 1024 });
    for (let i = 0; i < 4; i++) await library.wal.pushMany(Array.from({ length: 50 }, () => 'x'.repeat(1000)));
    await library.wal.remove(7);
    const made = await evaq(['backup', store, backup]);
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(made.stdout.toString()).toMatch(/^backup {5}.*: 199 live records in 2 queues, as of /);
    expect(made.stdout.toString()).toMatch(/shared with the store/);
    expect((await evaq(['backup', store, backup])).code).toBe(1);
    await library.wal.removeThrough(200);

    const told = await evaq(['restore', backup, restored]);
    expect(told).toMatchObject({ code: 0, stderr: 'evaq: nothing was changed; --yes does it\n' });
    expect(told.stdout.toString()).toContain('wal: 199 records');
    expect(existsSync(restored)).toBe(false);
    const done = await evaq(['restore', backup, restored, '--yes']);
    expect(done).toMatchObject({ code: 0, stderr: '' });
    expect((await evaq(['verify', restored, '--strict'])).stdout.toString()).toMatch(/^intact: /);
    expect((await evaq(['get', restored, '7'])).code).toBe(6);
    expect((await evaq(['get', restored, '8'])).code).toBe(0);
    expect((await evaq(['restore', backup, store, '--yes'])).code).toBe(1);

    const json = await evaq(['backup', restored, join(dirname(store), 'copy'), '--copy', '--json']);
    expect(JSON.parse(json.stdout.toString())).toMatchObject({ v: 1, linkedFiles: 0 });
  });

  test('P8: what is pushed after a restore has no ID that the lost ones had; onto what is there nothing is even planned', async () => {
    const store = temporary();
    const [backup, restored] = [join(dirname(store), 'backup'), join(dirname(store), 'restored')];
    {
      await using library = await Evaq.open(store);
      await library.wal.pushMany(['a', 'b', 'c']);
      await library.deadLetter(1, { reason: 'x' });
    }
    expect((await evaq(['backup', store, backup])).code).toBe(0);
    const refused = await evaq(['restore', backup, store]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(/^evaq: .*store holds something/) });
    expect((await evaq(['restore', backup, restored, '--yes'])).code).toBe(0);
    expect((await evaq(['verify', restored, '--strict'])).code).toBe(0);
    await using library = await Evaq.open(restored);
    expect(library.recovery.damage).toEqual([]);
    expect(await library.wal.push('new')).toBeGreaterThan(2 ** 29);
    expect(await library.deadLetters.push('new')).toBeGreaterThan(2 ** 29);
    expect(await library.wal.get(2)).toBeDefined();
  });

  test('what is made is as the store is, and belongs to whom its folder belongs to', async () => {
    const store = temporary();
    await (await Evaq.open(store, { mode: 0o660 })).close();
    const place = (name: string): string => {
      const folder = join(dirname(store), name);
      mkdirSync(folder, { mode: 0o750 });
      if (process.getuid?.() === 0) chownSync(folder, 1000, 1001);
      return folder;
    };
    const restored = place('restored');
    const imported = place('imported');
    expect((await evaq(['restore', store, restored, '--yes'])).code).toBe(0);
    const { stdout } = await evaq(['export', store]);
    expect((await evaq(['import', imported], stdout)).code).toBe(0);
    const owner = process.getuid?.() === 0 ? { uid: 1000, gid: 1001 } : {};
    expect(statSync(imported).mode & 0o777).toBe(0o750);
    for (const [folder, mode] of [
      [restored, 0o660],
      [imported, 0o600],
    ] as const) {
      const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name));
      expect(files.length).toBeGreaterThan(5);
      for (const file of files) {
        const stat = statSync(file);
        expect(stat).toMatchObject(owner);
        if (stat.isFile()) expect(stat.mode & 0o777).toBe(mode);
      }
    }
  });

  test('a backup that fails removes what it has made, and nothing else', async () => {
    const store = temporary();
    const to = join(dirname(store), 'to');
    await evaq(['push', store], 'abc\n');
    symlinkSync(join(dirname(store), 'not-mounted'), to);
    expect((await evaq(['backup', store, to])).code).toBe(1);
    expect(readlinkSync(to)).toBe(join(dirname(store), 'not-mounted'));
    unlinkSync(to);
    const dir = join(store, 'queues/wal');
    const segment = join(dir, readdirSync(dir).find((name) => name.endsWith('.seg')) ?? '');
    const bytes = readFileSync(segment);
    bytes.writeUInt8(bytes.readUInt8(128 + 48 + 2) ^ 1, 128 + 48 + 2);
    writeFileSync(segment, bytes);
    expect((await evaq(['backup', store, to])).code).toBe(3);
    expect(existsSync(to)).toBe(false);
    mkdirSync(to);
    expect((await evaq(['backup', store, to])).code).toBe(3);
    expect(readdirSync(to)).toEqual([]);
  });

  test('compact gives back what removed records took, and says how much that was', async () => {
    const store = temporary();
    await drained(store);
    const du = (): number =>
      Number.parseInt(execFileSync('du', ['-s', '--block-size=1', store], { encoding: 'utf8' }), 10);
    const before = du();
    const { code, stdout, stderr } = await evaq(['compact', store, '--json']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout.toString())).toMatchObject({ v: 1, diskBytesBefore: before, diskBytesAfter: du() });
    expect(du()).toBeLessThan(before);
    expect((await evaq(['compact', store, '-q', 'none'])).code).toBe(6);
    expect((await evaq(['cat', store])).stdout.toString().split('\n').length).toBe(190);
  });
});

test('stretches of time are said as people do', () => {
  const said = [0, 1500, 119_000, 121_000, 3 * 3_600_000, 50 * 3_600_000].map(formatDuration);
  expect(said).toEqual(['0 s', '1 s', '119 s', '2 min', '3 h', '2 d']);
  expect(formatAge(1000, 500)).toBe('just now');
  expect(formatAge(0, 60_000)).toBe('60 s ago');
  expect(formatAge(90_000, 0)).toBe('in 90 s');
});
