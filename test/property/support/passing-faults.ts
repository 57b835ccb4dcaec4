/**
 * Every call that a store makes of its disk fails once, in a run of its own, with an error that passes: only the call concerned may reject, later
 * calls work, and what was to be done in the background is done again.
 */
import { EvaqError } from '../../../src/errors.js';
import { Evaq } from '../../../src/evaq.js';
import type { SimCallName } from '../../../src/sim/sim-call.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import type { SimErrorName } from '../../../src/sim/sim-error.js';
import { stepsOf } from './liveness.js';

const STORE = '/srv/store';
const SEED = 5;
/** Enough of the largest for several segments. */
const BYTES = 9_000;
const SLACK_FILES = 2;
/** Of simulated time, for work in the background: longer than any back-off. */
const REST_MS = 5 * 60_000;
const ERRORS: readonly SimErrorName[] = ['EMFILE', 'EIO', 'ENOSPC', 'ENOMEM', 'ENFILE', 'EAGAIN'];
/** No failure of theirs passes: they are the ones that say what is durable. */
const NEVER_PASSING: ReadonlySet<SimCallName> = new Set(['sync', 'writeAndSyncBlocking']);

/** One call to fail: the nth of its name since the store was made. */
export interface OneFault {
  readonly on: SimCallName;
  readonly nth: number;
  readonly error: SimErrorName;
  /** For messages. */
  readonly path: string;
}

export function describeFault({ on, nth, error, path }: OneFault): string {
  return `${error} at ${on} #${nth} (${path})`;
}

/** What a rest left that a rest without the fault does not leave: work in the background that was not done again. */
export function leftOver(files: ReadonlyMap<string, number>, usual: ReadonlyMap<string, number>): string[] {
  const found: string[] = [];
  for (const [kind, count] of files) {
    // Where a segment ends depends on what failed; a file more or less is nothing.
    const more = kind === 'seg' || kind === 'free' ? SLACK_FILES : 0;
    if (count > (usual.get(kind) ?? 0) + more)
      found.push(`${count} files .${kind}, and ${usual.get(kind) ?? 0} without the fault`);
  }
  return found;
}

export interface Outcome {
  /** What was not as it should be. */
  readonly wrong: readonly string[];
  /** Files after a rest, by kind. */
  readonly files: ReadonlyMap<string, number>;
  readonly disk: SimDisk;
}

/** The faults there may be, one for each call of a run in which none happens. */
export async function everyFault(): Promise<OneFault[]> {
  const { disk, wrong } = await runWith(undefined);
  if (wrong.length > 0) throw new Error(`without a fault: ${wrong.join('; ')}`);
  const counts = new Map<SimCallName, number>();
  const faults: OneFault[] = [];
  for (const { name, path, index } of disk.calls) {
    const on = name === 'writeBlocking' ? 'write' : name;
    const nth = (counts.get(on) ?? 0) + 1;
    counts.set(on, nth);
    // That the lock and the folder of a store could not be had is said at once.
    if (NEVER_PASSING.has(on) || on === 'lock' || on === 'release') continue;
    // A folder whose sync hit the disk and failed says nothing for good; one that could not be opened may be tried again.
    const errors = on === 'syncDir' ? ERRORS.filter((error) => error !== 'EIO' && error !== 'ENOSPC') : ERRORS;
    const error = errors[index % errors.length];
    if (error !== undefined) faults.push({ on, nth, error, path });
  }
  return faults;
}

/** A day in the life of a store. */
export async function runWith(fault: OneFault | undefined): Promise<Outcome> {
  const disk = new SimDisk({ seed: SEED, timing: 'steady' });
  const wrong: string[] = [];
  const live = new Set<string>();
  if (fault !== undefined) disk.fault({ on: fault.on, nth: fault.nth, error: fault.error });
  const isUsed = (): boolean => disk.calls.some(({ outcome }) => fault !== undefined && outcome === fault.error);
  const rest = (ms: number): Promise<void> => new Promise((resolve) => disk.host.after(ms, resolve));
  let mustWork = fault === undefined;

  /** The answer, or nothing where it was rejected, which it may be once, for the reason that there is. */
  const ask = async <T>(what: string, body: () => Promise<T> | T): Promise<T | undefined> => {
    let answer: T | undefined;
    const asked = (async () => body())().then(
      (value) => {
        answer = value;
      },
      (error: unknown) => {
        const code = error instanceof EvaqError ? error.code : String(error);
        const passes = code === 'EVAQ_IO' || code === 'EVAQ_NO_SPACE';
        if (!passes || mustWork)
          wrong.push(`${what} rejected with ${code}${mustWork ? ', when the fault had passed' : ''}`);
      },
    );
    const steps = await stepsOf(disk, asked, 20_000);
    if (typeof steps === 'string') wrong.push(`${what}: ${steps}`);
    return answer;
  };
  const open = (): Promise<Evaq | undefined> =>
    ask('open', () =>
      Evaq.open(STORE, {
        ports: { vfs: disk.vfs, host: disk.host },
        segmentBytes: 64 * 1024,
        recycleSegments: 1,
        gc: { liveShareMax: 0.9 },
      }),
    );

  /** Some of everything. Keeps `live` by what it is told. */
  const work = async (evaq: Evaq, round: string): Promise<void> => {
    const { wal, deadLetters } = evaq;
    const ids: number[] = [];
    const names = new Map<number, string>();
    const push = async (name: string, body: () => Promise<number> | number): Promise<void> => {
      const id = await ask(`${round}: push`, body);
      if (id === undefined) return;
      ids.push(id);
      names.set(id, name);
      live.add(name);
    };
    for (let i = 0; i < 20; i++) {
      const name = `${round} ${i}`;
      await push(name, () => (i === 10 ? wal.pushSync(payload(name)) : wal.push(payload(name))));
    }
    await Promise.all(
      ids.slice(0, 9).map(async (id) => {
        // Hidden from here on, and owed if it is rejected.
        live.delete(names.get(id) ?? '');
        await ask(`${round}: remove`, () => wal.remove(id));
      }),
    );
    const popped = ids[9];
    if (popped !== undefined) {
      const record = await ask(`${round}: pop`, () => wal.pop(popped));
      if (record !== undefined) live.delete(names.get(popped) ?? '');
    }
    const moved = ids[10];
    if (moved !== undefined) {
      const letter = await ask(`${round}: deadLetter`, () => evaq.deadLetter(moved, { reason: 'test' }));
      if (letter !== undefined) await ask(`${round}: redrive`, () => evaq.redrive([letter]));
    }
    await ask(`${round}: read`, () => wal.read());
    await ask(`${round}: flush`, () => wal.flush());
    await rest(3_000);
    await ask(`${round}: compact`, () => wal.compact());
    await ask(`${round}: read of dead letters`, () => deadLetters.read());
    const several = ids.slice(11, 14);
    for (const id of several) live.delete(names.get(id) ?? '');
    await ask(`${round}: removeMany`, () => wal.removeMany(several));
    await rest(3_000);
  };

  const evaq = (await open()) ?? (await open());
  if (evaq === undefined) return { wrong: [...wrong, 'open rejected twice'], files: new Map(), disk };
  await work(evaq, 'a');
  await work(evaq, 'b');
  await rest(10_000);
  mustWork = fault === undefined || isUsed();
  await work(evaq, 'c');
  await rest(REST_MS);
  const files = filesOf(disk);
  const { health } = evaq.wal.stats();
  if (health !== 'ok') wrong.push(`health is ${health}`);
  await ask('close', () => evaq.close());
  const left = disk.openHandles();
  if (left.length > 0) wrong.push(`after close there is ${left.join(', ')}`);
  // The same disk, without the fault.
  const after = disk.fork();
  disk.kill();
  const again = await Evaq.open(STORE, { ports: { vfs: after.vfs, host: after.host } });
  const found = new Set<string>();
  for (const queue of [again.wal, again.deadLetters]) {
    for await (const record of queue.records()) found.add(nameIn(record.payload));
  }
  for (const name of live) if (!found.has(name)) wrong.push(`lost: ${name}`);
  for (const name of found) if (!live.has(name)) wrong.push(`back: ${name}`);
  after.kill();
  return { wrong, files, disk };
}

function payload(name: string): Buffer {
  return Buffer.alloc(BYTES, `${name}\0`);
}

function nameIn(payload: Buffer): string {
  return payload.subarray(0, payload.indexOf(0)).toString();
}

function filesOf(disk: SimDisk): Map<string, number> {
  const counts = new Map<string, number>();
  for (const line of disk.tree().split('\n')) {
    const kind = /\.tmp\b/.test(line) ? 'tmp' : /\.(seg|tomb|free)\b/.exec(line)?.[1];
    if (kind !== undefined) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}
