/**
 * One store of lies, and all that reads or writes stores let loose on it. Each has to end, within a bound of calls and bytes, with a result or an
 * `EvaqError`; no reader changes a byte; nothing outside of the store is touched; no descriptor is left open.
 */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { crc32 } from '../../../src/checksum.js';
import { Evaq, EvaqError } from '../../../src/evaq.js';
import type { Queue } from '../../../src/queue/queue.js';
import { surveyRepair } from '../../../src/raw/repair-survey.js';
import { RawSegment, ReadOnlyEvaq, verifyStore } from '../../../src/raw.js';
import { ownLockNote } from '../../../src/store/store-lock.js';
import { repairStore } from '../../../src/store/store-repair.js';
import { nodeHost } from '../../../src/vfs/node-host.js';
import { nodeVfs } from '../../../src/vfs/node-vfs.js';
import { CountingVfs } from './counting-vfs.js';
import { lyingStore } from './lying-store.js';
import { type Dice, diceOf } from './random-store.js';

/** Records that are looked at by a reader: one that lies may be said to hold more than there is. */
const RECORDS_MAX = 2000;

export interface Finding {
  readonly seed: number;
  readonly actor: string;
  readonly what: string;
  readonly lies: readonly string[];
}

/** A store with about one lie in so many numbers; 0: none. Resolves with what is wrong. */
export async function runLies(seed: number, scratch: string): Promise<Finding[]> {
  const dice = diceOf(seed);
  const rate = [0, 400, 150, 150, 60, 30][dice(6)] ?? 0;
  const { files, lies } = lyingStore(dice, rate);
  const dir = join(scratch, String(seed));
  const store = join(dir, 'store');
  mkdirSync(join(dir, 'outside'), { recursive: true });
  writeFileSync(join(dir, 'outside', 'file'), 'not of the store');
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(store, path)), { recursive: true });
    writeFileSync(join(store, path), bytes);
  }
  const told = [...lies];
  if (rate > 0 && dice(3) === 0) told.push(putSomethingElse(store, [...files.keys()], dice));
  const run = new Run(seed, dir, told);
  await run.readers();
  await run.writers();
  if (rate === 0) await run.expectSound();
  rmSync(dir, { recursive: true, force: true });
  return run.findings;
}

/** A link, a pipe, a folder or a device where a file or a folder should be. */
function putSomethingElse(store: string, paths: readonly string[], dice: Dice): string {
  const places = [
    ...paths,
    ...paths,
    'LOCK',
    'queues',
    'queues/wal',
    'queues/wal/quarantine',
    'queues/odd',
    'STORE.tmp',
    'queues/wal/0000000000000009.free',
    'queues/wal/0000000000000009.dlv',
    'queues/wal/0000000000000009.itk',
    'queues/wal/0000000000000009.tomb.tmp',
  ];
  const place = places[dice(places.length)] ?? 'LOCK';
  const at = join(store, place);
  const kind = dice(6);
  if (kind !== 1 || !/^queues(?:\/[^/]+)?$/.test(place)) rmSync(at, { recursive: true, force: true });
  switch (kind) {
    case 0:
      symlinkSync('../../outside/file', at);
      return `a link to a file outside as ${place}`;
    case 1:
      // The folder of a queue may be elsewhere.
      if (/^queues(?:\/[^/]+)?$/.test(place)) return 'nothing else';
      symlinkSync(join(store, '..', 'outside'), at);
      return `a link to a folder outside as ${place}`;
    case 2:
      symlinkSync(at, at);
      return `a link to itself as ${place}`;
    case 3:
      symlinkSync('/dev/zero', at);
      return `a link to a device as ${place}`;
    case 4:
      spawnSync('mkfifo', [at]);
      return `a pipe as ${place}`;
    default:
      mkdirSync(join(at, 'within'), { recursive: true });
      return `a folder as ${place}`;
  }
}

class Run {
  readonly findings: Finding[] = [];
  readonly #seed: number;
  readonly #dir: string;
  readonly #lies: readonly string[];
  readonly #bytes: number;
  readonly #files: number;

  constructor(seed: number, dir: string, lies: readonly string[]) {
    this.#seed = seed;
    this.#dir = dir;
    this.#lies = lies;
    const sizes = [...fingerprint(join(dir, 'store')).values()].map(({ size }) => size);
    this.#bytes = sizes.reduce((sum, size) => sum + size, 0);
    this.#files = sizes.length;
  }

  #tell(actor: string, what: string): void {
    this.findings.push({ seed: this.#seed, actor, what, lies: this.#lies });
  }

  /** Runs `act`, which may reject with an `EvaqError` and nothing else, and looks at what it left. */
  async #let(actor: string, act: (vfs: CountingVfs) => Promise<void>): Promise<void> {
    console.log(`seed ${this.#seed}: ${actor}`);
    const vfs = new CountingVfs(nodeVfs);
    const outside = join(this.#dir, 'outside');
    const before = describeAll(outside);
    try {
      await act(vfs);
    } catch (error) {
      if (!(error instanceof EvaqError)) this.#tell(actor, `it ends with ${wordsOf(error)}`);
      else if (error.hint?.includes('This should never be') === true) this.#tell(actor, error.message);
      else
        for (let cause: unknown = error.cause; cause instanceof Error; cause = cause.cause)
          if (!(cause instanceof EvaqError) && !('errno' in cause))
            this.#tell(actor, `${error.code} hides ${wordsOf(cause)}`);
    }
    if (vfs.openFiles > 0) this.#tell(actor, `${vfs.openFiles} files are left open: ${vfs.openPaths.join(', ')}`);
    const callsMax = 4000 + 200 * this.#files;
    const bytesMax = 16 * 1024 * 1024 + 100 * this.#bytes;
    if (vfs.calls > callsMax) this.#tell(actor, `${vfs.calls} calls, for ${this.#files} files`);
    if (vfs.bytes > bytesMax) this.#tell(actor, `${vfs.bytes} bytes moved, for ${this.#bytes} in the store`);
    if (describeAll(outside) !== before) this.#tell(actor, 'something outside of the store has changed');
  }

  /** As `#let`, and not a byte of the store may change. */
  async #look(actor: string, act: (vfs: CountingVfs, store: string) => Promise<void>): Promise<void> {
    const store = join(this.#dir, 'store');
    const before = describeAll(store);
    await this.#let(actor, (vfs) => act(vfs, store));
    if (describeAll(store) !== before) this.#tell(actor, 'the store has changed');
  }

  async readers(): Promise<void> {
    await this.#look('verify', async (vfs, store) => {
      await verifyStore(store, { vfs });
    });
    for (const onCorruption of ['fail', 'quarantine'] as const) {
      await this.#look(`reading, ${onCorruption}`, async (vfs, store) => {
        await using evaq = await ReadOnlyEvaq.open(store, { onCorruption, ports: { vfs, host: nodeHost } });
        for (const name of await evaq.queueNames()) {
          const queue = await evaq.queue(name);
          const { nextId } = await queue.stats();
          for (const id of [1, 2, nextId - 1, nextId, 2 ** 52]) if (id >= 1) this.#see(await orRefused(queue.get(id)));
          await orRefused(queue.read({ from: 1, maxRecords: 100 }));
          await orRefused(this.#seeAll(queue.records()));
        }
      });
    }
    await this.#look('raw segments', async (vfs, store) => {
      for (const path of pathsBelow(store).filter((one) => one.endsWith('.seg'))) {
        await orRefused(
          (async () => {
            await using segment = await RawSegment.open(path, { vfs });
            let left = RECORDS_MAX;
            for await (const commit of segment.commits()) if (commit.offset < 0 || --left === 0) break;
            left = RECORDS_MAX;
            for await (const entry of segment.records()) {
              JSON.stringify(entry);
              if (--left === 0) break;
            }
          })(),
        );
      }
    });
    await this.#look('a plan of repair', async (vfs, store) => {
      const { plan } = await surveyRepair(store, { vfs });
      JSON.stringify(plan);
    });
  }

  async writers(): Promise<void> {
    for (const onCorruption of ['fail', 'quarantine'] as const) {
      await this.#let(`opening, ${onCorruption}`, async (vfs) => {
        const store = this.#copy(onCorruption);
        await this.#use(store, vfs, onCorruption);
        // What it left is a store that it can open.
        await this.#use(store, vfs, onCorruption);
      });
    }
    await this.#let('repair', async (vfs) => {
      const store = this.#copy('repair');
      const { applied } = await repairStore(store, { vfs, host: nodeHost, lockNote: ownLockNote(nodeHost.now()) });
      if (applied) await this.#use(store, vfs, 'quarantine');
    });
  }

  async expectSound(): Promise<void> {
    const { damage, torn } = await verifyStore(join(this.#dir, 'store'));
    if (damage.length + torn.length > 0)
      this.#tell('verify', `a sound store is said to be damaged: ${JSON.stringify([damage[0], torn[0]])}`);
  }

  #copy(name: string): string {
    const to = join(this.#dir, name);
    cpSync(join(this.#dir, 'store'), to, { recursive: true, verbatimSymlinks: true, filter: (path) => !isPipe(path) });
    return to;
  }

  async #use(store: string, vfs: CountingVfs, onCorruption: 'fail' | 'quarantine'): Promise<void> {
    const evaq = await Evaq.open(store, { onCorruption, create: false, gc: false, ports: { vfs, host: nodeHost } });
    try {
      for (const name of evaq.queueNames()) {
        const queue: Queue | undefined = await orRefused(evaq.queue(name));
        if (queue === undefined) continue;
        await orRefused(this.#seeAll(queue.records()));
        const id = await orRefused(queue.push('new'));
        if (id !== undefined) await orRefused(queue.get(id));
        await orRefused(queue.remove(1));
        await orRefused(queue.removeMany([1, 2, 3]));
        await orRefused(queue.compact());
      }
    } finally {
      await evaq.close();
    }
  }

  #see(record: unknown): void {
    JSON.stringify(record);
  }

  async #seeAll(records: AsyncIterable<{ readonly id: number }>): Promise<void> {
    let before = 0;
    let left = RECORDS_MAX;
    for await (const record of records) {
      this.#see(record);
      if (record.id <= before) this.#tell('records', `record ${record.id} behind record ${before}`);
      before = record.id;
      if (--left === 0) return;
    }
  }
}

/** Refusals are results. */
async function orRefused<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if (error instanceof EvaqError && error.cause === undefined) return undefined;
    throw error;
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error
    ? `${error.name}: ${(error.stack ?? error.message).split('\n').slice(0, 4).join(' | ')}`
    : String(error);
}

function isPipe(path: string): boolean {
  return lstatSync(path).isFIFO();
}

function pathsBelow(dir: string): string[] {
  if (!existsSync(dir) || !lstatSync(dir).isDirectory()) return [];
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    return entry.isDirectory() ? [path + sep, ...pathsBelow(path)] : [path];
  });
}

/** Every file and folder below, with what it is and holds. */
function fingerprint(dir: string): Map<string, { readonly what: string; readonly size: number }> {
  const found = new Map<string, { readonly what: string; readonly size: number }>();
  for (const path of pathsBelow(dir)) {
    const stat = lstatSync(path);
    if (stat.isSymbolicLink()) found.set(path, { what: readlinkSync(path), size: 0 });
    else if (stat.isFile()) found.set(path, { what: String(crc32(readFileSync(path))), size: stat.size });
    else found.set(path, { what: stat.isDirectory() ? 'folder' : 'other', size: 0 });
  }
  return found;
}

function describeAll(dir: string): string {
  return JSON.stringify([...fingerprint(dir)]);
}
