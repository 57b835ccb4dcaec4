/**
 * P15 on a store with everything in it: dense and rewritten segments, a file of the recycle pool in its second life, wide commits and small ones,
 * removals, dropped segments. Something in it is damaged, missing, or restored from an earlier day; what any reader can read then is there after a repair,
 * and after an open that goes on without one, and what cannot be read is named by all: exactly that, and nothing that is there.
 */

import { EvaqError } from '../../../src/errors.js';
import { Evaq } from '../../../src/evaq.js';
import { isOfRemovals } from '../../../src/log/damage.js';
import { verifyStore } from '../../../src/raw.js';
import type { Damage as SimDamage } from '../../../src/sim/sim-damage.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { Prng } from '../../../src/sim/sim-prng.js';
import { repairStore } from '../../../src/store/store-repair.js';
import { closeWhole } from './closed-store.js';
import { BrokenPromise } from './store-model.js';

const STORE = '/p';
const DIR = `${STORE}/queues/wal`;
const NOTE = { pid: 1, host: 'h', bootId: 'b', since: '', script: 'repair' };
const SECTOR_BYTES = 512;

export interface SalvagedStore {
  readonly disk: SimDisk;
  /** By ID. */
  readonly live: ReadonlyMap<number, string>;
  /** Given out, and removed. */
  readonly removed: ReadonlySet<number>;
  /** Of the commit written last: nothing need say that it was synced. */
  readonly loose: ReadonlySet<number>;
  /** Of the round of removals that was written last, the same. */
  readonly looseRemoved: ReadonlySet<number>;
  readonly files: readonly { readonly path: string; readonly used: number }[];
  /** As they were earlier, some under names that are gone. */
  readonly older: readonly { readonly path: string; readonly bytes: Uint8Array }[];
}

/** What became of a file: something that the disk does by itself, or somebody with a backup. */
export type Misfortune =
  | SimDamage
  | { readonly kind: 'restore'; readonly path: string; readonly bytes: Uint8Array }
  | { readonly kind: 'remove all'; readonly files: 'seg' | 'tomb' };

function portsOf({ vfs, host }: SimDisk): { ports: { vfs: SimDisk['vfs']; host: SimDisk['host'] } } {
  return { ports: { vfs, host } };
}

export async function makeSalvagedStore(ending: 'closed' | 'killed'): Promise<SalvagedStore> {
  const disk = new SimDisk({ seed: 11, timing: 'steady', fill: 'zeros' });
  const evaq = await Evaq.open(STORE, { ...portsOf(disk), segmentBytes: 65_536, indexIntervalBytes: 512, gc: false });
  const { wal } = evaq;
  const live = new Map<number, string>();
  const removed = new Set<number>();
  let last: number[] = [];
  const push = async (count: number, bytes: number): Promise<void> => {
    const texts = Array.from({ length: count }, (_, i) =>
      `record ${live.size + removed.size + i + 1} `.padEnd(bytes, 'abc '),
    );
    const { firstId: first } = await wal.pushMany(texts);
    last = texts.map((_, i) => first + i);
    for (const [i, text] of texts.entries()) live.set(first + i, text);
  };
  let lastRemoved: readonly number[] = [];
  const remove = async (ids: readonly number[]): Promise<void> => {
    await wal.removeMany(ids);
    lastRemoved = ids;
    for (const id of ids) if (live.delete(id)) removed.add(id);
  };
  const older: { path: string; bytes: Uint8Array }[] = [];
  const keepCopies = async (): Promise<void> => {
    for (const path of await filesOf(disk)) older.push({ path, bytes: Buffer.from(disk.read(path) ?? []) });
  };
  for (let i = 0; i < 8; i++) await push(20, 900);
  await keepCopies();
  // The first segment goes into the pool, and is used again.
  await remove(Array.from({ length: 70 }, (_, i) => i + 1));
  await wal.compact();
  for (let i = 0; i < 6; i++) await push(20, 900);
  await keepCopies();
  // Every other record of a stretch: that is rewritten.
  await remove(Array.from({ length: 40 }, (_, i) => 72 + 2 * i));
  await wal.compact();
  await keepCopies();
  for (let i = 0; i < 4; i++) await push(3, 40);
  await remove([170, 171, 190, 282]);
  await push(12, 300);
  if (ending === 'closed') await closeWhole(evaq, disk);
  disk.kill();
  const settled = disk.crash(disk.nothingSurvives());
  const files: { path: string; used: number }[] = [];
  for (const path of await filesOf(settled)) {
    const bytes = settled.read(path) ?? new Uint8Array(0);
    let used = bytes.length;
    while (used > 0 && bytes[used - 1] === 0) used--;
    files.push({ path, used });
  }
  const loose = new Set(ending === 'killed' ? last : []);
  const looseRemoved = new Set(ending === 'killed' ? lastRemoved : []);
  return { disk: settled, live, removed, loose, looseRemoved, files, older };
}

async function filesOf(disk: SimDisk): Promise<string[]> {
  const names = (await disk.vfs.list(DIR)).map(({ name }) => name);
  return names
    .filter((name) => /\.(seg|tomb)$/.test(name))
    .sort()
    .map((name) => `${DIR}/${name}`);
}

/** What `seed` makes of a store; damages whose end the store cannot be told to be damaged are not among them. */
export function damageOf(store: SalvagedStore, seed: number): Misfortune[] {
  const random = new Prng(seed);
  const pick = <T>(items: readonly T[]): T | undefined => items[random.below(items.length)];
  // A third of the time a log of removals.
  const kind = random.below(3) === 0 ? '.tomb' : '.seg';
  const { path, used } = pick(store.files.filter((one) => one.path.endsWith(kind))) ?? { path: '', used: 0 };
  const sector = SECTOR_BYTES * random.below(Math.max(1, Math.ceil(used / SECTOR_BYTES)));
  const length = Math.min(SECTOR_BYTES * (1 + random.below(3)), used - sector);
  const flip = (): SimDamage => ({ kind: 'flip', path, offset: random.below(used), bit: random.below(8) });
  const another = pick(store.files)?.path ?? '';
  const old = pick(store.older) ?? { path: '', bytes: new Uint8Array(0) };
  switch (random.below(13)) {
    case 0:
      return [flip()];
    case 1:
      return [{ kind: 'zero', path, offset: sector, length }];
    case 2:
      return [{ kind: 'noise', path, offset: sector, length }];
    case 3:
      return [{ kind: 'zero', path, offset: 0, length: SECTOR_BYTES }];
    case 4:
      return [{ kind: 'truncate', path, size: random.below(used) }];
    case 5:
      return [{ kind: 'remove', path }];
    case 6:
      return [{ kind: 'noise', path, offset: sector, length }, flip()];
    case 7:
      return path === another ? [{ kind: 'remove', path }] : [flip(), { kind: 'remove', path: another }];
    case 8:
      return path === another
        ? [{ kind: 'remove', path }]
        : [
            { kind: 'remove', path },
            { kind: 'remove', path: another },
          ];
    case 9:
      return [{ kind: 'remove all', files: random.below(3) === 0 ? 'tomb' : 'seg' }];
    case 10:
    case 11:
      return [{ kind: 'restore', ...old }];
    default:
      return [{ kind: 'zero', path, offset: Math.max(0, used - SECTOR_BYTES), length: Math.min(used, SECTOR_BYTES) }];
  }
}

async function suffer(disk: SimDisk, one: Misfortune): Promise<void> {
  if (one.kind === 'restore') disk.place(one.path, one.bytes);
  else if (one.kind !== 'remove all') disk.damage(one);
  else for (const path of await filesOf(disk)) if (path.endsWith(one.files)) disk.remove(path);
}

/** What a reader that passes over damage has: by iterating, and by asking for each ID; they have to agree. */
async function readableOf(store: SalvagedStore, disk: SimDisk, who: 'reader' | 'writer'): Promise<Map<number, string>> {
  const options = { ...portsOf(disk), onCorruption: 'quarantine' } as const;
  const evaq =
    who === 'reader'
      ? await Evaq.openReadOnly(STORE, options)
      : await Evaq.open(STORE, { ...options, create: false, gc: false, segmentBytes: 65_536, indexIntervalBytes: 512 });
  const found = new Map<number, string>();
  for await (const { id, payload } of evaq.wal.records()) found.set(id, payload.toString());
  const highest = Math.max(...store.live.keys(), ...store.removed) + 1;
  for (let id = 1; id <= highest; id++) {
    const one = (await evaq.wal.get(id))?.payload.toString();
    if (one !== found.get(id))
      broken(`${who}: get(${id}) has ${one?.slice(0, 20)}, records() ${found.get(id)?.slice(0, 20)}`);
  }
  await evaq.close();
  return found;
}

function broken(what: string): never {
  throw new BrokenPromise('P15', what);
}

function rangesOf(ids: readonly number[]): string {
  return ids.length > 12 ? `${ids.slice(0, 6).join()}...${ids.slice(-6).join()} (${ids.length})` : ids.join();
}

/** Nothing false, nothing removed, unless removals are lost and that is told; and all that was readable before. */
function compare(
  store: SalvagedStore,
  before: ReadonlyMap<number, string>,
  found: ReadonlyMap<number, string>,
  when: string,
  undone: ReadonlySet<number>,
): void {
  for (const [id, text] of found) {
    if (store.removed.has(id)) {
      if (undone.has(id)) continue;
      throw new BrokenPromise('P2', `${when}: removed record ${id} is there again`);
    }
    if (store.live.get(id) !== text) throw new BrokenPromise('P3', `${when}: ${id} reads ${text.slice(0, 40)}`);
  }
  // A repair may bring removals back that were lost.
  const gone = [...before.keys()].filter((id) => !found.has(id) && !store.removed.has(id));
  if (gone.length > 0) broken(`${when}: records ${rangesOf(gone)} could be read before`);
}

/** The newest segment and the log that speaks of it are both gone: nothing tells how far IDs went, from this one on. */
function unstatedFrom(store: SalvagedStore, damage: readonly Misfortune[]): number {
  const isLogHit = damage.some((one) => one.kind === 'remove all' || one.path.endsWith('.tomb'));
  const newest = store.files.findLast(({ path, used }) => path.endsWith('.seg') && used > 128)?.path ?? '';
  const isNewestGone = damage.some((one) => one.kind === 'remove' && one.path === newest);
  const baseId = Number.parseInt(newest.slice(newest.lastIndexOf('/') + 1), 10);
  return isLogHit && isNewestGone ? baseId : Infinity;
}

function without(disk: SimDisk): SimDisk {
  disk.kill();
  return disk.crash(disk.nothingSurvives());
}

/** P8: no ID is given out again, but for those of which nothing tells that there were any. */
async function requireNewId(store: SalvagedStore, evaq: Evaq, unstated: number, when: string): Promise<void> {
  const given = [...store.live.keys(), ...store.removed].filter((id) => !store.loose.has(id) && id < unstated);
  const id = await evaq.wal.push('new');
  if (id <= Math.max(...given)) throw new BrokenPromise('P8', `after ${when} ID ${id} is given out again`);
}

/** Damages a copy of the store and checks all of it; throws a `BrokenPromise`. Resolves with how many records were lost. */
export async function checkSalvage(store: SalvagedStore, damage: readonly Misfortune[]): Promise<number> {
  const disk = store.disk.fork();
  for (const one of damage) await suffer(disk, one);
  const report = await verifyStore(STORE, { vfs: disk.fork().vfs });
  const removalsLost = report.damage.some((one) => !one.lossless && isOfRemovals(one));
  const undone = removalsLost ? store.removed : store.looseRemoved;
  let before: ReadonlyMap<number, string>;
  try {
    before = await readableOf(store, disk.fork(), 'reader');
  } catch (error) {
    // Files of different days that contradict each other: nobody may choose between them, and that is said.
    if (!(error instanceof EvaqError) || error.code !== 'EVAQ_CORRUPT' || report.damage.length === 0) throw error;
    return 0;
  }
  compare(store, before, before, 'a reader', undone);
  const unstated = unstatedFrom(store, damage);
  const lost = [...store.live.keys()].filter((id) => !before.has(id) && !store.loose.has(id) && id < unstated);

  const isNamed = (id: number): boolean =>
    report.damage.some(({ firstId = Infinity, lastId = -1 }) => firstId <= id && id <= lastId);
  const unnamed = lost.filter((id) => !isNamed(id));
  if (unnamed.length > 0) broken(`verify does not name ${rangesOf(unnamed)}: ${JSON.stringify(report.damage)}`);
  const exact = report.damage.filter(({ vague }) => vague !== true);
  const named = [...before.keys(), ...(removalsLost ? [] : store.removed)].filter(
    (id) =>
      !store.looseRemoved.has(id) && exact.some(({ firstId = Infinity, lastId = -1 }) => firstId <= id && id <= lastId),
  );
  if (named.length > 0) broken(`verify names ${rangesOf(named)}, not lost: ${JSON.stringify(report.damage)}`);
  // An open tells the same, of what it looks at: not of the bodies of sealed segments.
  const opening = disk.fork();
  const opened = await Evaq.open(STORE, { ...portsOf(opening), onCorruption: 'quarantine', create: false, gc: false });
  const untold = report.damage.filter(
    (one) =>
      one.what !== 'the body of a commit is damaged' &&
      one.what !== 'frames are damaged' &&
      !/footer|index/.test(one.what) &&
      !opened.recovery.damage.some((other) => JSON.stringify(other) === JSON.stringify(one)),
  );
  await requireNewId(store, opened, unstated, 'an open');
  await opened.close();
  if (untold.length > 0)
    broken(`an open does not tell ${JSON.stringify(untold)}: ${JSON.stringify(opened.recovery.damage)}`);

  // A writer that goes on without a repair.
  const going = disk.fork();
  compare(store, before, await readableOf(store, going, 'writer'), 'a writer', undone);
  compare(store, before, await readableOf(store, without(going), 'reader'), 'after an open', undone);

  // A repair.
  const repaired = disk.fork();
  const { plan, applied, left } = await repairStore(STORE, { ...portsOf(repaired).ports, lockNote: NOTE });
  if (!applied && plan.steps.length > 0) broken(`the repair was not applied: ${JSON.stringify(plan.steps)}`);
  if (applied && left.length > 0) broken(`the repair left ${JSON.stringify(left)}`);
  const after = await readableOf(store, without(repaired), 'reader');
  compare(store, before, after, 'after a repair', undone);
  // Of a file whose header can be worked out more can be read than before. Where removals are lost, what is missing may have been removed.
  const isPlanned = (id: number): boolean =>
    removalsLost || plan.lost.some(({ first, last }) => first <= id && id <= last);
  const unplanned = [...store.live.keys()].filter(
    (id) => !after.has(id) && !store.loose.has(id) && id < unstated && !isPlanned(id),
  );
  if (unplanned.length > 0) broken(`the plan does not name ${rangesOf(unplanned)}: ${JSON.stringify(plan)}`);
  const again = without(repaired);
  const mended = await Evaq.open(STORE, { ...portsOf(again), create: false, gc: false });
  await requireNewId(store, mended, unstated, 'a repair');
  await mended.close();
  return lost.length;
}
