/** Backups of stores that are in use: each is a store that holds what it must, once, and nothing that had gone before. */
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Evaq, EvaqError } from '../../../src/evaq.js';
import { verifyStore } from '../../../src/raw.js';
import { SimDisk } from '../../../src/sim.js';
import { type BackupReport, backUpStore } from '../../../src/store/store-backup.js';
import { StoreImport } from '../../../src/store/store-import.js';
import { ownLockNote } from '../../../src/store/store-lock.js';
import { type Host, timeOf } from '../../../src/vfs/host.js';
import { nodeHost } from '../../../src/vfs/node-host.js';
import { nodeVfs } from '../../../src/vfs/node-vfs.js';
import type { Vfs } from '../../../src/vfs/vfs.js';
import { overwrite, segmentsOf } from '../raw/support/disk.js';
import { type HookedCall, Hooks } from '../raw/support/hooked-vfs.js';
import { idsOf } from './store-fixture.js';
import '../../seeded.js';

interface Ports {
  readonly vfs: Vfs;
  readonly host: Host;
}

const NODE: Ports = { vfs: nodeVfs, host: nodeHost };

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-backup-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function backUp(from: string, to: string, { vfs, host }: Ports, links = true): Promise<BackupReport> {
  return backUpStore(from, to, { vfs, host, links, lockNote: ownLockNote(timeOf(host)) });
}

/** When things happened to the record of one name, by a counter that never stands still. */
interface Fate {
  pushed?: number;
  removing?: number;
  removed?: number;
}

/** A writer that pushes, removes, moves back and forth, compacts and reopens nothing, until it is told to stop. */
class Workload {
  readonly fates = new Map<string, Fate>();
  /** What is where, by name; a record that is on the way is in neither. */
  readonly #at = new Map<string, { readonly queue: string; readonly id: number }>();
  readonly #evaq: Evaq;
  readonly #random: () => number;
  #time = 0;
  #names = 0;
  #stopped = false;
  moves = 0;

  constructor(evaq: Evaq, random: () => number) {
    this.#evaq = evaq;
    this.#random = random;
  }

  tick(): number {
    return ++this.#time;
  }

  stop(): void {
    this.#stopped = true;
  }

  async run(actors: number): Promise<void> {
    await Promise.all(Array.from({ length: actors }, () => this.#act()));
  }

  async #act(): Promise<void> {
    while (!this.#stopped) {
      await new Promise((resolve) => setImmediate(resolve));
      const chance = this.#random();
      if (chance < 0.4) await this.#push();
      else if (chance < 0.7) await this.#remove();
      else if (chance < 0.85) await this.#bury();
      else if (chance < 0.99) await this.#redrive();
      else await this.#evaq.wal.compact();
    }
  }

  async #push(): Promise<void> {
    const queue = await this.#evaq.queue(this.#random() < 0.7 ? 'wal' : 'jobs');
    const names = Array.from({ length: 1 + Math.floor(this.#random() * 12) }, () => `r${this.#names++}`);
    for (const name of names) this.fates.set(name, {});
    const { firstId } = await queue.pushMany(
      names.map((name) => `${name} ${'x'.repeat(Math.floor(this.#random() * 5000))}`),
    );
    for (const [i, name] of names.entries()) {
      this.#fate(name).pushed = this.tick();
      this.#at.set(name, { queue: queue.name, id: firstId + i });
    }
  }

  /** A few in a row, so that segments die. */
  async #remove(): Promise<void> {
    const names = [...this.#at.keys()].filter((name) => this.#at.get(name)?.queue !== 'dead-letters');
    const from = this.#random() < 0.7 ? 0 : Math.floor(this.#random() * names.length);
    const chosen = names.slice(from, from + 1 + Math.floor(this.#random() * 12));
    await Promise.all(
      chosen.map(async (name) => {
        const place = this.#take(name);
        if (place === undefined) return;
        this.#fate(name).removing = this.tick();
        await (await this.#evaq.queue(place.queue)).remove(place.id);
        this.#fate(name).removed = this.tick();
      }),
    );
  }

  async #bury(): Promise<void> {
    const name = this.#any((queue) => queue === 'wal');
    const place = name === undefined ? undefined : this.#take(name);
    if (name === undefined || place === undefined) return;
    this.moves++;
    const id = await this.#evaq.deadLetter(place.id, { reason: 'test' });
    this.#at.set(name, { queue: 'dead-letters', id });
  }

  async #redrive(): Promise<void> {
    const name = this.#any((queue) => queue === 'dead-letters');
    const place = name === undefined ? undefined : this.#take(name);
    if (name === undefined || place === undefined) return;
    this.moves++;
    let newId: number | undefined;
    await this.#evaq.wal.deadLetters.redrive([place.id], {
      force: true,
      onProgress: ({ batch }) => {
        newId ??= batch[0]?.newId;
      },
    });
    if (newId !== undefined) this.#at.set(name, { queue: 'wal', id: newId });
  }

  #any(isIn: (queue: string) => boolean): string | undefined {
    const names = [...this.#at.entries()].filter(([, { queue }]) => isIn(queue)).map(([name]) => name);
    return names[Math.floor(this.#random() * names.length)];
  }

  #take(name: string): { readonly queue: string; readonly id: number } | undefined {
    const place = this.#at.get(name);
    this.#at.delete(name);
    return place;
  }

  #fate(name: string): Fate {
    const fate = this.fates.get(name);
    if (fate === undefined) throw new Error(`${name} was never pushed`);
    return fate;
  }
}

/** How often each name is live in a store. */
async function namesIn(path: string, ports: Ports): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  await using store = await Evaq.openReadOnly(path, { ports });
  for (const name of await store.queueNames()) {
    for await (const { payload } of (await store.queue(name)).records()) {
      const text = payload.toString('latin1');
      const key = text.slice(0, text.indexOf(' '));
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  return counts;
}

/** What is wrong with a backup that was begun at `since` and ready at `until`. */
function wrongs(
  fates: ReadonlyMap<string, Fate>,
  counts: ReadonlyMap<string, number>,
  since: number,
  until: number,
): string[] {
  const wrong: string[] = [];
  for (const [name, { pushed = Infinity, removing = Infinity, removed = Infinity }] of fates) {
    const count = counts.get(name) ?? 0;
    if (count > 1) wrong.push(`${name} is there ${count} times`);
    if (count === 0 && pushed < since && removing > until) wrong.push(`${name} is missing`);
    if (count > 0 && removed < since) wrong.push(`${name} is there again`);
  }
  for (const name of counts.keys()) if (!fates.has(name)) wrong.push(`${name} was never pushed`);
  return wrong;
}

function generator(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

describe('a backup of a store in use', () => {
  test.each(['sync', 'os'] as const)(
    "P1, P2, P10: holds each record once that was there before and after, and none that had gone, on a simulated disk, mode '%s'",
    async (durability) => {
      let moves = 0;
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: 1e6 }), async (seed) => {
          const disk = new SimDisk({ seed });
          const ports = { vfs: disk.vfs, host: disk.host };
          const evaq = await Evaq.open('/store', { ports, segmentBytes: 64 * 1024, recycleSegments: 2, durability });
          const work = new Workload(evaq, generator(seed));
          const running = work.run(4);
          for (let i = 0; i < 3; i++) {
            while (work.fates.size < 150 * (i + 1)) await new Promise((resolve) => setImmediate(resolve));
            const since = work.tick();
            await backUp('/store', `/backup-${i}`, ports);
            const until = work.tick();
            expect(wrongs(work.fates, await namesIn(`/backup-${i}`, ports), since, until)).toEqual([]);
          }
          work.stop();
          await running;
          await evaq.close();
          // What became of the store since has changed nothing in them.
          for (let i = 0; i < 3; i++) expect((await verifyStore(`/backup-${i}`, { vfs: disk.vfs })).damage).toEqual([]);
          moves += work.moves;
        }),
        { numRuns: 3, endOnFailure: true },
      );
      expect(moves).toBeGreaterThan(100);
    },
    60_000,
  );

  /** What the writer does all at once in between, so that segments with what has moved are sealed by then. */
  const BURSTS: Readonly<Record<string, (evaq: Evaq) => Promise<void>>> = {
    'all dead letters go back, and their new segment is sealed': async (evaq) => {
      await evaq.wal.deadLetters.redrive('all', { force: true });
      await fill(evaq, 'later', 60);
    },
    'records become dead letters, and their new segment is sealed': async (evaq) => {
      for await (const { id } of evaq.wal.records()) if (id % 2 === 0) await evaq.deadLetter(id, { reason: 'burst' });
      await evaq.deadLetters.compact();
    },
    'dead letters go back, and back again, and GC has its way': async (evaq) => {
      await evaq.wal.deadLetters.redrive('all', { force: true });
      for await (const { id } of evaq.wal.records({ from: 41 })) await evaq.deadLetter(id, { reason: 'again' });
      await fill(evaq, 'later', 60);
      await evaq.wal.compact();
      await evaq.deadLetters.compact();
    },
  };

  async function fill(evaq: Evaq, name: string, count: number): Promise<void> {
    for (let i = 0; i < count; i += 20) {
      await evaq.wal.pushMany(Array.from({ length: 20 }, (_, k) => `${name}${i + k} ${'x'.repeat(3000)}`));
    }
  }

  test.each(
    Object.entries(BURSTS).flatMap(([what, burst]) => [
      { what, burst, durability: 'sync' as const },
      // Its files tell of more IDs than were given out.
      { what, burst, durability: 'os' as const },
    ]),
  )(
    "P10: each record is there once, whenever $what, mode '$durability'",
    async ({ burst, durability }) => {
      let isOver = false;
      for (let at = 1; !isOver; at++) {
        const disk = new SimDisk({ seed: at });
        const ports = { vfs: disk.vfs, host: disk.host };
        const evaq = await Evaq.open('/store', { ports, segmentBytes: 64 * 1024, durability });
        await fill(evaq, 'r', 80);
        for (let id = 41; id <= 80; id++) await evaq.deadLetter(id, { reason: 'test' });
        const hooks = new Hooks(disk.vfs, disk.host);
        let listings = 0;
        const isThen = ({ name, path }: HookedCall): boolean =>
          name === 'list' && path.startsWith('/store/queues/') && ++listings === at;
        hooks.before(isThen, () => burst(evaq));
        const report = await backUp('/store', '/backup', hooks.ports);
        const counts = await namesIn('/backup', ports);
        const names = Array.from({ length: 80 }, (_name, i) => `r${i}`);
        expect(names.filter((name) => counts.get(name) !== 1)).toEqual([]);
        expect(report.queues.reduce((sum, { live }) => sum + live, 0)).toBe(counts.size);
        await evaq.close();
        isOver = !hooks.allRan;
      }
    },
    30_000,
  );

  test('P1: an imported record that names an origin takes nothing away there, whenever GC writes it anew', async () => {
    const folder = temporary();
    const imported = join(folder, 'imported');
    const made = await StoreImport.begin(imported, [{ name: 'wal' }, { name: 'dead-letters' }]);
    for (let id = 1; id <= 20; id++) {
      const origin = { queue: 'wal', id, timestamp: 1 };
      await made.add({ queue: 'wal', id, timestamp: 1, payload: Buffer.from('r'), meta: {} });
      await made.add({ queue: 'dead-letters', id, timestamp: 1, payload: Buffer.from('letter'), meta: { origin } });
    }
    await made.finish();
    let isOver = false;
    for (let at = 1; !isOver; at += 4) {
      const store = join(folder, `store-${at}`);
      cpSync(imported, store, { recursive: true });
      await using evaq = await Evaq.open(store, { durability: 'os' });
      const hooks = new Hooks();
      let listings = 0;
      const isThen = ({ name, path }: HookedCall): boolean =>
        name === 'list' && path.includes('/queues/') && ++listings === at;
      let rewritten = 0;
      hooks.before(isThen, async () => {
        await evaq.deadLetters.removeMany([1, 3, 5, 7, 9, 11]);
        rewritten = (await evaq.deadLetters.compact()).rewrittenSegments;
      });
      const backup = join(folder, `backup-${at}`);
      await backUp(store, backup, { ...NODE, ...hooks.ports });
      isOver = !hooks.allRan;
      if (!isOver) expect(rewritten).toBe(1);
      await using copy = await Evaq.openReadOnly(backup);
      const wal: number[] = [];
      for await (const { id } of copy.wal.records()) wal.push(id);
      expect(wal).toEqual(await idsOf(evaq.wal));
    }
  }, 30_000);

  test('P1: nor does one whose segment has lost its footer, when the store is opened or read', async () => {
    const store = join(temporary(), 'store');
    const made = await StoreImport.begin(store, [{ name: 'wal' }, { name: 'dead-letters' }]);
    const origin = { queue: 'wal', id: 1, timestamp: 1 };
    await made.add({ queue: 'wal', id: 1, timestamp: 1, payload: Buffer.from('r'), meta: {} });
    await made.add({ queue: 'dead-letters', id: 1, timestamp: 1, payload: Buffer.from('letter'), meta: { origin } });
    await made.finish();
    const dir = join(store, 'queues/dead-letters');
    for (const name of readdirSync(dir).filter((one) => one.endsWith('.seg'))) {
      const bytes = readFileSync(join(dir, name));
      bytes.fill(0, bytes.length - 16);
      writeFileSync(join(dir, name), bytes);
    }
    {
      await using reader = await Evaq.openReadOnly(store);
      expect(await reader.wal.get(1)).toBeDefined();
    }
    await using evaq = await Evaq.open(store, { onCorruption: 'quarantine' });
    expect(evaq.recovery.damage.length).toBeGreaterThan(0);
    expect(evaq.recovery.movesCompleted).toBe(0);
    expect(await idsOf(evaq.wal)).toEqual([1]);
  });

  test('one that is ended when it is a store already leaves none; of two at once in one place one is whole', async () => {
    const disk = new SimDisk({ seed: 1 });
    const ports = { vfs: disk.vfs, host: disk.host };
    await using evaq = await Evaq.open('/store', { ports });
    await evaq.wal.pushMany(['a ', 'b ']);
    const ending = new AbortController();
    const hooks = new Hooks(disk.vfs, disk.host);
    hooks.before(
      ({ name, path }) => name === 'syncDir' && path === '/ended' && disk.read('/ended/STORE') !== undefined,
      async () => ending.abort(new Error('ended')),
    );
    const options = { host: disk.host, links: true, lockNote: ownLockNote(timeOf(disk.host)) };
    const ended = backUpStore('/store', '/ended', { ...options, vfs: hooks.ports.vfs, signal: ending.signal });
    await expect(ended).rejects.toThrow('ended');
    expect(hooks.allRan).toBe(true);
    expect((await disk.vfs.list('/ended')).map(({ name }) => name)).toEqual(['queues']);

    // The other one comes in between when this one has found the folder empty.
    const late = new Hooks(disk.vfs, disk.host);
    late.before(
      ({ name, path }) => name === 'makeDir' && path === '/both/queues',
      () => backUp('/store', '/both', ports),
    );
    await expect(backUp('/store', '/both', late.ports)).rejects.toMatchObject({ code: 'EVAQ_IO' });
    expect(late.allRan).toBe(true);
    expect((await verifyStore('/both', { vfs: disk.vfs })).damage).toEqual([]);
    expect(await namesIn('/both', ports)).toEqual(
      new Map([
        ['a', 1],
        ['b', 1],
      ]),
    );
  });

  test('P6: files that a backup shares are never written to again, nor does opening the backup change the store', async () => {
    const folder = temporary();
    const store = join(folder, 'store');
    const backup = join(folder, 'backup');
    await using evaq = await Evaq.open(store, { segmentBytes: 64 * 1024, recycleSegments: 4 });
    const fillAll = async (name: string): Promise<void> => {
      for (let i = 0; i < 10; i++)
        await evaq.wal.pushMany(Array.from({ length: 20 }, () => `${name} ${'x'.repeat(3000)}`));
    };
    await fillAll('a');
    const report = await backUp(store, backup, NODE);
    expect(report.linkedFiles).toBeGreaterThan(5);
    const dir = join(backup, 'queues/wal');
    const shared = readdirSync(dir).filter((name) => name.endsWith('.seg') && statSync(join(dir, name)).nlink > 1);
    expect(shared.length).toBeGreaterThan(5);
    const before = shared.map((name) => readFileSync(join(dir, name)));
    // All of it dies, and what is pushed then would overwrite dead files.
    for (let round = 0; round < 3; round++) {
      await evaq.wal.removeThrough(Number.MAX_SAFE_INTEGER - 1);
      await evaq.wal.compact();
      await fillAll('b');
    }
    expect(shared.map((name) => readFileSync(join(dir, name)))).toEqual(before);
    expect((await verifyStore(backup)).damage).toEqual([]);

    // The other way round: the backup is used as a store, while the store shares with it.
    const second = join(folder, 'second');
    await backUp(store, second, NODE);
    {
      await using copy = await Evaq.open(second, { segmentBytes: 64 * 1024 });
      expect(copy.wal.stats().live).toBe(evaq.wal.stats().live);
      await copy.wal.removeThrough(Number.MAX_SAFE_INTEGER - 1);
      await copy.wal.compact();
      for (let i = 0; i < 10; i++) await copy.wal.pushMany(Array.from({ length: 20 }, () => `c ${'x'.repeat(3000)}`));
    }
    expect((await verifyStore(store)).damage).toEqual([]);
    for await (const { payload } of evaq.wal.records()) expect(payload.toString('latin1', 0, 2)).toBe('b ');
  });

  test('message IDs and checkpoints go with it, and IDs are not given out twice', async () => {
    const folder = temporary();
    const store = join(folder, 'store');
    {
      await using evaq = await Evaq.open(store, { dedupe: {} });
      await evaq.pushWal('a', { messageId: 'm1' });
      await evaq.wal.pushMany([{ payload: 'b', messageId: 'm2' }], { checkpoint: { source: 's', position: '17' } });
      await evaq.wal.remove(1);
    }
    {
      // What is sealed is not asked for them any more: only the intake log knows.
      await using _evaq = await Evaq.open(store, { dedupe: {} });
      await backUp(store, join(folder, 'backup'), NODE);
    }
    await using copy = await Evaq.open(join(folder, 'backup'), { dedupe: {} });
    // It is known, and so nothing is pushed.
    expect(await copy.pushWal('b again', { messageId: 'm2' })).toBe(2);
    expect(copy.wal.stats().live).toBe(1);
    expect(await copy.pushWal('c', { messageId: 'm3' })).toBe(3);
    expect(await copy.wal.checkpoint('s')).toBe('17');
  });

  test.each(['the commit of a footer', 'the only segment of a queue is blank'])(
    'P9: damage that costs nothing does not keep anybody from it: %s',
    async (damage) => {
      const folder = temporary();
      const from = join(folder, 'store');
      const evaq = await Evaq.open(from, { segmentBytes: 64 * 1024, gc: false });
      await evaq.wal.pushMany(Array.from({ length: 20 }, () => Buffer.alloc(8000, 1)));
      if (damage === 'the commit of a footer') {
        await evaq.close();
        const [sealed = ''] = segmentsOf(from);
        const footer = readFileSync(sealed).lastIndexOf(Buffer.from([0xc0, 0xe7, 3]));
        overwrite(sealed, footer + 30, Buffer.from([0xff]));
      } else {
        cpSync(from, `${from}.killed`, { recursive: true });
        await evaq.close();
        rmSync(from, { recursive: true });
        cpSync(`${from}.killed`, from, { recursive: true });
        for (const blank of segmentsOf(from, 'dead-letters')) truncateSync(blank, 0);
      }
      const { damage: told } = await verifyStore(from);
      expect(told.map(({ lossless }) => lossless)).toEqual(damage === 'the commit of a footer' ? [true] : []);
      await backUp(from, join(folder, 'backup'), NODE);
      await using backup = await Evaq.open(join(folder, 'backup'));
      expect(await idsOf(backup.wal)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
      expect(await backup.deadLetters.push('x')).toBe(1);
    },
  );

  test('refuses a folder that holds something, a store that is damaged, and what is no store; what it left is none', async () => {
    const folder = temporary();
    const store = join(folder, 'store');
    {
      await using evaq = await Evaq.open(store);
      await evaq.wal.pushMany(['a', 'b', 'c']);
    }
    const codeOf = async (from: string, to: string): Promise<unknown> =>
      backUp(from, to, NODE).then(
        () => 'done',
        (error: unknown) => (error instanceof EvaqError ? error.code : error),
      );
    expect(await codeOf(store, folder)).toBe('EVAQ_IO');
    expect(await codeOf(join(folder, 'none'), join(folder, 'to'))).toBe('EVAQ_NOT_A_STORE');
    const [segment = ''] = readdirSync(join(store, 'queues/wal')).filter((name) => name.endsWith('.seg'));
    const path = join(store, 'queues/wal', segment);
    const bytes = readFileSync(path);
    // The body of a sealed segment: only reading every byte finds it.
    bytes.writeUInt8(bytes.readUInt8(128 + 48 + 9) ^ 1, 128 + 48 + 9);
    writeFileSync(path, bytes);
    expect(await codeOf(store, join(folder, 'to-2'))).toBe('EVAQ_CORRUPT');
    bytes.fill(7, 0, 128);
    writeFileSync(path, bytes);
    expect(await codeOf(store, join(folder, 'to-3'))).toBe('EVAQ_CORRUPT');
    await expect(Evaq.openReadOnly(join(folder, 'to-3'))).rejects.toThrow();
  });

  test('is not made in the store itself, whatever way its path takes there', async () => {
    const folder = temporary();
    const store = join(folder, 'store');
    await (await Evaq.open(store)).close();
    symlinkSync(store, join(folder, 'other'));
    symlinkSync(join(store, 'queues'), join(folder, 'inside'));
    const before = readdirSync(store, { recursive: true, encoding: 'utf8' }).sort();
    for (const to of [
      'store',
      'store/copy',
      'store/a/b',
      'store/queues/copy',
      'other/copy',
      'inside/copy',
      'other/../store/x',
    ]) {
      await expect(backUp(store, `${folder}/${to}`, NODE), to).rejects.toMatchObject({
        code: 'EVAQ_IO',
        message: expect.stringContaining('lies in the store'),
      });
    }
    expect(readdirSync(store, { recursive: true, encoding: 'utf8' }).sort()).toEqual(before);
    await backUp(store, join(folder, 'store-2'), NODE);
  });
});
