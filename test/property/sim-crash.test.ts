/**
 * The simulated disk against a model that knows nothing of sectors' histories: for each byte of each file the set of values that it had
 * since the last sync, for each file the set of sizes. Whatever a power cut leaves must be in those sets, and a synced byte in no doubt.
 */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { SimDisk } from '../../src/sim/sim-disk.js';
import type { VfsFile } from '../../src/vfs/vfs.js';

const SECTOR_BYTES = 64;
const PATHS = ['/a', '/b'] as const;

type Step =
  | { readonly do: 'write'; readonly file: number; readonly at: number; readonly length: number }
  | { readonly do: 'truncate'; readonly file: number; readonly size: number }
  | { readonly do: 'sync' | 'failed sync' | 'evict'; readonly file: number }
  | { readonly do: 'kill' };

const file = fc.nat(PATHS.length - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('write' as const), file, at: fc.nat(300), length: fc.nat(200) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('truncate' as const), file, size: fc.nat(400) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('sync' as const, 'failed sync' as const, 'evict' as const), file }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('kill' as const) }) },
);

/** What one file may be after a power cut. */
class Possible {
  content: number[] = [];
  sizes: Set<number> = new Set([0]);
  /** By position; positions that are missing hold zero, for sure. */
  values: Map<number, Set<number>> = new Map();

  change(content: number[]): void {
    for (let i = 0; i < Math.max(content.length, this.content.length); i++) {
      const values = this.values.get(i) ?? new Set([this.content[i] ?? 0]);
      // A byte that may not have reached the disk is zero, for this disk fills with zeros.
      this.values.set(
        i,
        values.add(content[i] ?? 0).add(i < content.length && i < this.content.length ? (this.content[i] ?? 0) : 0),
      );
    }
    // A write takes effect in pieces that end at sectors: the size may be seen there, too.
    const upward = Math.ceil((this.content.length + 1) / SECTOR_BYTES) * SECTOR_BYTES;
    for (let size = upward; size < content.length; size += SECTOR_BYTES) this.sizes.add(size);
    this.content = content;
    this.sizes.add(content.length);
  }

  sync(isLost: boolean): void {
    if (isLost) return;
    this.sizes = new Set([this.content.length]);
    this.values = new Map(this.content.map((value, i) => [i, new Set([value])]));
  }
}

async function run(steps: readonly Step[], disk: SimDisk): Promise<Possible[]> {
  for (const path of PATHS) disk.place(path, new Uint8Array(0));
  const open = (): Promise<VfsFile[]> => Promise.all(PATHS.map((path) => disk.vfs.open(path, 'write')));
  let files = await open();
  const possible = PATHS.map(() => new Possible());
  // After a failed sync a later one may be a lie: nothing is certain any more until all bytes were written again.
  const lost = new Set<number>();
  let value = 0;
  for (const step of steps) {
    if (step.do === 'kill') {
      disk.kill();
      files = await open();
      continue;
    }
    const [file, model] = [files[step.file], possible[step.file]];
    if (file === undefined || model === undefined) continue;
    switch (step.do) {
      case 'write': {
        value = (value % 255) + 1;
        await file.writeAt(new Uint8Array(step.length).fill(value), 0, step.length, step.at);
        const content = model.content.slice();
        if (step.length > 0) while (content.length < step.at) content.push(0);
        for (let i = 0; i < step.length; i++) content[step.at + i] = value;
        model.change(content);
        break;
      }
      case 'truncate': {
        await file.truncate(step.size);
        const content = model.content.slice(0, step.size);
        while (content.length < step.size) content.push(0);
        model.change(content);
        break;
      }
      case 'sync':
        await file.sync();
        model.sync(lost.has(step.file));
        break;
      case 'failed sync':
        disk.fault({ on: 'sync' });
        await expect(file.sync()).rejects.toMatchObject({ code: 'EIO' });
        lost.add(step.file);
        break;
      case 'evict': {
        disk.evict(PATHS[step.file] ?? '');
        if (lost.has(step.file)) model.change([...(disk.read(PATHS[step.file] ?? '') ?? [])]);
        break;
      }
    }
    disk.check();
    expect(Buffer.from(disk.read(PATHS[step.file] ?? '') ?? []).equals(Buffer.from(model.content))).toBe(true);
  }
  return possible;
}

function expectPossible(after: SimDisk, possible: readonly Possible[]): void {
  PATHS.forEach((path, i) => {
    const content = after.read(path);
    const model = possible[i];
    if (content === undefined || model === undefined) throw new Error(`${path} is gone`);
    expect(model.sizes).toContain(content.length);
    for (const [at, value] of content.entries()) {
      // Not `expect` for each byte: it is a hundred times slower.
      const isPossible = model.values.get(at)?.has(value) ?? value === 0;
      if (!isPossible) throw new Error(`${path} holds ${value} at ${at}`);
    }
  });
}

test('whatever a power cut leaves, every byte and every size is one that there was since the last sync', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 14 }),
      fc.array(fc.nat(5), { maxLength: 40 }),
      fc.integer(),
      async (steps, choice, seed) => {
        const disk = new SimDisk({ seed, sectorBytes: SECTOR_BYTES, fill: 'zeros' });
        const possible = await run(steps, disk);
        const before = disk.hash();
        const after = disk.crash(choice);
        after.check();
        expectPossible(after, possible);
        expect(after.crashPoints()).toEqual([]);
        expect(after.crash(choice).hash()).toBe(after.hash());
        expect(disk.crash(choice).hash()).toBe(after.hash());
        // They share what is the same in them: each is what its choice alone leaves, whatever becomes of the others.
        const states = [...disk.crashStates({ exhaustiveMax: 64, draws: 10 })];
        const hashes = new Set(states.map(({ hash }) => hash));
        const alone = Array.from({ length: 10 }, (_, i) => disk.drawCrash(seed + i));
        for (const one of [...alone, disk.nothingSurvives(), []]) expect(hashes).toContain(disk.crash(one).hash());
        for (const state of states) {
          expectPossible(state.disk, possible);
          expect(state.disk.hash()).toBe(state.hash);
          expect(disk.crash(state.choice).hash()).toBe(state.hash);
          for (const path of PATHS) state.disk.place(path, Uint8Array.of(1, 2, 3));
        }
        expect(disk.crash().hash()).toBe(before);
        expect(disk.hash()).toBe(before);
      },
    ),
    { numRuns: 300 },
  );
});

test('a program that believes unsynced bytes is found out by some choice, and the choice shrinks to one loss', async () => {
  const found = await fc.check(
    fc.asyncProperty(fc.array(fc.nat(3), { maxLength: 20 }), async (choice) => {
      const disk = new SimDisk({ seed: 1, sectorBytes: SECTOR_BYTES, fill: 'zeros' });
      disk.place('/a', new Uint8Array(0));
      const file = await disk.vfs.open('/a', 'write');
      await file.writeAt(new Uint8Array(600).fill(1), 0, 600, 0);
      expect(disk.crash(choice).read('/a')).toEqual(new Uint8Array(600).fill(1));
    }),
  );
  expect(found.failed).toBe(true);
  const [choice] = found.counterexample ?? [[]];
  expect(choice?.filter((number) => number !== 0)).toHaveLength(1);
});

test('a disk of limited size holds at most that much, and what a full disk took is a prefix of what was written', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(400),
      fc.array(fc.record({ at: fc.nat(300), length: fc.nat(200), truncate: fc.boolean() }), { maxLength: 10 }),
      fc.integer(),
      async (capacityBytes, steps, seed) => {
        const disk = new SimDisk({ seed, sectorBytes: SECTOR_BYTES, capacityBytes });
        const file = await disk.vfs.create('/f');
        for (const [i, { at, length, truncate }] of steps.entries()) {
          if (truncate) await file.truncate(at);
          const before = disk.read('/f') ?? new Uint8Array(0);
          const source = new Uint8Array(length).fill(i + 1);
          const isWhole = await file.writeAt(source, 0, length, at).then(
            () => true,
            (error: unknown) => {
              expect(error).toMatchObject({ code: 'ENOSPC' });
              return false;
            },
          );
          disk.check();
          expect(disk.usedBytes).toBeLessThanOrEqual(capacityBytes);
          const after = disk.read('/f') ?? new Uint8Array(0);
          let written = 0;
          while (written < length && after[at + written] === i + 1) written++;
          expect(written === length).toBe(isWhole);
          expect(after.subarray(at + written)).toEqual(before.subarray(at + written));
        }
      },
    ),
    { numRuns: 300 },
  );
});
