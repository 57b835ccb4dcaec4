/** What a fault of the disk leaves of an entry in the register is no damage, whoever is entered next. */
import { describe, expect, test } from 'vitest';
import { missesQueues, twinBytes } from '../../../src/layout/queue-register.js';
import { verifyStore } from '../../../src/raw/verify.js';
import type { SimErrorName } from '../../../src/sim/sim-error.js';
import { newDisk, openSim, rejection, SIM_PATH } from './store-fixture.js';

const STORE = `${SIM_PATH}/STORE`;
const LONG = 'n'.repeat(64);

describe.each<SimErrorName>(['ENOSPC', 'EIO'])('an entry that meets %s', (error) => {
  test.each([1, 2])(
    'P9, P14: in write %i, at any byte: another queue is entered, nothing is told, and both are missed later',
    async (nth) => {
      for (const afterBytes of [0, 30, 60, 104, 112]) {
        for (const end of ['close', 'kill'] as const) {
          const disk = newDisk();
          const evaq = await openSim(disk);
          const cancel = disk.fault({ on: 'write', path: /STORE$/, nth, error, afterBytes });
          await rejection(evaq.queue(LONG), error === 'EIO' ? 'EVAQ_IO' : 'EVAQ_NO_SPACE', { queue: LONG });
          cancel();
          await evaq.queue('b');
          if (end === 'close') await evaq.close();
          else disk.kill();
          expect((await verifyStore(SIM_PATH, { vfs: disk.vfs })).damage).toEqual([]);
          const again = await openSim(disk);
          expect(again.recovery.damage).toEqual([]);
          await again.queue(LONG);
          await again.close();
          for (const name of ['b', LONG]) {
            const without = disk.fork();
            without.remove(`${SIM_PATH}/queues/${name}`);
            await rejection(openSim(without), 'EVAQ_CORRUPT', { queue: name });
          }
        }
      }
    },
  );
});

test('P9: an entry whose second twin is to be made up for, and cannot be, is complete when the next is entered', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  await evaq.queue(LONG);
  await evaq.close();
  const bytes = disk.read(STORE) ?? new Uint8Array();
  disk.place(STORE, bytes.subarray(0, bytes.length - twinBytes(LONG)));
  disk.fault({ on: 'write', path: /STORE$/, error: 'ENOSPC' });
  const again = await openSim(disk);
  await again.queue('b');
  await again.close();
  expect((await verifyStore(SIM_PATH, { vfs: disk.vfs })).damage).toEqual([]);
});

test('P14: where it can never be made up for, queues that are there are opened all the same', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  const cancel = disk.fault({ on: 'write', path: /STORE$/, nth: 2, error: 'EIO', times: Infinity });
  await rejection(evaq.queue(LONG), 'EVAQ_IO');
  expect(await (await evaq.queue(LONG)).push('x')).toBe(1);
  cancel();
  await evaq.close();
  disk.remove(`${SIM_PATH}/queues/${LONG}`);
  await rejection(openSim(disk), 'EVAQ_CORRUPT', { queue: LONG });
});

test('P8: where a damaged register cannot be written anew, a queue that is made then gives out no ID again, either', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  await (await evaq.queue('jobs')).push('x');
  await evaq.close();
  const bytes = Buffer.from(disk.read(STORE) ?? []);
  disk.place(STORE, bytes.fill(0, bytes.length - 2 * twinBytes('jobs')));
  disk.remove(`${SIM_PATH}/queues/jobs`);
  disk.fault({ on: 'create', path: /STORE/, error: 'ENOSPC' });
  const again = await openSim(disk, { onCorruption: 'quarantine' });
  expect(await (await again.queue('jobs')).push('y')).toBeGreaterThan(2 ** 29);
  await again.close();
});

test('P9, P14: a folder that cannot be listed for now is no queue that may be missing', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  await evaq.queue('jobs');
  await evaq.close();
  const bytes = Buffer.from(disk.read(STORE) ?? []);
  disk.place(STORE, bytes.fill(0, bytes.length - 2 * twinBytes('jobs')));
  for (const onCorruption of ['fail', 'quarantine'] as const) {
    const cancel = disk.fault({ on: 'list', path: /jobs$/, error: 'EMFILE' });
    await rejection(openSim(disk, { onCorruption }), 'EVAQ_IO');
    cancel();
  }
  const again = await openSim(disk);
  expect(again.recovery.damage).toMatchObject([{ file: STORE, lossless: true }]);
  await again.close();
});

test('P14: what thousands of entries that are lost may have been takes no time to speak of', () => {
  const names = Array.from({ length: 4000 }, (_, i) => `${'q'.repeat(i % 40)}-${i}`);
  const bytes = names.reduce((sum, name) => sum + 2 * twinBytes(name), 0);
  const register = { names: new Set<string>(), hasForgotten: false, damaged: true, end: 128 + bytes };
  const lost = [{ offset: 128, bytes }];
  const started = performance.now();
  expect(missesQueues({ ...register, lost }, names)).toBe(false);
  expect(missesQueues({ ...register, lost }, names.slice(1))).toBe(false);
  expect(missesQueues({ ...register, lost }, names.slice(4))).toBe(true);
  expect(performance.now() - started).toBeLessThan(5000);
});
