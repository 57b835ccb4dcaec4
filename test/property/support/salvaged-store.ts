/**
 * P15 on a store with everything in it: dense and rewritten segments, a file of the recycle pool in its second life, wide commits and small ones,
 * removals. Something in it is damaged; what any reader can read then is there after a repair, and after an open that goes on without one, and what
 * cannot be read is named by all.
 */
import { Evaq } from '../../../src/evaq.js';
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
  readonly files: readonly { readonly path: string; readonly used: number }[];
}

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
  const remove = async (ids: readonly number[]): Promise<void> => {
    await wal.removeMany(ids);
    for (const id of ids) if (live.delete(id)) removed.add(id);
  };
  for (let i = 0; i < 8; i++) await push(20, 900);
  // The first segment goes into the pool, and is used again.
  await remove(Array.from({ length: 70 }, (_, i) => i + 1));
  await wal.compact();
  for (let i = 0; i < 6; i++) await push(20, 900);
  // Every other record of a stretch: that is rewritten.
  await remove(Array.from({ length: 40 }, (_, i) => 72 + 2 * i));
  await wal.compact();
  for (let i = 0; i < 4; i++) await push(3, 40);
  await remove([170, 171, 190, 282]);
  await push(12, 300);
  if (ending === 'closed') await closeWhole(evaq, disk);
  disk.kill();
  const settled = disk.crash(disk.nothingSurvives());
  const files: { path: string; used: number }[] = [];
  for (const { name } of await settled.vfs.list(DIR)) {
    if (!/\.(seg|tomb)$/.test(name)) continue;
    const bytes = settled.read(`${DIR}/${name}`) ?? new Uint8Array(0);
    let used = bytes.length;
    while (used > 0 && bytes[used - 1] === 0) used--;
    files.push({ path: `${DIR}/${name}`, used });
  }
  const loose = new Set(ending === 'killed' ? last : []);
  return { disk: settled, live, removed, loose, files };
}

/** What `seed` makes of a store; damages whose end the store cannot be told to be damaged are not among them. */
export function damageOf(store: SalvagedStore, seed: number): SimDamage[] {
  const random = new Prng(seed);
  const segments = store.files.filter(({ path }) => path.endsWith('.seg'));
  const { path, used } = segments[random.below(segments.length)] ?? { path: '', used: 0 };
  const sector = SECTOR_BYTES * random.below(Math.max(1, Math.ceil(used / SECTOR_BYTES)));
  const length = Math.min(SECTOR_BYTES * (1 + random.below(3)), used - sector);
  switch (random.below(8)) {
    case 0:
      return [{ kind: 'flip', path, offset: random.below(used), bit: random.below(8) }];
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
      return [
        { kind: 'noise', path, offset: sector, length },
        { kind: 'flip', path, offset: random.below(used), bit: random.below(8) },
      ];
    default:
      return [{ kind: 'zero', path, offset: Math.max(0, used - SECTOR_BYTES), length: Math.min(used, SECTOR_BYTES) }];
  }
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

/** Nothing false, nothing removed; and all that was readable before. */
function compare(
  store: SalvagedStore,
  before: ReadonlyMap<number, string>,
  found: ReadonlyMap<number, string>,
  when: string,
): void {
  for (const [id, text] of found) {
    if (store.removed.has(id)) throw new BrokenPromise('P2', `${when}: removed record ${id} is there again`);
    if (store.live.get(id) !== text) throw new BrokenPromise('P3', `${when}: ${id} reads ${text.slice(0, 40)}`);
  }
  const gone = [...before.keys()].filter((id) => !found.has(id));
  if (gone.length > 0) broken(`${when}: records ${rangesOf(gone)} could be read before`);
}

/** Damages a copy of the store and checks all of it; throws a `BrokenPromise`. Resolves with how many records were lost. */
export async function checkSalvage(store: SalvagedStore, damage: readonly SimDamage[]): Promise<number> {
  const disk = store.disk.fork();
  for (const one of damage) disk.damage(one);
  const before = await readableOf(store, disk.fork(), 'reader');
  compare(store, before, before, 'a reader');
  const lost = [...store.live.keys()].filter((id) => !before.has(id) && !store.loose.has(id));

  const ports = { vfs: disk.fork().vfs };
  const report = await verifyStore(STORE, ports);
  const isNamed = (id: number): boolean =>
    report.damage.some(({ firstId, lastId = Infinity }) => firstId !== undefined && firstId <= id && id <= lastId);
  // Of the newest segment of a writer that was killed nothing but itself says how far its IDs went.
  const isUntold = store.loose.size > 0 && damage.some(({ kind }) => kind === 'remove');
  const unnamed = isUntold ? [] : lost.filter((id) => !isNamed(id));
  if (unnamed.length > 0) broken(`verify does not name ${rangesOf(unnamed)}: ${JSON.stringify(report.damage)}`);
  // A writer that goes on without a repair.
  const going = disk.fork();
  compare(store, before, await readableOf(store, going, 'writer'), 'a writer');
  going.kill();
  compare(store, before, await readableOf(store, going.crash(going.nothingSurvives()), 'reader'), 'after an open');

  // A repair.
  const repaired = disk.fork();
  const { plan, applied, left } = await repairStore(STORE, { ...portsOf(repaired).ports, lockNote: NOTE });
  if (!applied && plan.steps.length > 0) broken(`the repair was not applied: ${JSON.stringify(plan.steps)}`);
  if (applied && left.length > 0) broken(`the repair left ${JSON.stringify(left)}`);
  repaired.kill();
  const after = await readableOf(store, repaired.crash(repaired.nothingSurvives()), 'reader');
  compare(store, before, after, 'after a repair');
  // Of a file whose header can be worked out more can be read than before.
  const isPlanned = (id: number): boolean => plan.lost.some(({ first, last }) => first <= id && id <= last);
  const unplanned = [...store.live.keys()].filter(
    (id) => !after.has(id) && !store.loose.has(id) && !isUntold && !isPlanned(id),
  );
  if (unplanned.length > 0) broken(`the plan does not name ${rangesOf(unplanned)}: ${JSON.stringify(plan)}`);
  return lost.length;
}
