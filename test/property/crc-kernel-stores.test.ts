/**
 * Stores that were written, rewritten and recovered with the checksum's kernel are those that are written without it, byte for byte, and the
 * reader in Python, which sums by zlib, finds every record whole. `EVAQ_KERNEL_STORES`: how many by chance.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { useCrcKernel } from '../../src/checksum.js';
import { Evaq } from '../../src/evaq.js';
import { SimDisk } from '../../src/sim/sim-disk.js';
import { closeWhole } from './support/closed-store.js';
import { PythonReader } from './support/python-reader.js';
import { copyOut, diceOf, ENDINGS, makeRandomStore } from './support/random-store.js';

const STORES = Number(process.env['EVAQ_KERNEL_STORES'] ?? 12);
/** About each length at which another method begins, and past the kernel's memory. */
const SIZES = [0, 1, 32, 33, 100, 199, 200, 208, 256, 512, 1400, 1408, 4096, 16_384, 49_152, 49_153, 150_000];
const SEED = 7;

function payload(size: number, nth: number): Uint8Array {
  const dice = diceOf(size * 31 + nth + 1);
  return Uint8Array.from({ length: size }, () => dice(256));
}

/** Every way to write: pushes together and alone, batches that are written while they are framed, blocking ones, and rewrites. */
async function makeStore(): Promise<SimDisk> {
  const disk = new SimDisk({ seed: SEED, timing: 'steady' });
  const evaq = await Evaq.open('/s', {
    ports: { vfs: disk.vfs, host: disk.host },
    segmentBytes: 1024 * 1024,
    gc: false,
  });
  const { wal } = evaq;
  for (const size of SIZES) await Promise.all([0, 1, 2].map((nth) => wal.push(payload(size, nth))));
  await wal.pushMany(SIZES.map((size) => payload(size, 3)));
  await wal.pushMany(Array.from({ length: 3000 }, (_, i) => payload(100, i)));
  wal.pushSync(payload(5000, 0), { headers: { k: 'v' } });
  await wal.removeMany(Array.from({ length: 1500 }, (_, i) => 2 * i + 1));
  await wal.compact();
  await closeWhole(evaq, disk);
  return disk;
}

async function filesOf(disk: SimDisk, at: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const { name } of await disk.vfs.list(at)) {
    const path = `${at}/${name}`;
    const bytes = disk.read(path);
    if (bytes === undefined) for (const [below, own] of await filesOf(disk, path)) files.set(below, own);
    else files.set(path, Buffer.from(bytes));
  }
  return files;
}

/** Names of the files in which they differ. */
function differing(one: ReadonlyMap<string, Buffer>, other: ReadonlyMap<string, Buffer>): string[] {
  const names = new Set([...one.keys(), ...other.keys()]);
  return [...names].filter((name) => {
    const own = one.get(name);
    return own === undefined || !own.equals(other.get(name) ?? Buffer.alloc(0));
  });
}

describe('stores by the kernel', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'evaq-kernel-'));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  test('P3: they are those without it, byte for byte, and a reader that knows nothing of it finds every record', async () => {
    const without = new Map<string, Map<string, Buffer>>();
    const cases = Array.from({ length: STORES }, (_, i) => ({
      seed: i + 1,
      ending: ENDINGS[i % ENDINGS.length] ?? 'closed',
    }));
    const plain = await filesOf(await makeStore(), '/s');
    for (const { seed, ending } of cases)
      without.set(`${seed}`, await filesOf(await makeRandomStore(seed, ending), '/s'));

    expect(await useCrcKernel()).toBe(true);
    const disk = await makeStore();
    const files = await filesOf(disk, '/s');
    expect(files.size).toBeGreaterThan(3);
    expect(differing(plain, files)).toEqual([]);
    for (const { seed, ending } of cases) {
      const own = await filesOf(await makeRandomStore(seed, ending), '/s');
      expect(differing(without.get(`${seed}`) ?? new Map(), own), `seed ${seed}`).toEqual([]);
    }

    if (!PythonReader.isThere) return;
    const dir = join(folder, 'store');
    await copyOut(disk, dir);
    const python = PythonReader.start();
    try {
      const { records, damage, torn, lost } = await python.read(dir);
      expect({ damage, torn, lost }).toEqual({ damage: [], torn: [], lost: [] });
      const pushed = [
        ...SIZES.flatMap((size) => [0, 1, 2].map((nth) => payload(size, nth))),
        ...SIZES.map((size) => payload(size, 3)),
        ...Array.from({ length: 3000 }, (_, i) => payload(100, i)),
        payload(5000, 0),
      ];
      expect(records.length).toBe(pushed.length - 1500);
      for (const { id, payload: text } of records) {
        expect(Buffer.from(text, 'base64').equals(pushed[id - 1] ?? Buffer.alloc(0)), `record ${id}`).toBe(true);
      }
    } finally {
      await python.close();
    }
  }, 60_000);
});
