/**
 * Damage at rest: a small store that was closed cleanly, or killed, one thing in its files changed, and what may and may not follow from it.
 */
import { EvaqError } from '../../../src/errors.js';
import { Evaq } from '../../../src/evaq.js';
import type { Queue } from '../../../src/queue/queue.js';
import type { Damage as SimDamage } from '../../../src/sim/sim-damage.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { closeWhole } from './closed-store.js';
import { BrokenPromise } from './store-model.js';

export const STORE = '/d';
const QUEUES = ['wal', 'dead-letters'] as const;
type Name = (typeof QUEUES)[number];

/** A store at rest, and what it holds. */
export interface SmallStore {
  readonly disk: SimDisk;
  readonly live: Readonly<Record<Name, ReadonlyMap<number, string>>>;
  /** IDs of one commit each. */
  readonly commits: Readonly<Record<Name, readonly (readonly number[])[]>>;
  readonly highest: Readonly<Record<Name, number>>;
  /** The last commit of a queue whose writer was killed: nothing says that it was ever synced, so damage to it looks like a torn end. */
  readonly loose: Readonly<Record<Name, number>>;
  /** Paths of its files with their bytes in use: behind those are only zeros kept ahead. */
  readonly files: readonly { readonly path: string; readonly size: number; readonly used: number }[];
}

function open(disk: SimDisk, onCorruption: 'fail' | 'quarantine'): Promise<Evaq> {
  return Evaq.open(STORE, {
    ports: { vfs: disk.vfs, host: disk.host },
    onCorruption,
    segmentBytes: 65_536,
    indexIntervalBytes: 64,
    create: false,
  });
}

export async function makeSmallStore(ending: 'closed' | 'killed' = 'closed'): Promise<SmallStore> {
  const disk = new SimDisk({ seed: 5, timing: 'steady' });
  const evaq = await Evaq.open(STORE, {
    ports: { vfs: disk.vfs, host: disk.host },
    segmentBytes: 65_536,
    indexIntervalBytes: 64,
  });
  const { wal, deadLetters } = evaq;
  await wal.push('first');
  await wal.push('second, removed');
  await wal.pushMany(['third', 'fourth, removed', 'fifth, of a batch of three']);
  await wal.push('sixth, moved');
  await wal.push('seventh');
  await deadLetters.pushMany(['dead one', 'dead two']);
  await wal.remove(2);
  await evaq.deadLetter(6, { reason: 'no' });
  await wal.remove(4);
  await deadLetters.push('dead, removed');
  await deadLetters.remove(4);
  const loose = { wal: 0, 'dead-letters': 0 };
  if (ending === 'closed') await closeWhole(evaq, disk);
  else {
    loose.wal = await wal.push('loose');
    loose['dead-letters'] = await deadLetters.push('loose');
    disk.kill();
  }
  const live = {
    wal: new Map([
      [1, 'first'],
      [3, 'third'],
      [5, 'fifth, of a batch of three'],
      [7, 'seventh'],
    ]),
    'dead-letters': new Map([
      [1, 'dead one'],
      [2, 'dead two'],
      [3, 'sixth, moved'],
    ]),
  };
  for (const name of QUEUES) if (loose[name] > 0) live[name].set(loose[name], 'loose');
  const commits = { wal: [[1], [2], [3, 4, 5], [6], [7]], 'dead-letters': [[1, 2], [3], [4]] };
  const files: { path: string; size: number; used: number }[] = [];
  for (const path of await pathsOf(disk)) {
    const bytes = disk.read(path) ?? new Uint8Array(0);
    let used = bytes.length;
    while (used > 0 && bytes[used - 1] === 0) used--;
    files.push({ path, size: bytes.length, used });
  }
  disk.kill();
  const highest = { wal: 7, 'dead-letters': 4 };
  return { disk: disk.crash(disk.nothingSurvives()), live, commits, highest, loose, files };
}

async function pathsOf(disk: SimDisk): Promise<string[]> {
  const paths = [`${STORE}/STORE`];
  for (const name of QUEUES) {
    const dir = `${STORE}/queues/${name}`;
    for (const entry of await disk.vfs.list(dir))
      if (/\.(seg|tomb)$/.test(entry.name)) paths.push(`${dir}/${entry.name}`);
  }
  return paths;
}

/** What may be lost to a change. */
export interface Tolerance {
  /** 'commit': at most the records of one commit; 'file': all of a queue that the file belongs to. */
  readonly lost: 'nothing' | 'commit' | 'file';
  /** The store cannot be opened at all: both copies of its name are gone. */
  readonly refusal?: boolean;
  /** Removals may be undone, where the damage says so. */
  readonly undone?: boolean;
  /** What would tell of it is gone with it: it need not be reported. */
  readonly untold?: boolean;
}

/** Something wrong with whole sectors or files. */
export interface Misfortune {
  readonly damage: SimDamage;
  readonly tolerance: Tolerance;
}

const SECTOR_BYTES = 512;

/** What two files at once can hide: the last round of a store that was not closed is witnessed by nothing but the last commit. */
function isUntold(store: SmallStore, a: string, b: string): boolean {
  const tombs = [a, b].filter((path) => path.endsWith('.tomb')).length;
  return tombs === 1 && store.loose.wal > 0;
}

/** All that can happen to single sectors and whole files of a store, one at a time (R of the crash model). */
export function* misfortunes(store: SmallStore): Generator<Misfortune> {
  for (const { path, used } of store.files) {
    // Two copies of a header share a sector, and so do the two of a round.
    const isTomb = path.endsWith('.tomb');
    const tolerance: Tolerance = {
      lost: path.endsWith('STORE') ? 'nothing' : 'file',
      undone: isTomb,
      refusal: path.endsWith('STORE'),
    };
    for (let offset = 0; offset < used; offset += SECTOR_BYTES) {
      const length = Math.min(SECTOR_BYTES, used - offset);
      for (const kind of ['zero', 'noise', 'stale', 'unreadable'] as const) {
        yield { damage: { kind, path, offset, length }, tolerance };
      }
      for (const to of store.files) {
        for (let toOffset = 0; toOffset < to.used; toOffset += SECTOR_BYTES) {
          if (to.path === path && toOffset === offset) continue;
          const both: Tolerance = {
            lost: 'file',
            undone: isTomb || to.path.endsWith('.tomb'),
            untold: isUntold(store, path, to.path),
            refusal: tolerance.refusal === true || to.path.endsWith('STORE'),
          };
          yield { damage: { kind: 'misdirect', path, offset, length, toOffset, toPath: to.path }, tolerance: both };
        }
      }
    }
    // Of a store that was not closed nothing says which segments there were.
    const untold = store.loose.wal > 0 && path.endsWith('.seg');
    yield { damage: { kind: 'remove', path }, tolerance: { ...tolerance, untold } };
    yield { damage: { kind: 'empty', path }, tolerance };
    for (const fill of ['zeros', 'noise'] as const) {
      yield { damage: { kind: 'extend', path, size: used + 5000, fill }, tolerance: { ...tolerance, lost: 'nothing' } };
    }
    for (const other of store.files) {
      if (other.path <= path) continue;
      const both: Tolerance = {
        lost: 'file',
        undone: true,
        untold: isUntold(store, path, other.path),
        refusal: `${path}${other.path}`.includes('STORE'),
      };
      yield { damage: { kind: 'swap', path, with: other.path }, tolerance: both };
    }
  }
}

/** A sector that cannot be read is no corruption: calls reject, nothing is given up, and all is there once it can be read again. */
async function checkUnreadable(store: SmallStore, disk: SimDisk, path: string): Promise<'intact' | 'refused'> {
  const bytes = store.disk.read(path);
  let outcome: 'intact' | 'refused' = 'intact';
  try {
    const evaq = await open(disk, 'quarantine');
    for (const name of QUEUES) {
      for (const id of store.live[name].keys()) {
        const record = await queueOf(evaq, name).get(id);
        if (record?.payload.toString() !== store.live[name].get(id))
          throw new BrokenPromise('P1', `${name}/${id} is gone`);
      }
    }
    await evaq.close();
  } catch (error) {
    requireCode(error, ['EVAQ_IO', 'EVAQ_FAILED']);
    outcome = 'refused';
  }
  disk.kill();
  const later = disk.crash(disk.nothingSurvives());
  if (bytes !== undefined && later.read(path) !== undefined) later.place(path, bytes);
  const again = await open(later, 'fail');
  const missing = await lookAt(store, again, { lost: 'nothing' }, false);
  if (missing.size > 0) throw new BrokenPromise('P9', `${[...missing].join(', ')} after the disk can be read again`);
  await again.close();
  return outcome;
}

/** One after the other. */
export async function sufferAll(store: SmallStore, tally: Map<string, DamageTally>): Promise<void> {
  const broken: string[] = [];
  for (const { damage, tolerance } of misfortunes(store)) {
    const disk = store.disk.fork();
    disk.damage(damage);
    const counts = tally.get(damage.kind) ?? newDamageTally();
    tally.set(damage.kind, counts);
    try {
      const outcome =
        damage.kind === 'unreadable'
          ? await checkUnreadable(store, disk, damage.path)
          : await checkDamaged(store, disk, damage.path, tolerance);
      counts.changes++;
      counts[outcome]++;
    } catch (error) {
      broken.push(`${error instanceof Error ? error.message : String(error)} [${JSON.stringify(damage)}]`);
    }
  }
  if (broken.length > 0) throw new Error(broken.join('\n'));
}

/** Opens a damaged store both ways and checks all that has to hold; throws a `BrokenPromise`. */
export async function checkDamaged(
  store: SmallStore,
  damaged: SimDisk,
  path: string,
  tolerance: Tolerance,
): Promise<'intact' | 'told' | 'lost' | 'refused'> {
  const refusals = [
    'EVAQ_CORRUPT',
    'EVAQ_UNSUPPORTED_VERSION',
    ...(tolerance.refusal === true ? ['EVAQ_NOT_A_STORE'] : []),
  ];
  const strict = damaged.fork();
  const before = strict.hash();
  try {
    const evaq = await open(strict, 'fail');
    const missing = await lookAt(store, evaq, tolerance, false);
    if (missing.size > 0 && !missing.has('told') && tolerance.untold !== true)
      throw new BrokenPromise('P9', `${[...missing].join(', ')} silently gone`);
    await evaq.close();
  } catch (error) {
    requireCode(error, refusals);
    const after = strict.fork();
    // The lock is taken before anything is read; nothing else may have changed.
    if (
      strict.calls.some(
        ({ name, path: at }) =>
          ['write', 'truncate', 'remove', 'rename', 'create'].includes(name) && !at.endsWith('LOCK'),
      )
    ) {
      if (!(await sameFiles(after, damaged)))
        throw new BrokenPromise('P9', `a refused open changed the store (${before})`);
    }
  }
  strict.kill();

  const disk = damaged.fork();
  let evaq: Evaq;
  try {
    evaq = await open(disk, 'quarantine');
  } catch (error) {
    requireCode(error, refusals);
    if (tolerance.refusal !== true) throw new BrokenPromise('P9', `quarantine cannot open it: ${String(error)}`);
    return 'refused';
  }
  const missing = await lookAt(store, evaq, tolerance, true);
  // What is left is usable: pushed, removed, closed, opened, and the same again.
  const ids = { wal: await evaq.wal.push('new'), 'dead-letters': await evaq.deadLetters.push('new') };
  for (const name of QUEUES)
    if (ids[name] <= store.highest[name]) throw new BrokenPromise('P8', `${name}/${ids[name]} given out again`);
  await evaq.wal.remove(ids.wal);
  await evaq.deadLetters.remove(ids['dead-letters']);
  const seen = await readAll(evaq);
  const told =
    evaq.recovery.damage.length > 0 || evaq.wal.stats().damage.length > 0 || evaq.deadLetters.stats().damage.length > 0;
  await evaq.close();
  disk.kill();
  const later = disk.crash(disk.nothingSurvives());
  const again = await open(later, 'quarantine');
  const seenAgain = await readAll(again);
  for (const name of QUEUES) {
    if (JSON.stringify([...seen[name]]) !== JSON.stringify([...seenAgain[name]]))
      throw new BrokenPromise('P5', `${name}: another view at the next open, ${path}`);
  }
  await again.close();
  later.kill();
  missing.delete('told');
  return missing.size > 0 ? 'lost' : told ? 'told' : 'intact';
}

async function readAll(evaq: Evaq): Promise<Record<Name, Map<number, string>>> {
  const all = { wal: new Map<number, string>(), 'dead-letters': new Map<number, string>() };
  for (const name of QUEUES) {
    const queue = queueOf(evaq, name);
    for await (const { id, payload } of queue.records()) all[name].set(id, payload.toString());
  }
  return all;
}

function queueOf(evaq: Evaq, name: Name): Queue {
  return name === 'wal' ? evaq.wal : evaq.deadLetters;
}

/** Reads everything and compares. Resolves with what is missing; 'told' is among it if damage is reported. */
async function lookAt(store: SmallStore, evaq: Evaq, tolerance: Tolerance, quarantine: boolean): Promise<Set<string>> {
  const missing = new Set<string>();
  let told = evaq.recovery.damage.length > 0;
  for (const name of QUEUES) {
    const queue = queueOf(evaq, name);
    const expected = store.live[name];
    const there = new Set<number>();
    for (let from = 0; ; ) {
      let records: Awaited<ReturnType<Queue['read']>>;
      try {
        records = await queue.read({ from, maxRecords: 2 });
      } catch (error) {
        requireCode(error, ['EVAQ_CORRUPT']);
        if (quarantine) throw new BrokenPromise('P9', `reading ${name} stops at damage: ${String(error)}`);
        told = true;
        from =
          error instanceof EvaqError && error.details.lastId !== undefined
            ? error.details.lastId + 1
            : Number.MAX_SAFE_INTEGER;
        continue;
      }
      const last = records.at(-1);
      if (last === undefined) break;
      for (const { id, payload } of records) {
        const text = payload.toString();
        if (expected.get(id) !== text) {
          const isRemoved = !expected.has(id) && id <= store.highest[name];
          if (isRemoved && tolerance.undone === true && (told || tolerance.untold === true)) continue;
          throw new BrokenPromise(
            isRemoved ? 'P2' : 'P3',
            `${name}/${id} reads ${JSON.stringify(text.slice(0, 60))}, not ${JSON.stringify(expected.get(id))}`,
          );
        }
        there.add(id);
      }
      from = last.id + 1;
    }
    const gone = [...expected.keys()].filter((id) => !there.has(id) && id !== store.loose[name]);
    told ||= queue.stats().damage.length > 0 || evaq.recovery.damage.length > 0;
    if (gone.length === 0) continue;
    for (const id of gone) missing.add(`${name}/${id}`);
    if (tolerance.lost === 'nothing')
      throw new BrokenPromise('P1', `${name}/${gone.join(',')} lost to damage elsewhere`);
    if (tolerance.lost === 'commit' && !store.commits[name].some((commit) => gone.every((id) => commit.includes(id)))) {
      throw new BrokenPromise('P9', `${name}/${gone.join(',')} lost: more than one commit`);
    }
    if (tolerance.untold === true) continue;
    if (!told) throw new BrokenPromise('P9', `${name}/${gone.join(',')} lost and not reported`);
    const reports = [...evaq.recovery.damage, ...queue.stats().damage].filter((one) => one.queue === name);
    const named = gone.every((id) =>
      reports.some(({ firstId = 0, lastId = Infinity }) => firstId <= id && id <= lastId),
    );
    if (quarantine && !named)
      throw new BrokenPromise('P9', `${name}/${gone.join(',')} lost; the reports name other records`);
  }
  if (told) missing.add('told');
  return missing;
}

async function sameFiles(a: SimDisk, b: SimDisk): Promise<boolean> {
  const paths = await pathsOf(a);
  const others = await pathsOf(b);
  if (paths.join() !== others.join()) return false;
  return paths.every((path) => Buffer.from(a.read(path) ?? []).equals(Buffer.from(b.read(path) ?? [])));
}

function requireCode(error: unknown, codes: readonly string[]): void {
  if (error instanceof BrokenPromise) throw error;
  if (error instanceof EvaqError && codes.includes(error.code)) return;
  const broken = new BrokenPromise(
    'P9',
    `damage led to ${error instanceof Error ? `${error.name} ${error.message}` : String(error)}`,
  );
  broken.cause = error;
  throw broken;
}

/** How a change to one file is named, and what it may cost. */
export function toleranceOf(path: string, change: 'flip' | 'byte' | 'cut', offset: number): Tolerance {
  if (path.endsWith('STORE')) return { lost: 'nothing', refusal: change === 'cut' && offset < 64 };
  if (path.endsWith('.tomb')) return { lost: 'nothing', undone: change === 'cut' };
  return change === 'cut' ? { lost: 'file' } : { lost: 'commit' };
}

export interface DamageTally {
  changes: number;
  intact: number;
  told: number;
  lost: number;
  refused: number;
}

export function newDamageTally(): DamageTally {
  return { changes: 0, intact: 0, told: 0, lost: 0, refused: 0 };
}

/** One change after the other; `pick` says which of them. */
export async function damageAll(
  store: SmallStore,
  kind: 'flip' | 'zero' | 'ones' | 'cut',
  pick: (path: string, offset: number, bit: number) => boolean,
  tally: DamageTally = newDamageTally(),
): Promise<DamageTally> {
  for (const { path, used } of store.files) {
    for (let offset = 0; offset < used; offset++) {
      for (let bit = 0; bit < (kind === 'flip' ? 8 : 1); bit++) {
        if (!pick(path, offset, bit)) continue;
        const disk = store.disk.fork();
        if (kind === 'flip') disk.damage({ kind, path, offset, bit });
        else if (kind === 'cut') disk.damage({ kind: 'truncate', path, size: offset });
        else {
          const bytes = disk.read(path) ?? new Uint8Array(0);
          const value = kind === 'zero' ? 0 : 0xff;
          if (bytes[offset] === value) continue;
          bytes[offset] = value;
          disk.place(path, bytes);
        }
        const change = kind === 'flip' ? 'flip' : kind === 'cut' ? 'cut' : 'byte';
        try {
          const outcome = await checkDamaged(store, disk, path, toleranceOf(path, change, offset));
          tally.changes++;
          tally[outcome]++;
        } catch (error) {
          if (error instanceof Error)
            error.message += ` [${kind} at ${offset}${kind === 'flip' ? ` bit ${bit}` : ''} of ${path}, ${used} B in use]`;
          throw error;
        }
      }
    }
  }
  return tally;
}
