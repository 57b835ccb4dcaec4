/**
 * Loads that never pause, and what is asked beside them. Time is counted in steps of the simulated machine: effects and acknowledgements of the
 * calls of all.
 */
import { EvaqError } from '../../../src/errors.js';
import { Evaq, type EvaqOptions } from '../../../src/evaq.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';

const STORE = '/srv/store';
/** A call has an answer by then, whatever others do: several times what the slowest took when this was written. */
export const STEPS_MAX = 1_500;
/** Of simulated time: a call that has no answer by then, with nothing else to do, never gets one. */
const SILENCE_MS = 60_000;
const PAYLOAD = Buffer.alloc(2_000, 'x');

export interface Stage {
  readonly disk: SimDisk;
  readonly evaq: Evaq;
  /** False when all are to stop. */
  readonly goesOn: () => boolean;
  /** The newest ID that a producer was told, and the oldest that nobody was asked to remove. */
  readonly ids: { newest: number; oldest: number };
}

/** One caller in a loop. */
export type Load = (stage: Stage) => Promise<void>;

/** Calls `body` until the stage is over. What is rejected since the store was closed, or a record was gone, is no concern of the load. */
export async function loop({ disk, goesOn }: Stage, body: () => Promise<unknown>): Promise<void> {
  while (goesOn()) {
    try {
      await body();
    } catch (error) {
      if (!(error instanceof EvaqError)) throw error;
      if (error.code === 'EVAQ_CLOSED') return;
      if (error.code !== 'EVAQ_RECORD_NOT_FOUND') throw error;
    }
    await disk.host.yield();
  }
}

export const produce: Load = (stage) =>
  loop(stage, async () => {
    stage.ids.newest = Math.max(stage.ids.newest, await stage.evaq.wal.push(PAYLOAD));
  });
export const remove: Load = (stage) =>
  loop(stage, async () => {
    if (stage.ids.oldest < stage.ids.newest - 50) await stage.evaq.wal.remove(stage.ids.oldest++);
  });
export const pop: Load = (stage) =>
  loop(stage, async () => {
    if (stage.ids.oldest < stage.ids.newest - 50) await stage.evaq.wal.pop(stage.ids.oldest++);
  });
export const read: Load = (stage) => loop(stage, () => stage.evaq.wal.read({ maxRecords: 10 }));
export const move: Load = (stage) =>
  loop(stage, async () => {
    if (stage.ids.oldest >= stage.ids.newest - 50) return;
    await stage.evaq.redrive([await stage.evaq.deadLetter(stage.ids.oldest++, { reason: 'test' })]);
  });

export const LOADS: Record<string, readonly Load[]> = {
  'beside producers': [produce, produce, produce, produce],
  'beside producers and removers': [produce, produce, remove, remove, remove],
  'beside everything': [produce, produce, remove, pop, read, move],
};

/** What is asked; `id` is a live record in the middle. */
export type Probe = (stage: Stage, id: number) => Promise<unknown>;

export const PROBES: Record<string, Probe> = {
  push: ({ evaq }) => evaq.wal.push(PAYLOAD),
  'pushMany of 20': ({ evaq }) => evaq.wal.pushMany(Array.from({ length: 20 }, () => PAYLOAD)),
  get: ({ evaq }, id) => evaq.wal.get(id),
  read: ({ evaq }) => evaq.wal.read(),
  remove: ({ evaq }, id) => evaq.wal.remove(id),
  'remove, twice': ({ evaq }, id) => Promise.all([evaq.wal.remove(id), evaq.wal.remove(id)]),
  removeMany: ({ evaq }, id) => evaq.wal.removeMany([id, id + 2]),
  removeThrough: ({ evaq }, id) => evaq.wal.removeThrough(id),
  pop: ({ evaq }, id) => evaq.wal.pop(id),
  deadLetter: ({ evaq }, id) => evaq.deadLetter(id, { reason: 'test' }),
  'redrive by ID': async ({ evaq }, id) => evaq.redrive([await evaq.deadLetter(id, { reason: 'test' })]),
  'redrive by filter': async ({ evaq }, id) => {
    await evaq.deadLetter(id, { reason: 'test' });
    await evaq.redrive(() => true);
  },
  flush: ({ evaq }) => evaq.wal.flush(),
  compact: ({ evaq }) => evaq.wal.compact(),
  'records, to the end': async ({ evaq }) => {
    for await (const _ of evaq.wal.records());
  },
  'an iteration that is left': async ({ evaq }) => {
    for await (const _ of evaq.wal.records()) break;
  },
  'another queue': ({ evaq }) => evaq.queue('extra'),
  close: ({ evaq }) => evaq.close(),
};

export interface StageOptions {
  readonly seed: number;
  readonly timing?: 'wild' | 'steady';
  readonly options?: EvaqOptions;
}

export async function openStage({
  seed,
  timing = 'steady',
  options = {},
}: StageOptions): Promise<Stage & { end(): void }> {
  const disk = new SimDisk({ seed, timing });
  const evaq = await Evaq.open(STORE, {
    ports: { vfs: disk.vfs, host: disk.host },
    segmentBytes: 64 * 1024,
    ...options,
  });
  let isOver = false;
  return {
    disk,
    evaq,
    goesOn: () => !isOver,
    ids: { newest: 0, oldest: 1 },
    end: () => {
      isOver = true;
    },
  };
}

/** Resolves with the steps that `promise` took, or with a word where it took too many. */
export async function stepsOf(
  disk: SimDisk,
  promise: Promise<unknown>,
  stepsMax: number = STEPS_MAX,
): Promise<number | string> {
  const first = disk.steps;
  let stopObserving = (): void => undefined;
  let stopWaiting = (): void => undefined;
  const late = new Promise<string>((resolve) => {
    stopObserving = disk.observe(({ step }) => {
      if (step - first > stepsMax) resolve(`no answer after ${stepsMax} steps`);
    });
    // Of another process: it goes on where the one under test has nothing more to wait for.
    stopWaiting = disk.spawn().host.after(SILENCE_MS, () => resolve('no answer, and nothing more to come'));
  });
  try {
    return await Promise.race([promise.then(() => disk.steps - first), late]);
  } finally {
    stopObserving();
    stopWaiting();
  }
}

/** Lets the loads run in, asks, and ends them: how many steps the answer took, or what is wrong. */
export async function askAmong(
  stage: Stage & { end(): void },
  loads: readonly Load[],
  ask: () => Promise<unknown>,
  stepsMax: number = STEPS_MAX,
): Promise<number | string> {
  const { disk, evaq } = stage;
  const running = Promise.all(loads.map((load) => load(stage)));
  // A load that breaks shows at the end.
  running.catch(() => undefined);
  await new Promise<void>((resolve) => disk.host.after(20, resolve));
  const result = await stepsOf(disk, ask(), stepsMax);
  stage.end();
  const ended = await stepsOf(disk, running, 10 * STEPS_MAX);
  const closed = await stepsOf(disk, evaq.close(), 10 * STEPS_MAX);
  const left = disk.openHandles();
  disk.kill();
  if (typeof result === 'string') return result;
  if (typeof ended === 'string') return `afterwards the load had ${ended}`;
  if (typeof closed === 'string') return `afterwards close had ${closed}`;
  return left.length === 0 ? result : `left open: ${left.join(', ')}`;
}

/** Of a queue with some records in it. */
export async function askBeside(loads: readonly Load[], probe: Probe, options: StageOptions): Promise<number | string> {
  const stage = await openStage(options);
  const { evaq, ids } = stage;
  const { lastId } = await evaq.wal.pushMany(Array.from({ length: 100 }, () => PAYLOAD));
  ids.newest = lastId;
  return askAmong(stage, loads, () => probe(stage, ids.newest - 20));
}

export const SPARSE_SEGMENTS = 20;

/** How many of so many sparse segments GC has rewritten after a while, beside callers that remove something else one by one without a pause. */
export async function rewrittenBesideRemovers(): Promise<number> {
  const stage = await openStage({ seed: 1, options: { recycleSegments: 0 } });
  const { disk, evaq } = stage;
  const { wal } = evaq;
  const sparse: number[] = [];
  for (let i = 0; i < SPARSE_SEGMENTS; i++) {
    const { firstId, lastId } = await wal.pushMany(Array.from({ length: 6 }, () => Buffer.alloc(10_000)));
    for (let id = firstId + 1; id <= lastId; id++) sparse.push(id);
  }
  const backlog = await wal.pushMany(Array.from({ length: 60_000 }, () => 'x'));
  let next = backlog.firstId;
  const removers = Array.from({ length: 3 }, async () => {
    while (stage.goesOn() && next <= backlog.lastId) await wal.remove(next++);
  });
  await new Promise<void>((resolve) => disk.host.after(100, resolve));
  await wal.removeMany(sparse);
  // Quiet for two seconds they are due, and 20 of them are a second's work.
  await new Promise<void>((resolve) => disk.host.after(4_000, resolve));
  const { rewrittenSegments } = wal.stats().gc;
  if (next > backlog.lastId) throw new Error('the load was too small: it came to its end');
  stage.end();
  await Promise.all(removers);
  await evaq.close();
  disk.kill();
  return rewrittenSegments;
}
