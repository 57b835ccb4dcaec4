/** Backups of stores that are in use: each is a store that holds what it must, once, and nothing that had gone before. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Evaq, EvaqError } from '../../../src/evaq.js';
import { verifyStore } from '../../../src/raw.js';
import { SimDisk } from '../../../src/sim.js';
import { type BackupReport, backUpStore } from '../../../src/store/store-backup.js';
import { ownLockNote } from '../../../src/store/store-lock.js';
import { type Host, timeOf } from '../../../src/vfs/host.js';
import { nodeHost } from '../../../src/vfs/node-host.js';
import { nodeVfs } from '../../../src/vfs/node-vfs.js';
import type { Vfs } from '../../../src/vfs/vfs.js';
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
    const { firstId } = await queue.pushMany(names.map((name) => `${name} ${'x'.repeat(Math.floor(this.#random() * 5000))}`));
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
function wrongs(fates: ReadonlyMap<string, Fate>, counts: ReadonlyMap<string, number>, since: number, until: number): string[] {
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
  test('P1, P2, P10: holds each record once that was there before and after, and none that had gone, on a simulated disk', async () => {
    let moves = 0;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1e6 }), async (seed) => {
        const disk = new SimDisk({ seed });
        const ports = { vfs: disk.vfs, host: disk.host };
        const evaq = await Evaq.open('/store', { ports, segmentBytes: 64 * 1024, recycleSegments: 2 });
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
      { numRuns: Number(process.env.RUNS ?? 3), endOnFailure: true },
    );
    expect(moves).toBeGreaterThan(100);
  }, 60_000);
});
