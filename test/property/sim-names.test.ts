/** Names after a power cut, against a model: the operations that survive, applied in order to what was durable. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { SimDisk } from '../../src/sim/sim-disk.js';
import type { Vfs } from '../../src/vfs/vfs.js';

const NAMES = ['/a/x', '/a/y', '/b/x', '/b/y'] as const;
const name = fc.constantFrom(...NAMES);
const step = fc.oneof(
  fc.record({ do: fc.constant('create' as const), name }),
  fc.record({ do: fc.constant('remove' as const), name }),
  fc.record({ do: fc.constant('rename' as const), name, to: name }),
  fc.record({ do: fc.constant('sync' as const), dir: fc.constantFrom('/a', '/b') }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const view = (disk: SimDisk): string =>
  NAMES.filter((path) => disk.read(path) !== undefined)
    .map((path) => `${path}=${disk.read(path)?.[0]}`)
    .join(' ');

/** Each file holds one byte that tells it apart. Refusals are part of it: nothing changes then. */
async function perform(vfs: Vfs, step: Step, content: number): Promise<void> {
  try {
    if (step.do === 'remove') await vfs.remove(step.name);
    else if (step.do === 'rename') await vfs.rename(step.name, step.to);
    else if (step.do === 'sync') await vfs.syncDir(step.dir);
    else {
      const file = await vfs.create(step.name);
      await file.writeAt(Uint8Array.of(content), 0, 1, 0);
      await file.sync();
      await file.close();
    }
  } catch (error) {
    expect(error).toMatchObject({ code: step.do === 'create' ? 'EEXIST' : 'ENOENT' });
  }
}

async function start(names: 'ordered' | 'adversarial', seed: number): Promise<SimDisk> {
  const disk = new SimDisk({ seed, names });
  for (const dir of ['/a', '/b']) await disk.vfs.makeDir(dir);
  await disk.vfs.syncDir('/');
  return disk;
}

test('in journal order, what survives is what a process saw at some moment, and never older than the last sync of everything', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.integer(), async (steps, seed) => {
      // Both folders synced together, as one journal would: then the states are exactly the moments since.
      const disk = await start('ordered', seed);
      let moments = new Set([view(disk)]);
      for (const [i, step] of steps.entries()) {
        if (step.do === 'sync') {
          await disk.vfs.syncDir('/a');
          await disk.vfs.syncDir('/b');
          moments = new Set();
        } else await perform(disk.vfs, step, i + 1);
        moments.add(view(disk));
        disk.check();
      }
      const states = [...disk.crashStates()].map((state) => view(state.disk));
      expect(new Set(states)).toEqual(moments);
    }),
    { numRuns: 200 },
  );
});

test('as any subset, no file ever has two names, and after syncs of all folders nothing is open', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 8 }), fc.integer(), async (steps, seed) => {
      const disk = await start('adversarial', seed);
      for (const [i, step] of steps.entries()) await perform(disk.vfs, step, i + 1);
      const ordered = view(disk);
      let sawPresent = false;
      for (const { disk: after } of disk.crashStates({ exhaustiveMax: 512, draws: 20 })) {
        const contents = NAMES.map((path) => after.read(path)?.[0]).filter((content) => content !== undefined);
        expect(new Set(contents).size).toBe(contents.length);
        sawPresent ||= view(after) === ordered;
      }
      expect(sawPresent).toBe(true);
      for (const dir of ['/a', '/b']) await disk.vfs.syncDir(dir);
      expect([...disk.crashStates()].map((state) => view(state.disk))).toEqual([ordered]);
    }),
    { numRuns: 200 },
  );
});
