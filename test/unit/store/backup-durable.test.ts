/** P1: a backup that a power cut interrupts is no store, or is all of it; and when it has resolved all of it is durable. */
import { expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { backUpStore } from '../../../src/store/store-backup.js';
import { contentOf, newDisk, openSim, SIM_PATH } from './store-fixture.js';

const TO = '/backup';
const NOTE = { pid: 1, host: 'h', bootId: 'b', since: '', script: 'backup' };
const CONTENT = { 2: 'b', 3: 'c' };

async function isStore(disk: SimDisk): Promise<boolean> {
  const entries = await disk.vfs.list(TO).catch(() => []);
  return entries.some(({ name }) => name === 'STORE');
}

async function expectWhole(disk: SimDisk): Promise<void> {
  const evaq = await Evaq.open(TO, { ports: { vfs: disk.vfs, host: disk.host }, create: false });
  expect(evaq.recovery.damage).toEqual([]);
  expect(await contentOf(evaq.wal)).toEqual(CONTENT);
  expect(await contentOf(await evaq.queue('other'))).toEqual({ 1: 'x' });
  expect(await evaq.wal.checkpoint('file')).toBe(7);
}

test('P1: at every instant it is no store, or all of it', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  await evaq.wal.pushMany(['a', 'b', 'c'], { checkpoint: { source: 'file', position: 6 } });
  await evaq.wal.pushMany([], { checkpoint: { source: 'file', position: 7 } });
  await evaq.wal.remove(1);
  await (await evaq.queue('other')).push('x');
  const instants: SimDisk[] = [];
  const stop = disk.observe(({ phase, call }) => {
    const isAt = call.path.startsWith(TO) && /^(?:sync|syncDir|rename|create)$/.test(call.name);
    if (phase === 'ack' && isAt) instants.push(disk.fork());
  });
  await backUpStore(SIM_PATH, TO, { vfs: disk.vfs, host: disk.host, lockNote: NOTE, links: false });
  stop();
  let whole = 0;
  for (const [i, instant] of instants.entries()) {
    for (const choice of [instant.nothingSurvives(), ...(i % 4 === 0 ? [instant.drawCrash(1)] : [])]) {
      const after = instant.crash(choice);
      if (!(await isStore(after))) continue;
      whole++;
      await expectWhole(after);
    }
  }
  expect(whole).toBeGreaterThan(2);
  expect(whole).toBeLessThan(2 * instants.length);
  const done = disk.crash(disk.nothingSurvives());
  expect(await isStore(done)).toBe(true);
  await expectWhole(done);
  await evaq.close();
});

test('P1: one that fails when it is a store already is none again before anything of it goes, whatever a power cut keeps', async () => {
  const disk = newDisk({ names: 'adversarial' });
  const evaq = await openSim(disk);
  await evaq.wal.pushMany(['a', 'b', 'c'], { checkpoint: { source: 'file', position: 7 } });
  await evaq.wal.remove(1);
  await (await evaq.queue('other')).push('x');
  const instants: SimDisk[] = [];
  let isMade = false;
  const stop = disk.observe(({ phase, call }) => {
    if (phase !== 'ack' || !call.path.startsWith(TO)) return;
    if (call.name === 'syncDir' && call.path === TO && !isMade && disk.read(`${TO}/STORE`) !== undefined) {
      isMade = true;
      disk.fault({ on: 'sync', path: /^\/backup\/queues\// });
    }
    if (isMade && call.name === 'remove') instants.push(disk.fork());
  });
  const backup = backUpStore(SIM_PATH, TO, { vfs: disk.vfs, host: disk.host, lockNote: NOTE, links: false });
  await expect(backup).rejects.toMatchObject({ code: 'EVAQ_FAILED' });
  stop();
  expect(instants.length).toBeGreaterThan(4);
  let stores = 0;
  for (const instant of instants.filter((_, i) => i % 3 === 0)) {
    for (const { disk: after } of instant.crashStates({ draws: 3 })) {
      if (!(await isStore(after))) continue;
      stores++;
      await expectWhole(after);
    }
  }
  // Its removal is lost, and so is nothing else.
  expect(stores).toBeGreaterThan(0);
  await evaq.close().catch(() => undefined);
});
