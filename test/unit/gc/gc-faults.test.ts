/**
 * Faults that pass: each call that GC, the supply of segments and the sealer make fails once, in every way that is no failed sync. A minute later
 * all is as if nothing had been.
 */
import { describe, expect, it } from 'vitest';
import type { Evaq, EvaqOptions } from '../../../src/evaq.js';
import type { SimCallName } from '../../../src/sim/sim-call.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import type { SimErrorName } from '../../../src/sim/sim-error.js';
import { idsOf, newDisk, openSim, passTime, rejection, SIM_PATH } from '../store/store-fixture.js';

const WAL = `${SIM_PATH}/queues/wal`;
/** Not the log of removals. */
const OF_SEGMENTS = /\/wal$|\/wal\/quarantine|\.seg|\.free/;
const OPTIONS: EvaqOptions = { segmentBytes: 64 * 1024, recycleSegments: 2 };
const PAYLOAD = Buffer.alloc(2000, 7);
const PER_SEGMENT = 32;
const SEGMENTS = 8;

async function fill(evaq: Evaq, records: number): Promise<void> {
  for (let i = 0; i < records; i += 8) await evaq.wal.pushMany(Array.from({ length: 8 }, () => PAYLOAD));
}

/** Removes what makes two segments die and the others sparse, and pushes on so that segments are left, with calls that fail made again. */
async function work(evaq: Evaq): Promise<number[]> {
  const again = async (call: () => Promise<unknown>): Promise<void> => {
    await call().catch(call);
  };
  await again(() => evaq.wal.removeThrough(2 * PER_SEGMENT + 5));
  const sparse = Array.from({ length: SEGMENTS * PER_SEGMENT }, (_, i) => i + 1).filter((id) => id % 4 !== 0);
  await again(() => evaq.wal.removeMany(sparse));
  for (let i = 0; i < 9; i++) await again(() => evaq.wal.pushMany(Array.from({ length: 8 }, () => PAYLOAD)));
  // A read may be the call that fails.
  return idsOf(evaq.wal).catch(() => idsOf(evaq.wal));
}

interface Outcome {
  readonly files: string[];
  readonly recycled: number;
  readonly live: number[];
  readonly rewritten: boolean;
  readonly health: string;
  readonly lastError: unknown;
}

/** As it is when all has come to rest. */
async function outcomeOf(disk: SimDisk, evaq: Evaq): Promise<Outcome> {
  const { gc, health, recycledFiles } = evaq.wal.stats();
  const files = (await disk.vfs.list(WAL)).map(({ name }) => /(\.seg|\.free)(\.tmp)?$/.exec(name)?.[0] ?? '');
  return {
    files: files.filter((name) => name !== '').sort(),
    recycled: recycledFiles,
    live: await idsOf(evaq.wal),
    rewritten: gc.rewrittenSegments > 0,
    health,
    lastError: gc.lastError,
  };
}

interface Fault {
  readonly on: SimCallName;
  readonly error: SimErrorName;
  readonly nth: number;
  readonly alsoDone: boolean;
}

interface Run {
  readonly outcome: Outcome;
  /** The calls from where faults may hit, by name. */
  readonly calls: Map<SimCallName, number>;
}

async function run(fault: Fault | undefined): Promise<Run> {
  const disk = newDisk();
  const evaq = await openSim(disk, OPTIONS);
  await fill(evaq, SEGMENTS * PER_SEGMENT);
  await passTime(disk, 5000);
  const before = disk.calls.length;
  const cancel = fault === undefined ? undefined : disk.fault({ ...fault, path: OF_SEGMENTS });
  const live = await work(evaq);
  await passTime(disk, 60_000);
  cancel?.();
  const calls = new Map<SimCallName, number>();
  for (const { name, path } of disk.calls.slice(before))
    if (OF_SEGMENTS.test(path)) calls.set(name, (calls.get(name) ?? 0) + 1);
  const outcome = await outcomeOf(disk, evaq);
  expect(outcome.live).toEqual(live);

  // P2, P6: nothing of it shows after a power cut.
  const cut = await openSim(disk.crash(disk.nothingSurvives()), OPTIONS);
  expect([await idsOf(cut.wal), cut.recovery.damage]).toEqual([live, []]);
  await cut.close();
  await evaq.close();
  return { outcome, calls };
}

/** What may go wrong with a call and pass. A failed sync of a file does not. */
const ERRORS: Partial<Record<SimCallName, readonly SimErrorName[]>> = {
  create: ['EMFILE', 'EIO', 'ENOSPC'],
  open: ['EMFILE', 'EIO'],
  rename: ['ENOSPC', 'EIO'],
  remove: ['EIO', 'ENOMEM'],
  syncDir: ['EMFILE', 'ENOSPC'],
  stat: ['EIO'],
  read: ['EIO'],
  write: ['ENOSPC', 'EIO'],
  truncate: ['EIO'],
};
const DONE_ALL_THE_SAME: readonly SimCallName[] = ['create', 'rename', 'remove', 'truncate'];

describe('a fault that passes', () => {
  it('P14: in any call of GC, of the supply or of the sealer leaves no trace', async () => {
    const clean = await run(undefined);
    expect(clean.outcome).toMatchObject({ rewritten: true, health: 'ok', lastError: undefined });
    // The one that is kept for the next open.
    expect(clean.outcome.files.filter((name) => name.endsWith('.tmp'))).toEqual(['.seg.tmp']);
    const wrong: string[] = [];
    let runs = 0;
    for (const [on, calls] of clean.calls) {
      for (const error of ERRORS[on] ?? []) {
        for (const alsoDone of DONE_ALL_THE_SAME.includes(on) ? [false, true] : [false]) {
          // Of many calls of a kind (records that are copied) a few stand for all.
          const step = Math.max(1, Math.floor(calls / 16));
          for (let nth = 1; nth <= calls; nth += step) {
            runs++;
            const what = `${on} ${nth} ${error}${alsoDone ? ', done all the same' : ''}`;
            try {
              const { outcome } = await run({ on, error, nth, alsoDone });
              expect(outcome).toEqual(clean.outcome);
            } catch (cause) {
              wrong.push(`${what}: ${String(cause)}`);
            }
          }
        }
      }
    }
    expect(runs).toBeGreaterThan(50);
    expect(wrong).toEqual([]);
  });

  it('P14: ... nor while a damaged segment is set aside, which is evidence and kept', async () => {
    const calls: readonly SimCallName[] = ['makeDir', 'syncDir', 'rename', 'rename', 'makeDir'];
    const lost: string[] = [];
    for (const [i, on] of calls.entries()) {
      const disk = newDisk();
      const evaq = await openSim(disk, { ...OPTIONS, onCorruption: 'quarantine' });
      await fill(evaq, 4 * PER_SEGMENT);
      await passTime(disk, 5000);
      const names = (await disk.vfs.list(WAL)).map(({ name }) => name);
      const [oldest] = names.filter((name) => name.endsWith('.seg')).sort();
      const path = `${WAL}/${oldest}`;
      const bytes = Buffer.from(disk.read(path) ?? []);
      bytes.fill(0xee, 9000, 9100);
      disk.place(path, bytes);
      disk.fault({ on, path: /quarantine|wal$|\.seg$/, error: on === 'syncDir' ? 'EMFILE' : 'EIO', alsoDone: i >= 3 });
      // P9: at no instant of a crash is it in neither place.
      let instants = 0;
      const stop = disk.observe(() => {
        for (const { disk: after } of disk.crashStates({ exhaustiveMax: 8, draws: 4 })) {
          instants++;
          const places = [path, `${WAL}/quarantine/${oldest}`].filter((place) => after.read(place) !== undefined);
          if (places.length === 0) lost.push(`${on} ${i}`);
        }
      });
      await evaq.wal.removeMany(Array.from({ length: 60 }, (_, id) => id + 1).filter((id) => id % 8 !== 0));
      await passTime(disk, 60_000);
      stop();
      expect(instants).toBeGreaterThan(50);
      const aside = (await disk.vfs.list(`${WAL}/quarantine`)).map(({ name }) => name);
      expect([aside, evaq.wal.stats().gc.lastError]).toEqual([[oldest], undefined]);
      const cut = disk.crash(disk.nothingSurvives());
      expect(cut.read(`${WAL}/quarantine/${oldest}`)).toEqual(disk.read(`${WAL}/quarantine/${oldest}`));
      expect(cut.read(path)).toBeUndefined();
      await evaq.close();
    }
    expect(lost).toEqual([]);
  });

  it('P7: a sync of the folder that failed stops the store', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, OPTIONS);
    await fill(evaq, 4 * PER_SEGMENT);
    await passTime(disk, 5000);
    disk.fault({ on: 'syncDir', path: /wal$/, error: 'EIO' });
    await evaq.wal.removeThrough(2 * PER_SEGMENT);
    await passTime(disk, 1000);
    expect(evaq.wal.stats().health).toBe('failed');
    await rejection(evaq.pushWal('more'), 'EVAQ_FAILED');
    await rejection(evaq.close(), 'EVAQ_FAILED');
  });

  it('P2: a copy that got its name though that was reported as failed, and cannot be removed, brings nothing back', async () => {
    const { disk, evaq, left } = await sparse();
    disk.fault({ on: 'rename', path: /\.seg\.tmp$/, error: 'EIO', alsoDone: true });
    const cancel = disk.fault({ on: 'remove', path: /\.seg/, error: 'EIO', times: Infinity });
    await rejection(evaq.wal.compact(), 'EVAQ_IO');
    // It speaks for its originals: those must not go, and nobody may speak for them twice.
    await evaq.wal.removeMany(left.slice(3));
    await evaq.wal.compact().catch(() => undefined);
    await passTime(disk, 100_000);
    await evaq.pushWal('beside');
    const cut = await openSim(disk.crash(disk.nothingSurvives()), OPTIONS);
    expect([(await idsOf(cut.wal)).slice(0, -1), cut.recovery.damage]).toEqual([left.slice(0, 3), []]);
    await cut.close();
    cancel();
    await expectTidy(disk, evaq);
    expect((await idsOf(evaq.wal)).slice(0, -1)).toEqual(left.slice(0, 3));
    await evaq.close();
  });

  it('P2: the files of rewritten segments that cannot be removed for now bring nothing back when their copy has died', async () => {
    const { disk, evaq, left } = await sparse();
    const originals = (await disk.vfs.list(WAL)).map(({ name }) => name).filter((name) => name.endsWith('.seg'));
    // All that is there now stays for a while; copies may go.
    const cancels = originals.map((name) =>
      disk.fault({ on: 'remove', path: `${WAL}/${name}`, error: 'EIO', times: Infinity }),
    );
    await rejection(evaq.wal.compact(), 'EVAQ_IO');
    await evaq.wal.removeMany(left);
    await evaq.wal.compact().catch(() => undefined);
    // The log of removals forgets what it may forget.
    for (let i = 0; i < 1500; i++) await evaq.wal.remove(await evaq.pushWal(''));
    await passTime(disk, 100_000);
    await evaq.wal.compact().catch(() => undefined);
    const last = await evaq.pushWal('last');
    const cut = await openSim(disk.crash(disk.nothingSurvives()), OPTIONS);
    expect([await idsOf(cut.wal), cut.recovery.damage]).toEqual([[last], []]);
    await cut.close();
    for (const cancel of cancels) cancel();
    await expectTidy(disk, evaq);
    expect(await idsOf(evaq.wal)).toEqual([last]);
    await evaq.close();
  });
});

/** A queue of which every fourth record is left; GC waits to be asked. */
async function sparse(): Promise<{ disk: SimDisk; evaq: Evaq; left: number[] }> {
  const disk = newDisk();
  const evaq = await openSim(disk, { ...OPTIONS, recycleSegments: 0, gc: false });
  await fill(evaq, SEGMENTS * PER_SEGMENT);
  await passTime(disk, 5000);
  const ids = await idsOf(evaq.wal);
  await evaq.wal.removeMany(ids.filter((id) => id % 4 !== 0));
  return { disk, evaq, left: ids.filter((id) => id % 4 === 0) };
}

/** By itself, within the longest back-off. */
async function expectTidy(disk: SimDisk, evaq: Evaq): Promise<void> {
  await passTime(disk, 61_000);
  const { segments, health, gc } = evaq.wal.stats();
  const files = (await disk.vfs.list(WAL)).filter(({ name }) => name.includes('.seg'));
  expect([health, gc.lastError]).toEqual(['ok', undefined]);
  // One is made ahead of time.
  expect(files.length).toBeLessThanOrEqual(segments + 1);
  expect(files.length).toBeGreaterThanOrEqual(segments);
}
