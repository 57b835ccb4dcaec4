/** P1: an import that a power cut interrupts has made no store, or all of it; and when it has resolved all of it is durable. */
import { expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { StoreImport } from '../../../src/store/store-import.js';
import { contentOf, newDisk } from './store-fixture.js';

const TO = '/made';
const TIME_MS = 1_600_000_000_000;

interface Ports {
  readonly vfs: SimDisk['vfs'];
  readonly host: SimDisk['host'];
}

function portsOf({ vfs, host }: SimDisk): Ports {
  return { vfs, host };
}

/** Records with gaps between them, a queue that is empty and has given out IDs, and one of which nothing is known. */
async function importAll(disk: SimDisk): Promise<number> {
  const queues = [{ name: 'wal', nextId: 100 }, { name: 'other' }, { name: 'empty', nextId: 7 }];
  const made = await StoreImport.begin(TO, queues, portsOf(disk));
  for (const id of [3, 4, 9]) {
    const record = { queue: 'wal', id, timestamp: TIME_MS + id, payload: Buffer.from(`r${id}`), meta: {} };
    await made.add(record);
  }
  const origin = { queue: 'wal', id: 200, timestamp: TIME_MS };
  await made.add({ queue: 'other', id: 1, timestamp: TIME_MS, payload: Buffer.from('moved'), meta: { origin } });
  return made.finish();
}

async function isThere(disk: SimDisk, path: string): Promise<boolean> {
  return (await disk.vfs.stat(path)) !== undefined;
}

/** Opened for writing, and closed: all is as it was exported, and the next IDs are the ones behind it. */
async function expectWhole(disk: SimDisk): Promise<void> {
  const evaq = await Evaq.open(TO, { ports: portsOf(disk), create: false });
  expect(evaq.recovery.damage).toEqual([]);
  expect(await contentOf(evaq.wal)).toEqual({ 3: 'r3', 4: 'r4', 9: 'r9' });
  expect((await evaq.wal.get(9))?.timestamp).toBe(TIME_MS + 9);
  const other = await evaq.queue('other');
  expect(await contentOf(other)).toEqual({ 1: 'moved' });
  expect(await evaq.wal.push('next')).toBe(201);
  expect(await (await evaq.queue('empty')).push('next')).toBe(7);
  await evaq.close();
}

test('P1: at every instant there is no store at its place, or all of it; in the end it is durable', async () => {
  const disk = newDisk();
  await disk.vfs.makeDir('/');
  const instants: SimDisk[] = [];
  const stop = disk.observe(({ phase, call }) => {
    if (phase === 'ack' && /^(?:write|sync|syncDir|rename|create|remove)$/.test(call.name)) instants.push(disk.fork());
  });
  expect(await importAll(disk)).toBe(4);
  stop();
  const done = disk.crash(disk.nothingSurvives());
  expect(await isThere(done, TO)).toBe(true);
  await expectWhole(done);
  let whole = 0;
  for (const [i, instant] of instants.entries()) {
    const choices = [instant.nothingSurvives(), instant.drawCrash(i)];
    for (const choice of choices) {
      const after = instant.crash(choice);
      if (!(await isThere(after, TO))) continue;
      whole++;
      await expectWhole(after);
    }
  }
  // The last steps alone show it.
  expect(whole).toBeGreaterThan(0);
  expect(whole).toBeLessThan(instants.length);
});
