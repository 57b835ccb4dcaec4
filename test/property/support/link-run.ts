/**
 * Small stories of a link whose two ends are in one thread, drawn by a seed, on the simulated disk: threads die with records in their handlers, or while their
 * calls wait; handlers throw, and calls are refused. What is heard of each is what `docs/workers.md` says.
 *
 * Messages take turns of the event loop and no simulated time; so no handler has a time that could be over.
 */
import { type Delivery, Evaq, EvaqError, type LinkedEvaq, type QueueRecord } from '../../../src/evaq.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { chance } from './chance.js';
import { BrokenPromise } from './store-model.js';

const STORE = '/store';
/** More, in ms, than anything takes here that ends at all. */
const WAIT_MS = 3000;
/** In which what was posted has arrived, and what it began has been answered. */
const TURNS = 12;
const AT_ONCE = { backoff: { baseMs: 0, jitter: 'none' as const } };
const PLAIN = { timeoutMs: 0, breaker: false } as const;
const NEVER = new Promise<never>(() => undefined);

/** What stories came to, so that it is seen that they are some. */
export interface LinkTally {
  deaths: number;
  inHandlers: number;
  errors: number;
  keyed: number;
}

export function newLinkTally(): LinkTally {
  return { deaths: 0, inHandlers: 0, errors: 0, keyed: 0 };
}

/** Throws a `BrokenPromise` where one is. */
export async function runLink(seed: number, tally: LinkTally = newLinkTally()): Promise<void> {
  for (const story of [deathInHandlers, deathAfterAStop, deathOfAPop, whatIsThrown, keys]) {
    const disk = new SimDisk({ seed, timing: 'steady', fill: 'zeros' });
    const evaq = await Evaq.open(STORE, { ports: { vfs: disk.vfs, host: disk.host } });
    const opened: LinkedEvaq[] = [];
    const thread = async (): Promise<Thread> => {
      const port = evaq.connect();
      const link = await Evaq.attach(port);
      opened.push(link);
      return {
        link,
        die: async () => {
          tally.deaths++;
          port.close();
          await turns(disk);
        },
      };
    };
    try {
      await story({ disk, evaq, thread, below: chance(seed), tally });
      await Promise.all(opened.map((link) => link.close().catch(() => undefined)));
      await within(disk, evaq.close(), 'close');
      const left = disk.openHandles();
      if (left.length > 0) throw new BrokenPromise('P14', `left open: ${left.join()}`);
    } catch (error) {
      if (error instanceof BrokenPromise) error.message += ` (${story.name}, seed ${seed})`;
      throw error;
    } finally {
      disk.kill();
    }
  }
}

interface Thread {
  readonly link: LinkedEvaq;
  readonly die: () => Promise<void>;
}

interface Stage {
  readonly disk: SimDisk;
  readonly evaq: Evaq;
  readonly thread: () => Promise<Thread>;
  readonly below: (n: number) => number;
  readonly tally: LinkTally;
}

/** P16: what was in the handlers of a thread that died comes again, alone, and it has cost each an attempt and a death; nothing else is touched. */
async function deathInHandlers({ disk, evaq, thread, below, tally }: Stage): Promise<void> {
  const count = 3 + below(8);
  const concurrency = 1 + below(4);
  const isBatch = below(3) === 0;
  const isBeside = below(2) === 0;
  await evaq.wal.pushMany(Array.from({ length: count }, (_, i) => `${i + 1}`));
  const { link, die } = await thread();
  const hangs = new Set(Array.from({ length: count }, (_, i) => i + 1).filter(() => below(3) > 0));
  const held = new Set<number>();
  const arrived = new Set<number>();
  const take = async (records: readonly QueueRecord[]): Promise<void> => {
    const stuck = records.some(({ id }) => hangs.has(id));
    for (const { id } of records) (stuck ? held : arrived).add(id);
    await (stuck ? NEVER : undefined);
  };
  const options = { concurrency, retry: AT_ONCE, ...PLAIN };
  if (isBatch) link.wal.processBatch((records) => take(records), { ...options, batch: { maxRecords: 1 + below(3) } });
  else link.wal.process((record) => take([record]), options);
  await turns(disk);
  let running = 0;
  const seen = new Map<number, { readonly attempt: number; readonly crashes: number; readonly beside: number }>();
  const order: number[] = [];
  const deliver = (): Delivery =>
    evaq.wal.process(
      async ({ id }, { attempt, crashes }) => {
        running++;
        if (arrived.has(id)) throw new Error(`record ${id} has arrived`);
        seen.set(id, { attempt, crashes, beside: running });
        order.push(id);
        await pass(disk, 1);
        running--;
      },
      { concurrency: 4, ...PLAIN },
    );
  const early = isBeside ? deliver() : undefined;
  if (isBeside) await turns(disk);
  tally.inHandlers += held.size;
  await die();
  const delivery = early ?? deliver();
  await within(disk, delivery.drained(), 'the records of a thread that died');
  for (const id of held) {
    const { attempt, crashes, beside } = seen.get(id) ?? { attempt: 0, crashes: 0, beside: 0 };
    if (attempt !== 2 || crashes !== 1)
      throw new BrokenPromise('P16', `record ${id} comes at try ${attempt} with ${crashes} deaths`);
    if (beside > 1) throw new BrokenPromise('P16', `record ${id}, which is suspected, does not come alone`);
  }
  for (const [id, { attempt, crashes }] of seen) {
    if (held.has(id)) continue;
    if (attempt !== 1 || crashes !== 0)
      throw new BrokenPromise('P16', `record ${id} comes at try ${attempt} with ${crashes} deaths, and was nowhere`);
    if (!isBeside && order.indexOf(id) < held.size)
      throw new BrokenPromise('P16', `record ${id} comes before those that are suspected`);
  }
  if (arrived.size + seen.size !== count)
    throw new BrokenPromise('P2', `of ${count} records ${arrived.size} arrived before, and ${seen.size} came after`);
}

/** Of a delivery that has stopped nothing is written any more, whatever becomes of its handlers. */
async function deathAfterAStop({ disk, evaq, thread, below }: Stage): Promise<void> {
  const count = 1 + below(4);
  await evaq.wal.pushMany(Array.from({ length: count }, (_, i) => `${i + 1}`));
  const { link, die } = await thread();
  const stopped = link.wal.process(() => NEVER, PLAIN);
  await turns(disk);
  await within(disk, stopped.stop({ graceMs: 0 }), 'a stop');
  const again = below(2) === 0 ? evaq.wal.process(() => undefined, PLAIN) : undefined;
  await turns(disk);
  await die();
  await pass(disk, 50);
  const logs = (await disk.vfs.list(`${STORE}/queues/wal`)).filter(({ name }) => name.includes('.dlv'));
  if (logs.length > 1) throw new BrokenPromise('P16', `there are ${logs.length} delivery logs`);
  const delivery = again ?? evaq.wal.process(() => undefined, PLAIN);
  await within(disk, delivery.drained(), 'what a stopped delivery had');
}

/** A pop that waits takes nothing where its thread dies. */
async function deathOfAPop({ disk, evaq, thread, below }: Stage): Promise<void> {
  await evaq.wal.push('1');
  const { link, die } = await thread();
  let fail: (error: Error) => void = () => undefined;
  const delivery = evaq.wal.process(
    () =>
      new Promise<void>((_, reject) => {
        fail = reject;
      }),
    { retry: { ...AT_ONCE, backoff: { ...AT_ONCE.backoff, baseMs: 5 } }, ...PLAIN },
  );
  await turns(disk);
  const pops = Array.from({ length: 1 + below(3) }, () => link.wal.pop(1));
  for (const pop of pops) pop.catch(() => undefined);
  await turns(disk);
  await die();
  const stopping = delivery.stop();
  fail(new Error('not now'));
  await within(disk, stopping, 'a stop');
  await turns(disk);
  if (evaq.wal.size !== 1) throw new BrokenPromise('P2', 'a pop whose thread had died took its record');
  for (const pop of pops)
    if ((await codeOf(pop)) !== 'EVAQ_FAILED')
      throw new BrokenPromise('P14', 'a pop whose link is lost does not say so');
}

/** Errors are over a link what they are without one: those of calls, and what handlers throw. */
async function whatIsThrown({ disk, evaq, thread, below, tally }: Stage): Promise<void> {
  const { link } = await thread();
  const calls: readonly ((queue: Pick<Evaq, 'wal'>['wal'] | LinkedEvaq['wal']) => Promise<unknown>)[] = [
    (queue) => queue.pop(900 + below(9)),
    (queue) => queue.push(Buffer.alloc(17 * 1024 * 1024)),
    (queue) => queue.deadLetter(901, { reason: 'x' }),
  ];
  for (const call of calls) {
    const [here, there] = [await codeOf(call(evaq.wal)), await codeOf(call(link.wal))];
    tally.errors++;
    if (here !== there) throw new BrokenPromise('errors', `a call rejects with ${there} over a link, and with ${here}`);
  }
  const ids = (await evaq.wal.pushMany(['dead', 'retried', 'unavailable'])).firstId;
  const tries = new Map<number, number[]>();
  const delivery = link.wal.process(
    ({ id }, { attempt }) => {
      const before = tries.get(id) ?? [];
      tries.set(id, [...before, attempt]);
      if (id === ids) throw Object.assign(new Error('no such field'), { code: 'E_SCHEMA', status: 400 });
      if (id === ids + 1) throw new Error('no', { cause: Object.assign(new Error('why'), { code: 'E_WHY' }) });
      if (before.length < 2) throw Object.assign(new Error('down'), { code: 'ECONNREFUSED' });
    },
    { retry: { maxAttempts: 2, ...AT_ONCE }, ...PLAIN },
  );
  await within(disk, delivery.drained(), 'what failed');
  await delivery.stop();
  const letters: string[] = [];
  for await (const { reason, code, attempts } of evaq.wal.deadLetters.list())
    letters.push(`${reason} ${code} ${attempts}`);
  tally.errors += letters.length;
  if (letters.sort().join() !== 'attempts E_WHY 2,dead E_SCHEMA 1')
    throw new BrokenPromise('errors', `what handlers threw has come over as ${letters.join()}`);
  const unavailable = tries.get(ids + 2)?.join();
  if (unavailable !== '1,1,1')
    throw new BrokenPromise('errors', `a destination that was down cost tries ${unavailable}`);
}

/** Order by keys that a function in the thread gives: of each one at a time, in ID order, also where some fail, wait, or have no key; and a thread may die meanwhile. */
async function keys({ disk, evaq, thread, below, tally }: Stage): Promise<void> {
  const count = 6 + below(20);
  const kinds = 1 + below(4);
  const keyOf = Array.from({ length: count }, () => (below(6) === 0 ? '-' : `k${below(kinds)}`));
  const delays = keyOf.map(() => below(8) === 0);
  const failures = keyOf.map(() => (below(3) === 0 ? 1 + below(2) : 0));
  for (const [i, key] of keyOf.entries())
    await evaq.wal.push(`${i}:${key}`, delays[i] === true ? { delayMs: 5 + below(20) } : {});
  const busy = new Set<string>();
  const last = new Map<string, number>();
  let broken: string | undefined;
  const deliver = (link: LinkedEvaq): ReturnType<LinkedEvaq['evacuate']> =>
    link.evacuate(
      async ({ payload }) => {
        const [number = '', key = ''] = payload.toString().split(':');
        const nth = Number(number);
        tally.keyed++;
        if (key !== '-') {
          if (busy.has(key)) broken ??= `two of ${key} at a time`;
          // What is not due yet has no place.
          if (delays[nth] !== true && (last.get(key) ?? -1) > nth)
            broken ??= `${number} of ${key} after ${last.get(key)}`;
          busy.add(key);
          await new Promise((resolve) => setImmediate(resolve));
          busy.delete(key);
        }
        const left = failures[nth] ?? 0;
        if (left > 0) {
          failures[nth] = left - 1;
          throw new Error('not yet');
        }
        if (key !== '-' && delays[nth] !== true) last.set(key, nth);
      },
      {
        order: ({ payload }) => {
          const key = payload.toString().split(':')[1];
          return key === '-' ? undefined : key;
        },
        concurrency: 1 + below(6),
        retry: { backoff: { baseMs: below(2) * 3, jitter: 'none' } },
        ...PLAIN,
      },
    );
  const first = await thread();
  const before = deliver(first.link);
  if (below(2) === 0) {
    for (let i = below(6); i > 0; i--) await new Promise((resolve) => setImmediate(resolve));
    if (below(2) === 0) await within(disk, before.stop(), 'a stop');
    else await first.die();
    busy.clear();
  }
  const { link } = await thread();
  await before.stop().catch(() => undefined);
  await turns(disk);
  const delivery = deliver(link);
  await within(disk, delivery.drained(), 'a delivery in order');
  if (broken !== undefined) throw new BrokenPromise('P16', broken);
  if (evaq.deadLetters.size > 0) throw new BrokenPromise('P16', 'a key was not found');
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'nothing',
    (error: unknown) => (error instanceof EvaqError ? error.code : String(error)),
  );
}

function pass(disk: SimDisk, ms: number): Promise<void> {
  return new Promise((resolve) => disk.host.after(ms, resolve));
}

async function turns(disk: SimDisk): Promise<void> {
  for (let i = 0; i < TURNS; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    await pass(disk, 1);
  }
}

/** P14: within the time in which it must have ended, and in which messages come and go. */
async function within<T>(disk: SimDisk, call: Promise<T>, what: string): Promise<T> {
  let isOver = false;
  const ended = call.finally(() => {
    isOver = true;
  });
  ended.catch(() => undefined);
  for (let ms = 0; ms < WAIT_MS && !isOver; ms++) {
    await new Promise((resolve) => setImmediate(resolve));
    await pass(disk, 1);
  }
  if (!isOver) throw new BrokenPromise('P14', `${what} does not come to an end`);
  return ended;
}
