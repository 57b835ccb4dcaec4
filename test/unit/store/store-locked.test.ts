/** Who is turned away by a store that is open already, what he is told, and how long he waits. */
import { execFileSync } from 'node:child_process';
import { readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { scriptName } from '../../../src/store/store-lock.js';
import { nodeHost } from '../../../src/vfs/node-host.js';
import { nodeVfs } from '../../../src/vfs/node-vfs.js';
import { HAS_FLOCK, whileHeld } from './lock-holder.js';
import { callUntyped, newDisk, newPath, openReal, openSim, passTime, rejection, SIM_PATH } from './store-fixture.js';

describe('a store that is open', () => {
  test('in this process is said to be, and nobody is told to stop it', async () => {
    const openedMs = Date.UTC(2026, 0, 2, 3, 4, 5);
    const evaq = await openReal({ ports: { vfs: nodeVfs, host: { ...nodeHost, now: () => openedMs } } });
    const details = { path: evaq.path, pid: process.pid, host: hostname(), since: '2026-01-02T03:04:05.000Z' };
    const error = await rejection(Evaq.open(evaq.path), 'EVAQ_LOCKED', details);
    expect(error.message).toContain(`in this very process, pid ${process.pid} since 2026-01-02T03:04:05.000Z`);
    expect(error.hint).not.toMatch(/stop it/i);
    expect(error.hint).toMatch(/close it there first/i);
    await evaq.close();
    await openReal({}, evaq.path);
  });

  test.each(['fs-native-extensions', ...(HAS_FLOCK ? ['fs-ext'] : [])])(
    'in another process names it, which sets it free by dying: %s',
    async (by) => {
      const evaq = await openReal();
      await evaq.close();
      const holder = { pid: 4242, script: 'worker.js', since: '2026-01-02T03:04:05.000Z', host: 'there' };
      await whileHeld(join(evaq.path, 'LOCK'), by, JSON.stringify(holder), async () => {
        const error = await rejection(Evaq.open(evaq.path), 'EVAQ_LOCKED', holder);
        expect(error.message).toContain('pid 4242 (worker.js) since 2026-01-02T03:04:05.000Z');
        expect(error.hint).toMatch(/^Stop it/);
      });
      await openReal({}, evaq.path);
    },
  );

  test.skipIf(!HAS_FLOCK)(
    'is not said to be held by whom the note names, if he is gone, or is this process before it had the pid',
    async () => {
      const evaq = await openReal();
      await evaq.close();
      const gone = Number(execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }));
      for (const pid of [gone, process.pid]) {
        // A backup script with flock(1) writes no note.
        writeFileSync(join(evaq.path, 'LOCK'), JSON.stringify({ pid, host: hostname(), script: 'earlier.js' }));
        await whileHeld(join(evaq.path, 'LOCK'), 'fs-ext', undefined, async () => {
          const error = await rejection(Evaq.open(evaq.path), 'EVAQ_LOCKED');
          expect(error.message).toMatch(/open for writing by another process$/);
          expect(error.details).toEqual({ path: evaq.path });
        });
      }
    },
  );

  test('shows no command line of its holder, also of one that wrote it down', async () => {
    const evaq = await openReal();
    await evaq.close();
    const note = JSON.stringify({
      pid: 4242,
      host: 'there',
      command: 'node app.js --password=geheim',
      script: '/srv/geheim/app.js',
    });
    await whileHeld(join(evaq.path, 'LOCK'), 'fs-native-extensions', note, async () => {
      const error = await rejection(Evaq.open(evaq.path), 'EVAQ_LOCKED', { pid: 4242, script: 'app.js' });
      expect(JSON.stringify([error.message, error.details])).not.toContain('geheim');
    });
  });

  test('with a torn note is known to be open all the same', async () => {
    const evaq = await openReal();
    await evaq.close();
    for (const torn of ['', '{"pid": 1', '[]', 'null', '{"pid":"x","since":7}']) {
      await whileHeld(join(evaq.path, 'LOCK'), 'fs-native-extensions', torn, async () => {
        expect((await rejection(Evaq.open(evaq.path), 'EVAQ_LOCKED')).message).toContain('another process');
      });
    }
  });

  test.each(['real', 'simulated'])('lets no second writer in where LOCK was deleted: %s disk', async (kind) => {
    const disk = newDisk();
    const evaq = kind === 'real' ? await openReal() : await openSim(disk);
    await evaq.pushWal('x');
    if (kind === 'real') unlinkSync(join(evaq.path, 'LOCK'));
    else disk.remove(join(evaq.path, 'LOCK'));
    const second = (): Promise<Evaq> =>
      kind === 'real' ? openReal({}, evaq.path) : Evaq.open(evaq.path, { ports: disk.spawn() });
    await rejection(second(), 'EVAQ_LOCKED');
    // Nobody wrote into a lock that he did not get.
    if (kind === 'real') expect(readFileSync(join(evaq.path, 'LOCK'), 'utf8')).toBe('');
    // The next may come from a system that cannot see the other locks: so the first one stops, too.
    await rejection(evaq.close(), 'EVAQ_FAILED');
    const next = await second();
    expect(next.wal.size).toBe(1);
    await next.close();
  });
});

describe('the note in LOCK', () => {
  test('holds pid, boot, host, time and the name of the script, and nothing else', async () => {
    const evaq = await openReal();
    const note: unknown = JSON.parse(readFileSync(join(evaq.path, 'LOCK'), 'utf8'));
    expect(note).toEqual({
      pid: process.pid,
      host: hostname(),
      bootId: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d$/),
      since: expect.stringMatching(/Z$/),
      script: basename(process.argv[1] ?? ''),
    });
  });

  test('on a simulated disk tells nothing of the real process: one seed leaves the same bytes everywhere', async () => {
    const disk = newDisk();
    await openSim(disk);
    expect(JSON.parse(Buffer.from(disk.read(`${SIM_PATH}/LOCK`) ?? []).toString())).toEqual({
      pid: 1,
      host: 'simulated-1',
      bootId: '',
      since: expect.stringMatching(/^2026-01-01T/),
      script: '',
    });
  });

  test.each<[string | undefined, readonly string[], string]>([
    ['/srv/app/main.js', [], 'main.js'],
    ['/srv/app/main.js', ['--enable-source-maps'], 'main.js'],
    // Arguments: after -e there is no script, however they look.
    ['--password=geheim', [], ''],
    ['geheim', ['-e', 'code'], ''],
    ['/geheim', ['-e', 'code'], ''],
    ['/geheim', ['--eval=code'], ''],
    ['/geheim', ['-pe', 'code'], ''],
    ['-', [], ''],
    ['[worker eval]', [], ''],
    [undefined, [], ''],
    [`/srv/${'x'.repeat(300)}`, [], 'x'.repeat(100)],
  ])('%s after %j is the script %j', (script, execArgv, name) => {
    expect(scriptName(script, execArgv)).toBe(name);
  });
});

describe('lockTimeoutMs', () => {
  test('who waits gets in when the holder has closed, with all that was acknowledged', async () => {
    const disk = newDisk();
    const first = await openSim(disk);
    await first.wal.push('x');
    const second = Evaq.open(SIM_PATH, { ports: disk.spawn(), lockTimeoutMs: 10_000 });
    let isIn = false;
    void second.then(() => {
      isIn = true;
    });
    await passTime(disk, 3000);
    expect(isIn).toBe(false);
    await first.wal.push('y');
    await first.close();
    const closedAt = disk.host.elapsed();
    const evaq = await second;
    expect(disk.host.elapsed() - closedAt).toBeLessThan(200);
    expect(evaq.wal.size).toBe(2);
    await evaq.close();
    expect(disk.openHandles()).toEqual([]);
  });

  test('and when the holder was killed', async () => {
    const disk = newDisk();
    const { vfs, host } = disk.spawn();
    const holder = disk.spawn();
    await Evaq.open(SIM_PATH, { ports: holder });
    const second = Evaq.open(SIM_PATH, { ports: { vfs, host }, lockTimeoutMs: 10_000 });
    host.after(500, () => holder.kill());
    await (await second).close();
  });

  test('who waits in vain is told so after that time, and has asked a bounded number of times', async () => {
    const disk = newDisk();
    const first = await openSim(disk);
    const tries = (): number => disk.calls.filter(({ name, path }) => name === 'lock' && path.endsWith('LOCK')).length;
    const before = tries();
    const at = disk.host.elapsed();
    const error = await rejection(Evaq.open(SIM_PATH, { ports: disk.spawn(), lockTimeoutMs: 2000 }), 'EVAQ_LOCKED');
    expect(error.message).toContain('2000 ms');
    const took = disk.host.elapsed() - at;
    expect(took).toBeGreaterThanOrEqual(2000);
    expect(took).toBeLessThan(2010);
    expect(tries() - before).toBeGreaterThan(10);
    expect(tries() - before).toBeLessThan(40);
    await first.close();
    expect(disk.openHandles()).toEqual([]);
  });

  test('without it nobody waits', async () => {
    const disk = newDisk();
    const first = await openSim(disk);
    const at = disk.host.elapsed();
    await rejection(Evaq.open(SIM_PATH, { ports: disk.spawn() }), 'EVAQ_LOCKED');
    expect(disk.host.elapsed() - at).toBeLessThan(5);
    await first.close();
  });

  test('wrong values are refused', async () => {
    const path = newPath();
    const open = (lockTimeoutMs: unknown): Promise<unknown> => callUntyped(Evaq, 'open', path, { lockTimeoutMs });
    for (const wrong of ['5', false, {}, 5n])
      await expect(open(wrong)).rejects.toThrow(/^lockTimeoutMs must be a number/);
    for (const wrong of [-1, 1.5, Number.NaN, Infinity])
      await expect(open(wrong)).rejects.toThrow(/^lockTimeoutMs must be a whole number of at least 0/);
  });
});
