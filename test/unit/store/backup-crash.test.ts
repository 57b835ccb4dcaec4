/** Backups beside a live writer that are cut by a power cut or a kill, or meet a disk that fails: what is there is a whole store, or none. */
import { expect, test } from 'vitest';
import { Evaq, EvaqError } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { backUpStore } from '../../../src/store/store-backup.js';
import { newDisk, openSim, SIM_PATH } from './store-fixture.js';

const NOTE = { pid: 1, host: 'h', bootId: 'b', since: '', script: 'backup' };
const NAMES = Array.from({ length: 40 }, (_, i) => `r${i}`);

function backUp(disk: SimDisk, to: string): Promise<unknown> {
  return backUpStore(SIM_PATH, to, { vfs: disk.vfs, host: disk.host, lockNote: NOTE, links: true });
}

/** Sealed and unsealed segments, removed records, dead letters. */
async function filled(disk: SimDisk): Promise<Evaq> {
  const evaq = await openSim(disk, { segmentBytes: 64 * 1024 });
  await evaq.wal.pushMany(['gone', ...NAMES].map((name) => `${name} ${'x'.repeat(3000)}`));
  await evaq.wal.remove(1);
  for (const id of [3, 5, 40]) await evaq.deadLetter(id, { reason: 'test' });
  return evaq;
}

/** Pushes, removes what it has pushed, and moves what was there back and forth, until it is told to stop. */
class Writer {
  #isOver = false;
  readonly #running: Promise<void>;

  constructor(evaq: Evaq) {
    this.#running = this.#run(evaq);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#running;
  }

  async #run(evaq: Evaq): Promise<void> {
    while (!this.#isOver) {
      const id = await evaq.pushWal('passing');
      await evaq.deadLetter(id, { reason: 'passing' });
      await evaq.wal.deadLetters.redrive('all', { force: true });
      let moved = 0;
      for await (const record of evaq.wal.records({ from: 20 })) {
        if (record.payload.toString() === 'passing') continue;
        await evaq.deadLetter(record.id, { reason: 'test' });
        if (++moved === 2) break;
      }
    }
  }
}

/** How often each of the names is live, by opening it for writing; `undefined`: no store is there. */
async function counted(disk: SimDisk, path: string): Promise<number[] | undefined> {
  let store: Evaq;
  try {
    store = await Evaq.open(path, { create: false, ports: { vfs: disk.vfs, host: disk.host } });
  } catch (error) {
    if (error instanceof EvaqError && error.code === 'EVAQ_NOT_A_STORE') return undefined;
    throw error;
  }
  const counts = new Map<string, number>();
  for (const queue of [store.wal, store.deadLetters]) {
    for await (const { payload } of queue.records()) {
      const name = payload.toString().split(' ')[0] ?? '';
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  await store.close();
  expect(counts.get('gone')).toBeUndefined();
  return NAMES.map((name) => counts.get(name) ?? 0);
}

const ONCE = NAMES.map(() => 1);

test('P1, P2, P10: a backup that is cut anywhere is no store, or one that holds each record once; the store is as it was', async () => {
  const disk = newDisk();
  const evaq = await filled(disk);
  const writer = new Writer(evaq);
  const cuts: { readonly disk: SimDisk; readonly how: string }[] = [];
  let calls = 0;
  const stop = disk.observe(({ phase, call }) => {
    if (phase !== 'ack' || !call.path.startsWith('/backup')) return;
    if (!['write', 'sync', 'rename', 'remove', 'create', 'syncDir'].includes(call.name)) return;
    const how = `behind ${call.name} ${call.path}`;
    calls++;
    if (calls % 2 === 0) cuts.push({ disk: disk.crash(disk.nothingSurvives()), how: `power cut ${how}` });
    if (calls % 5 === 0) cuts.push({ disk: disk.crash(disk.drawCrash(calls)), how: `power cut by chance ${how}` });
    if (calls % 7 === 0) cuts.push({ disk: disk.fork(), how: `kill ${how}` });
  });
  await backUp(disk, '/backup');
  stop();
  cuts.push({ disk: disk.crash(disk.nothingSurvives()), how: 'power cut when it was told' });
  await writer.stop();
  const states = new Set<boolean>();
  for (const { disk: cut, how } of cuts) {
    const there = await counted(cut, '/backup');
    states.add(there !== undefined);
    expect([how, there ?? ONCE]).toEqual([how, ONCE]);
    expect([how, await counted(cut, SIM_PATH)]).toEqual([how, ONCE]);
  }
  expect(states.size).toBe(2);
  expect(await counted(cuts.at(-1)?.disk ?? disk, '/backup')).toEqual(ONCE);
  await evaq.close();
}, 60_000);

/** The files in a folder and those below it. */
async function filesIn(disk: SimDisk, dir: string): Promise<string[]> {
  const files: string[] = [];
  for (const { name, kind } of await disk.vfs.list(dir)) {
    if (kind === 'directory') files.push(...(await filesIn(disk, `${dir}/${name}`)));
    else files.push(`${dir}/${name}`);
  }
  return files;
}

test('P7, P14: where the disk fails a backup nothing of it is left, and the store goes on', async () => {
  const failed = new Set<string>();
  for (const on of ['create', 'write', 'sync', 'syncDir', 'rename'] as const) {
    for (const nth of [1, 2, 3, 5, 8, 13]) {
      const disk = newDisk();
      const evaq = await filled(disk);
      disk.fault({ on, path: /^\/backup\//, nth, error: nth % 2 === 0 ? 'ENOSPC' : 'EIO' });
      const outcome = await backUp(disk, '/backup').then(
        () => 'done',
        (failure: unknown) => (failure instanceof EvaqError ? 'failed' : failure),
      );
      if (outcome === 'done') {
        // There were not so many, or it can do without.
        expect(await counted(disk.fork(), '/backup')).toEqual(ONCE);
      } else {
        expect([on, nth, outcome]).toEqual([on, nth, 'failed']);
        expect([on, nth, await filesIn(disk, '/backup')]).toEqual([on, nth, []]);
        failed.add(on);
      }
      await evaq.pushWal('goes on');
      await backUp(disk, '/second');
      expect(await counted(disk.fork(), '/second')).toEqual(ONCE);
      await evaq.close();
    }
  }
  expect([...failed]).toEqual(expect.arrayContaining(['create', 'write', 'sync', 'syncDir']));
}, 60_000);
