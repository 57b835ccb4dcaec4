/**
 * P1, P2, P5: an open that is killed when something has got its name, another open on what is in the page cache, and then the power is cut: nothing that
 * was acknowledged is missed, nothing that was removed comes back, and no damage is seen.
 */
import { expect, test } from 'vitest';
import type { Evaq, EvaqOptions } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { contentOf, newDisk, openSim } from './store-fixture.js';

const OPTIONS: EvaqOptions = { segmentBytes: 64 * 1024, gc: false };
const DRAWS = 2;

/** Forks of the disk as it is behind each such call while `step` runs. */
async function instantsOf(disk: SimDisk, calls: RegExp, step: () => Promise<unknown>): Promise<SimDisk[]> {
  const instants: SimDisk[] = [];
  const stop = disk.observe(({ phase, call }) => {
    if (phase === 'effect' && calls.test(call.name)) instants.push(disk.fork());
  });
  await step();
  stop();
  return instants;
}

/** In which removals stand in the log alone. */
async function killedStore(): Promise<SimDisk> {
  const disk = newDisk({ sectorBytes: 4096 });
  const evaq = await openSim(disk, OPTIONS);
  await evaq.wal.pushMany(['a', 'b', 'c', 'd']);
  await evaq.wal.removeMany([1, 3]);
  disk.kill();
  return disk;
}

async function expectAll(after: SimDisk, content: Record<number, string>): Promise<Evaq> {
  const evaq = await openSim(after, OPTIONS);
  expect(evaq.recovery.damage).toEqual([]);
  expect(await contentOf(evaq.wal)).toEqual(content);
  return evaq;
}

test('P2, P5: the second open', async () => {
  const killed = await killedStore();
  const first = await instantsOf(killed, /^(?:rename|create|remove)$/, () => openSim(killed, OPTIONS));
  expect(first.length).toBeGreaterThan(3);
  let states = 0;
  for (const instant of first) {
    instant.kill();
    let evaq: Evaq | undefined;
    const second = await instantsOf(instant, /^(?:rename|remove)$/, async () => {
      evaq = await openSim(instant, OPTIONS);
    });
    for (const after of second) {
      states++;
      await expectAll(after.crash(after.nothingSurvives()), { 2: 'b', 4: 'd' });
    }
    // And when it has come to say something of its own.
    await evaq?.wal.push('e');
    await evaq?.wal.remove(2);
    const choices = [instant.nothingSurvives(), ...Array.from({ length: DRAWS }, (_, i) => instant.drawCrash(i))];
    for (const choice of choices) {
      states++;
      await expectAll(instant.crash(choice), { 4: 'd', 5: 'e' });
    }
  }
  expect(states).toBeGreaterThan(20);
});

test('P5: the open that makes the store is killed, and the next one cut, where a file system keeps names in any order', async () => {
  const disk = newDisk({ sectorBytes: 4096, names: 'adversarial' });
  const first = await instantsOf(disk, /^(?:rename|create|makeDir)$/, () => openSim(disk, OPTIONS));
  disk.kill();
  let states = 0;
  for (const instant of first) {
    instant.kill();
    const second = await instantsOf(instant, /^(?:rename|makeDir)$/, () => openSim(instant, OPTIONS));
    instant.kill();
    for (const after of second)
      for (const { disk: left } of after.crashStates({ exhaustiveMax: 32, draws: DRAWS })) {
        states++;
        const evaq = await openSim(left, OPTIONS);
        expect(evaq.recovery.damage).toEqual([]);
        expect(await evaq.wal.push('a')).toBeGreaterThan(0);
        left.kill();
      }
  }
  expect(states).toBeGreaterThan(100);
});
