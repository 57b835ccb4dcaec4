/**
 * Whom what is made belongs to, and who may use it: a tool that root runs keeps nobody from his own store. Needs root, who can be anybody: where the
 * tests run as somebody else, only modes are looked at.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { dirModeOf } from '../../../src/vfs/node-access.js';
import { callUntyped, newPath, openReal } from '../store/store-fixture.js';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '..', '..', '..');
const isRoot = process.geteuid?.() === 0;
/** A user and a group that own nothing, and another group. */
const SERVICE = 64_001;
const READERS = 64_002;

/** Every file and folder of a store, with its mode and owner. */
function entriesOf(path: string): { name: string; mode: number; uid: number; gid: number; isDir: boolean }[] {
  const names = ['', ...readdirSync(path, { recursive: true, encoding: 'utf8' })];
  return names.map((name) => {
    const stat = lstatSync(join(path, name));
    return { name, mode: stat.mode & 0o777, uid: stat.uid, gid: stat.gid, isDir: stat.isDirectory() };
  });
}

/** Rolls, removes, collects and moves, so that files of each kind are made. */
async function work(evaq: Evaq): Promise<void> {
  const jobs = await evaq.queue('jobs');
  for (const queue of [evaq.wal, jobs]) {
    const ids: number[] = [];
    for (let i = 0; i < 4; i++) ids.push(await queue.push(Buffer.alloc(40_000)));
    const [first = 0, second = 0, third = 0] = ids;
    await queue.remove(first);
    await queue.deadLetter(second, { reason: 'x' });
    await queue.removeThrough(third);
    await queue.compact();
  }
}

const SMALL = { segmentBytes: 64 * 1024, recycleSegments: 1 };

describe('mode', () => {
  it('0600 if nothing is said; 0640 lets a group read, whatever the umask; the next open keeps to it', async () => {
    const umask = process.umask(0o077);
    try {
      const evaq = await openReal(SMALL);
      await work(evaq);
      for (const { name, mode, isDir } of entriesOf(evaq.path)) expect(mode, name).toBe(isDir ? 0o700 : 0o600);
      const path = newPath();
      for (const options of [{ ...SMALL, mode: 0o640 }, SMALL]) {
        const shared = await Evaq.open(path, options);
        await work(shared);
        await shared.close();
        for (const { name, mode, isDir } of entriesOf(path)) expect(mode, name).toBe(isDir ? 0o750 : 0o640);
      }
    } finally {
      process.umask(umask);
    }
  });

  it('that says something else is refused, and nothing is made', async () => {
    const path = newPath();
    await expect(callUntyped(Evaq, 'open', path, { mode: '640' })).rejects.toThrow(TypeError);
    for (const mode of [640, 0o644 + 0o111, 0o400, 0o040, -1, 0.5, Number.NaN, 0o1600, 2 ** 31]) {
      await expect(Evaq.open(path, { mode }), String(mode)).rejects.toThrow(/mode must let the owner read and write/);
      await expect(Evaq.open(path, { mode })).rejects.toThrow(RangeError);
    }
    expect(() => statSync(path)).toThrow(/ENOENT/);
  });

  it('of folders: who may read may enter', () => {
    expect([0o600, 0o640, 0o660, 0o644, 0o666].map((mode) => dirModeOf(mode).toString(8))).toEqual([
      '700',
      '750',
      '770',
      '755',
      '777',
    ]);
  });
});

describe.skipIf(!isRoot)('owner (needs root)', () => {
  let program = '';
  let folder = '';

  beforeAll(async () => {
    // Within the project, so that the bundle finds the packages.
    program = join(mkdtempSync(join(ROOT, 'node_modules', '.access-')), 'evaq.mjs');
    await build({
      entryPoints: [join(ROOT, 'src', 'evaq.ts')],
      outfile: program,
      bundle: true,
      platform: 'node',
      target: 'node20.19',
      format: 'esm',
      packages: 'external',
      logLevel: 'silent',
    });
    folder = mkdtempSync(join(tmpdir(), 'evaq-access-'));
    chmodSync(folder, 0o755);
  });
  afterAll(() => {
    rmSync(dirname(program), { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
  });

  /** What a program as that user says, which has `Evaq` and `path`. */
  function runAs(user: { uid: number; gid: number; groups?: readonly number[] }, path: string, code: string): string {
    // It is loaded before the user is changed: the sources need not be his to read.
    const script = `
      const { Evaq } = await import(${JSON.stringify(program)});
      await (await Evaq.open(${JSON.stringify(join(folder, 'warm-up'))})).close();
      process.setgroups(${JSON.stringify(user.groups ?? [user.gid])});
      process.setgid(${user.gid});
      process.setuid(${user.uid});
      const path = ${JSON.stringify(path)};
      const options = { segmentBytes: 64 * 1024 };
      try { ${code} } catch (error) { console.log(error.code ?? error.name); }`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    return stdout.trim() || stderr;
  }

  const service = { uid: SERVICE, gid: SERVICE };
  const PUSH = `const evaq = await Evaq.open(path, options);
    for (let i = 0; i < 4; i++) await evaq.wal.push(Buffer.alloc(40_000));
    const { size } = evaq.wal; await evaq.close(); console.log(size);`;

  /** The folder of a store, which is the service's. */
  function newFolder(name: string, gid: number = SERVICE, mode: number = 0o700): string {
    const path = join(folder, name);
    mkdirSync(path);
    chownSync(path, SERVICE, gid);
    chmodSync(path, mode);
    return path;
  }

  it('a store that root has worked on belongs to its service as before, which opens it and goes on', async () => {
    const path = newFolder('service');
    expect(runAs(service, path, PUSH)).toBe('4');
    const evaq = await Evaq.open(path, SMALL);
    await work(evaq);
    const left = evaq.wal.size;
    await evaq.close();
    for (const { name, uid, gid } of entriesOf(path)) expect([uid, gid], name).toEqual([SERVICE, SERVICE]);
    expect(runAs(service, path, PUSH)).toBe(String(left + 4));
  });

  it('a store that root makes in the empty folder of a service is the service’s', async () => {
    const path = newFolder('empty');
    await (await Evaq.open(path)).close();
    for (const { name, uid } of entriesOf(path)) expect(uid, name).toBe(SERVICE);
    expect(runAs(service, path, PUSH)).toBe('4');
  });

  it('a store that is not there yet belongs to whoever makes it', async () => {
    const path = join(newFolder('home'), 'new');
    await (await Evaq.open(path)).close();
    for (const { name, uid } of entriesOf(path)) expect(uid, name).toBe(0);
  });

  it('who may not give away what he makes is refused, before anything is made', () => {
    const path = newFolder('foreign', SERVICE, 0o777);
    const before = entriesOf(path);
    expect(runAs({ uid: SERVICE + 7, gid: SERVICE + 7 }, path, PUSH)).toBe('EVAQ_NOT_OWNER');
    expect(entriesOf(path)).toEqual(before);
  });

  it('a folder that root made for whoever may write there is used by whoever does', () => {
    const path = join(folder, 'volume');
    mkdirSync(path);
    chmodSync(path, 0o777);
    expect(runAs(service, path, PUSH)).toBe('4');
    expect(runAs(service, path, PUSH)).toBe('8');
  });

  it('two users of a group share a store whose mode says so, and a reader of the group reads one that says that', () => {
    const shared = newFolder('shared', READERS, 0o770);
    const withMode = PUSH.replace('options)', '{ ...options, mode: 0o660 })');
    const groups = [READERS];
    expect(runAs({ ...service, groups }, shared, withMode)).toBe('4');
    expect(runAs({ uid: SERVICE + 7, gid: SERVICE + 7, groups }, shared, withMode)).toBe('8');
    expect(runAs({ ...service, groups }, shared, withMode)).toBe('12');

    const read = newFolder('read', READERS, 0o750);
    expect(runAs({ ...service, groups }, read, PUSH.replace('options)', '{ ...options, mode: 0o640 })'))).toBe('4');
    // A tool that knows nothing of the mode keeps to it.
    expect(runAs({ uid: 0, gid: 0 }, read, PUSH)).toBe('8');
    const reading = `const reader = await Evaq.openReadOnly(path);
      console.log((await reader.wal.read({ maxRecords: 9 })).length); await reader.close();`;
    expect(runAs({ uid: SERVICE + 8, gid: SERVICE + 8, groups }, read, reading)).toBe('8');
    expect(runAs({ uid: SERVICE + 9, gid: SERVICE + 9 }, read, reading)).toBe('EVAQ_IO');
  });

  it('a mode for a group that this process is not in is refused', () => {
    const path = newFolder('other-group', READERS);
    const withMode = PUSH.replace('options)', '{ ...options, mode: 0o640 })');
    expect(runAs(service, path, withMode)).toBe('EVAQ_NOT_OWNER');
    expect(runAs(service, path, PUSH)).toBe('4');
  });
});
