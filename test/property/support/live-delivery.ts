/** Deliveries beside loads that never pause, and what is asked of them. Time is counted in steps of the simulated machine. */
import { EvaqError } from '../../../src/errors.js';
import type { Delivery, DeliveryOptions, QueueRecord } from '../../../src/evaq.js';
import { askAmong, type Load, loop, openStage, produce, STEPS_MAX, type Stage } from './liveness.js';

/** What is asked goes through a queue that others fill without a pause: several times what the slowest took when this was written. */
export const DELIVERY_STEPS_MAX: number = 4 * STEPS_MAX;
/** Records that are there before anything begins. */
const BACKLOG = 100;
const DELAY_MS = 20;
const WATCHED = 'watched';

/** What a handler is to do with records that are watched; of others it takes one turn. */
interface Watch {
  readonly failures: number;
  tries: number;
  readonly arrived: () => void;
}

interface DeliveryStage extends Stage {
  readonly deliveries: readonly Delivery[];
  /** Pushes one record; resolves when a handler has taken it, after so many failures. */
  readonly watch: (failures: number, delayMs?: number) => Promise<void>;
}

type Ask = (stage: DeliveryStage) => Promise<unknown>;

/** One that others may have had first has its answer, too. */
async function orGone(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof EvaqError && error.code === 'EVAQ_RECORD_NOT_FOUND') return undefined;
    throw error;
  }
}

export const ASKED: Record<string, Ask> = {
  'a record that was just pushed is handed out': ({ watch }) => watch(0),
  'one that fails twice is tried again': ({ watch }) => watch(2),
  'one that is delayed is handed out': ({ watch }) => watch(0, DELAY_MS),
  'drained resolves': ({ deliveries }) => Promise.all(deliveries.map((delivery) => delivery.drained())),
  'a pop of what waits, or is in a handler': async ({ evaq }) => orGone(evaq.wal.pop(await evaq.wal.push('popped'))),
  'a removal of it': async ({ evaq }) => evaq.wal.remove(await evaq.wal.push('removed')),
  'a dead letter of it': async ({ evaq }) =>
    orGone(evaq.deadLetter(await evaq.wal.push('dead'), { reason: 'asked for' })),
  'removeThrough of all': async ({ evaq }) => evaq.wal.removeThrough(await evaq.wal.push('through')),
  flush: ({ evaq }) => evaq.wal.flush(),
  stop: ({ deliveries }) => Promise.all(deliveries.map((delivery) => delivery.stop())),
  close: ({ evaq }) => evaq.close(),
};

const QUICK: DeliveryOptions = { retry: { backoff: { baseMs: 5, jitter: 'none' } }, breaker: false };
const keyOf = ({ id }: QueueRecord): string => `k${id % 4}`;

type Handle = (record: QueueRecord) => Promise<void>;
type Begin = (stage: Stage, handle: Handle) => readonly Delivery[];

export const WAYS: Record<string, Begin> = {
  process: ({ evaq }, handle) => [evaq.wal.process(handle, QUICK)],
  'two deliveries': ({ evaq }, handle) => [
    evaq.wal.process(handle, { ...QUICK, concurrency: 2 }),
    evaq.wal.process(handle, { ...QUICK, concurrency: 2 }),
  ],
  'in order by key': ({ evaq }, handle) => [evaq.wal.process(handle, { ...QUICK, order: keyOf })],
  processBatch: ({ evaq }, handle) => [
    evaq.wal.processBatch(
      async (records) => {
        const failed: { readonly id: number; readonly error: unknown }[] = [];
        for (const record of records)
          await handle(record).catch((error: unknown) => failed.push({ id: record.id, error }));
        return { failed };
      },
      { ...QUICK, batch: { maxRecords: 20 } },
    ),
  ],
};

/** What they have pushed themselves: nobody else's record is missed. */
const removeOwn: Load = (stage) => loop(stage, async () => stage.evaq.wal.remove(await stage.evaq.wal.push('own')));
const popOwn: Load = (stage) => loop(stage, async () => stage.evaq.wal.pop(await stage.evaq.wal.push('own')));

export const LOADS_BESIDE: Record<string, readonly Load[]> = {
  'beside producers': [produce, produce, produce, produce],
  'beside producers, removers and pops': [produce, produce, removeOwn, popOwn],
};

/** Lets all of them run in, asks, and ends them: how many steps the answer took, or what is wrong. */
export async function askDelivery(
  begin: Begin,
  loads: readonly Load[],
  ask: Ask,
  seed: number,
): Promise<number | string> {
  const stage = await openStage({ seed, timing: seed % 2 === 0 ? 'steady' : 'wild' });
  const { disk, evaq, ids } = stage;
  const watched = new Map<string, Watch>();
  const { lastId } = await evaq.wal.pushMany(Array.from({ length: BACKLOG }, () => 'backlog'));
  ids.newest = lastId;
  const deliveries = begin(stage, async ({ payload }) => {
    await disk.host.yield();
    const one = watched.get(payload.subarray(0, 20).toString());
    if (one === undefined) return;
    if (one.tries++ < one.failures) throw new Error('not this time');
    one.arrived();
  });
  const watch = (failures: number, delayMs: number = 0): Promise<void> =>
    new Promise((resolve, reject) => {
      const name = `${WATCHED} ${watched.size}`;
      watched.set(name, { failures, tries: 0, arrived: resolve });
      evaq.wal.push(name, { delayMs }).catch(reject);
    });
  return askAmong(stage, loads, () => ask({ ...stage, deliveries, watch }), DELIVERY_STEPS_MAX);
}

/** All of it in turn, until something is found. */
export async function huntLiveDelivery(seed: number, tried: () => void): Promise<string | undefined> {
  for (const [way, begin] of Object.entries(WAYS)) {
    for (const [load, callers] of Object.entries(LOADS_BESIDE)) {
      for (const [name, ask] of Object.entries(ASKED)) {
        tried();
        const steps = await askDelivery(begin, callers, ask, seed);
        if (typeof steps === 'string') return `${way}, ${name}, ${load}: ${steps}`;
      }
    }
  }
  return undefined;
}
