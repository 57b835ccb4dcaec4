/**
 * What is told of a store is what happened in it: pushes, commits, removals, handlers, drops, garbage collection, breakers and the stop of a store, each once, with its
 * outcome; and `health()` names what is wrong. Small histories drawn by a seed, on the simulated disk; in half of them a sync fails.
 */
import { channel, type TracingChannelSubscribers, tracingChannel } from 'node:diagnostics_channel';
import {
  type BreakerEvent,
  type CommitTrace,
  type DeliverTrace,
  type DroppedMessage,
  Evaq,
  EvaqError,
  type GcTrace,
  type HealthEvent,
  type PushTrace,
  type RecoveryTrace,
  type RemovalTrace,
} from '../../../src/evaq.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { chance } from './chance.js';
import { BrokenPromise } from './store-model.js';

const STORE = '/store';
const STEPS = 14;
/** In which all that is under way comes to its end. */
const SETTLE_MS = 400;
const RECORDS_MAX = 6;

interface Told<T> {
  begun: number;
  failed: number;
  readonly over: T[];
}

export interface ObservedTally {
  pushes: number;
  removals: number;
  handlers: number;
  dropped: number;
  steps: number;
  breakers: number;
  stops: number;
}

export function newObservedTally(): ObservedTally {
  return { pushes: 0, removals: 0, handlers: 0, dropped: 0, steps: 0, breakers: 0, stops: 0 };
}

class Ears {
  readonly #undo: (() => void)[] = [];
  readonly pushes: Told<PushTrace> = this.#trace('evaq:push');
  readonly commits: Told<CommitTrace> = this.#trace('evaq:commit');
  readonly removals: Told<RemovalTrace> = this.#trace('evaq:removal');
  readonly handlers: Told<DeliverTrace> = this.#trace('evaq:deliver');
  readonly collected: Told<GcTrace> = this.#trace('evaq:gc');
  readonly recoveries: Told<RecoveryTrace> = this.#trace('evaq:recovery');
  readonly dropped: DroppedMessage[] = this.#listen('evaq:dropped');
  readonly breakers: BreakerEvent[] = this.#listen('evaq:breaker');
  readonly health: HealthEvent[] = this.#listen('evaq:health');

  end(): void {
    for (const undo of this.#undo) undo();
  }

  #trace<T extends object>(name: string): Told<T> {
    const told: Told<T> = { begun: 0, failed: 0, over: [] };
    const nothing = (): void => undefined;
    const subscribers: TracingChannelSubscribers<T> = {
      start: () => {
        told.begun++;
      },
      end: nothing,
      asyncStart: nothing,
      asyncEnd: (context) => {
        told.over.push(context as T);
      },
      error: () => {
        told.failed++;
      },
    };
    const tracing = tracingChannel<unknown, T>(name);
    tracing.subscribe(subscribers);
    this.#later(() => tracing.unsubscribe(subscribers));
    return told;
  }

  #listen<T>(name: string): T[] {
    const heard: T[] = [];
    const listener = (message: unknown): void => {
      heard.push(message as T);
    };
    const told = channel(name);
    told.subscribe(listener);
    this.#later(() => told.unsubscribe(listener));
    return heard;
  }

  #later(undo: () => void): void {
    this.#undo.push(undo);
  }
}

/** What calls and handlers came to, by their own word. */
interface Word {
  calls: number;
  rejected: number;
  readonly pushed: Set<number>;
  readonly removed: Set<number>;
  handled: number;
  readonly failed: number[];
}

/** Throws a `BrokenPromise` where one is. */
export async function runObserved(seed: number, tally: ObservedTally = newObservedTally()): Promise<void> {
  const below = chance(seed);
  const isLimited = below(3) === 0;
  const breaks = below(2) === 0;
  const disk = new SimDisk({ seed, timing: 'steady', fill: 'zeros' });
  const script: string[] = [];
  const ears = new Ears();
  try {
    const evaq = await Evaq.open(STORE, {
      segmentBytes: 64 * 1024,
      recycleSegments: 0,
      ...(isLimited ? { limits: { records: RECORDS_MAX, whenFull: 'drop-oldest' as const } } : {}),
      ports: { vfs: disk.vfs, host: disk.host },
    });
    same(
      [ears.recoveries.begun, ears.recoveries.over.length, ears.recoveries.over[0]?.storeId],
      [1, 1, evaq.storeId],
      'evaq:recovery',
    );
    const word: Word = { calls: 0, rejected: 0, pushed: new Set(), removed: new Set(), handled: 0, failed: [] };
    await histories({ disk, evaq, below, word, script, ears, tally, isLimited });
    await compare({ evaq, word, ears, isStopped: false });
    if (breaks) await stop({ disk, evaq, below, word, script, ears, tally });
    await evaq.close().catch(() => undefined);
    tally.pushes += word.calls;
    tally.removals += ears.removals.over.length;
    tally.handlers += word.handled;
    tally.dropped += ears.dropped.length;
    tally.steps += ears.collected.over.length;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const promise = error instanceof BrokenPromise ? error.promise : 'told';
    throw new BrokenPromise(promise, `${text.replace(`${promise}: `, '')} (seed ${seed}: ${script.join(' ')})`);
  } finally {
    ears.end();
    disk.kill();
  }
}

interface Scene {
  readonly disk: SimDisk;
  readonly evaq: Evaq;
  readonly below: (n: number) => number;
  readonly word: Word;
  readonly script: string[];
  readonly ears: Ears;
  readonly tally: ObservedTally;
}

async function histories(scene: Scene & { readonly isLimited: boolean }): Promise<void> {
  const { disk, evaq, below, word, script, ears, tally, isLimited } = scene;
  const { wal } = evaq;
  for (let i = 0; i < STEPS; i++) {
    const drawn = below(10);
    if (drawn < 4) {
      const count = 1 + below(4);
      script.push(`Push(${count})`);
      await Promise.all(Array.from({ length: count }, (_, nth) => pushOne(scene, nth, below(4))));
    } else if (drawn < 6) {
      const first = wal.stats().oldestId;
      if (first === undefined) continue;
      script.push(`Remove(${first})`);
      if (below(2) === 0) {
        if (await wal.remove(first)) word.removed.add(first);
      } else {
        const live = (await wal.read()).map(({ id }) => id).filter((id) => id <= first + 2);
        await wal.removeThrough(first + 2);
        for (const id of live) word.removed.add(id);
      }
    } else if (drawn < 8) {
      await handle(scene);
    } else if (drawn < 9 && !isLimited) {
      script.push('Breaker');
      await down(scene);
      tally.breakers++;
    } else {
      script.push('Compact');
      const before = ears.collected.over.length;
      const { droppedSegments, rewrittenSegments } = await wal.compact();
      const steps = ears.collected.over.slice(before).filter(({ queue }) => queue === 'wal');
      const told = steps.reduce((sum, { segments }) => sum + segments, 0);
      if (told < droppedSegments + rewrittenSegments)
        throw new BrokenPromise(
          'told',
          `evaq:gc tells of ${told} segments, not of ${droppedSegments + rewrittenSegments}`,
        );
    }
    await pass(disk);
  }
}

async function pushOne({ evaq: { wal }, word }: Scene, nth: number, form: number): Promise<void> {
  word.calls++;
  try {
    // Large enough for segments to be left behind.
    const payload = Buffer.alloc(form === 3 ? 9000 : 30, `${nth}`);
    if (form === 0) {
      word.pushed.add(wal.pushSync(payload));
    } else if (form === 1) {
      const { firstId, lastId } = await wal.pushMany([payload, payload]);
      for (let id = firstId; id <= lastId; id++) word.pushed.add(id);
    } else {
      word.pushed.add(await wal.push(payload));
    }
  } catch (error) {
    if (!(error instanceof EvaqError)) throw error;
    word.rejected++;
  }
}

/** All that is there goes through a handler; some fail the first time. */
async function handle({ evaq: { wal }, below, word, script }: Scene): Promise<void> {
  const isBatch = below(2) === 0;
  const failing = below(3);
  script.push(`Handle(${isBatch ? 'batches' : 'singly'}, ${failing} of them fail)`);
  const there = (await wal.read()).map(({ id }) => id);
  let left = failing;
  const options = { timeoutMs: 0, breaker: false, retry: { backoff: { baseMs: 1, jitter: 'none' } } } as const;
  const delivery = isBatch
    ? wal.processBatch((records) => {
        word.handled++;
        const failed = records.slice(0, left).map(({ id }) => ({ id, error: new Error('no') }));
        left -= failed.length;
        word.failed.push(...failed.map(({ id }) => id));
        return { failed };
      }, options)
    : wal.process(({ id }) => {
        word.handled++;
        if (left === 0) return;
        left--;
        word.failed.push(id);
        throw new Error('no');
      }, options);
  await delivery.drained();
  await delivery.stop();
  for (const id of there) word.removed.add(id);
}

/** A destination that is down, and comes back. */
async function down({ disk, evaq: { wal, storeId }, word, ears }: Scene): Promise<void> {
  const before = ears.breakers.length;
  const id = await wal.push('to nowhere');
  word.calls++;
  word.pushed.add(id);
  const there = (await wal.read()).map((record) => record.id);
  let left = 3;
  const delivery = wal.process(
    (record) => {
      word.handled++;
      if (left === 0) return;
      left--;
      word.failed.push(record.id);
      throw Object.assign(new Error('down'), { code: 'ECONNREFUSED' });
    },
    {
      concurrency: 1,
      timeoutMs: 0,
      retry: { backoff: { baseMs: 1, jitter: 'none' } },
      breaker: { failures: 3, openMs: 20 },
    },
  );
  await delivery.drained();
  await pass(disk);
  await delivery.stop();
  for (const one of there) word.removed.add(one);
  const told = ears.breakers.slice(before);
  same(
    told.map((event) => `${event.storeId === storeId} ${event.queue} ${event.state}`),
    ['true wal open', 'true wal half-open', 'true wal closed'],
    'evaq:breaker',
  );
}

/** P7: a sync fails, and everybody hears of it. */
async function stop(scene: Scene): Promise<void> {
  const { disk, evaq, below, word, script, ears, tally } = scene;
  const before = await evaq.health({ minFreeBytes: 0 });
  same([before.status, before.reasons.length], ['ok', 0], 'health() of a store that is well');
  const isRemoval = below(2) === 0 && (await evaq.wal.read()).length > 0;
  script.push(`SyncFails(${isRemoval ? 'removal' : 'push'})`);
  disk.fault({ on: 'sync', path: isRemoval ? '.tomb' : '.seg', error: 'EIO' });
  if (isRemoval) {
    // It was there a moment ago.
    await evaq.wal.remove(evaq.wal.stats().oldestId ?? 1).catch(() => undefined);
  } else await pushOne(scene, 0, 2);
  await pass(disk);
  tally.stops++;
  const told = ears.health.filter(({ storeId }) => storeId === evaq.storeId);
  same(
    told.map(({ health }) => `${health.status} ${health.reasons.map(({ code }) => code).join()}`),
    ['failed failed'],
    'evaq:health',
  );
  const { status, reasons } = await evaq.health({ minFreeBytes: 0 });
  same(
    [status, ...reasons.map(({ code, error }) => `${code} ${error?.code}`)],
    ['failed', 'failed EVAQ_FAILED'],
    'health() after a sync that failed',
  );
  const failed = isRemoval ? ears.removals.failed : ears.commits.failed;
  if (failed !== 1)
    throw new BrokenPromise('told', `of a ${isRemoval ? 'round' : 'commit'} that failed ${failed} errors are told`);
  await compare({ evaq, word, ears, isStopped: true });
}

interface Compared {
  readonly evaq: Evaq;
  readonly word: Word;
  readonly ears: Ears;
  readonly isStopped: boolean;
}

/** What was told is what was done. */
async function compare({ evaq, word, ears, isStopped }: Compared): Promise<void> {
  const { pushes, commits, removals, handlers, dropped } = ears;
  same([pushes.begun, pushes.over.length, pushes.failed], [word.calls, word.calls, word.rejected], 'evaq:push');
  for (const [name, { begun, over }] of Object.entries({ commits, removals, handlers }))
    same(over.length, begun, `${name} that are over`);
  const ofWal = commits.over.filter(({ queue, error }) => queue === 'wal' && error === undefined);
  same(idsIn(ofWal).join(), sorted(word.pushed).join(), 'evaq:commit tells of');
  const told = pushes.over.flatMap(({ firstId, lastId }) =>
    firstId === undefined || lastId === undefined ? [] : [{ firstId, lastId }],
  );
  same(idsIn(told).join(), sorted(word.pushed).join(), 'evaq:push tells of');
  same(handlers.over.length, word.handled, 'evaq:deliver');
  same(
    sorted(handlers.over.flatMap(({ failed = [] }) => failed.map(({ id }) => id))).join(),
    sorted(word.failed).join(),
    'evaq:deliver tells of failures of',
  );
  const limits = evaq.wal.stats().limits;
  const gone = dropped
    .flatMap(({ ranges }) => ranges)
    .flatMap(({ first, last }) => idsIn([{ firstId: first, lastId: last }]));
  same(gone.length, (limits?.dropped ?? 0) + (limits?.expired ?? 0), 'evaq:dropped');
  // A range that was removed as one may name some that were gone before.
  const rounds = removals.over.filter(({ queue, error }) => queue === 'wal' && error === undefined);
  const removed = new Set(idsIn(rounds));
  for (const id of [...word.removed, ...gone])
    if (!removed.has(id)) throw new BrokenPromise('told', `evaq:removal does not tell of record ${id}`);
  if (isStopped) return;
  const live = new Set((await evaq.wal.read({ maxRecords: 10_000, maxBytes: 1e8 })).map(({ id }) => id));
  for (const { firstId, lastId, records } of rounds)
    if (lastId - firstId + 1 === records)
      for (let id = firstId; id <= lastId; id++)
        if (live.has(id)) throw new BrokenPromise('told', `evaq:removal tells of record ${id}, which is there`);
}

function idsIn(spans: readonly { readonly firstId: number; readonly lastId: number }[]): number[] {
  const ids: number[] = [];
  for (const { firstId, lastId } of spans) for (let id = firstId; id <= lastId; id++) ids.push(id);
  return sorted(ids);
}

function sorted(ids: Iterable<number>): number[] {
  return [...ids].sort((a, b) => a - b);
}

function pass(disk: SimDisk): Promise<void> {
  return new Promise((resolve) => disk.host.after(SETTLE_MS, resolve));
}

function same(is: unknown, must: unknown, what: string): void {
  const [found, wanted] = [JSON.stringify(is), JSON.stringify(must)];
  if (found !== wanted) throw new BrokenPromise('told', `${what} ${found}, not ${wanted}`);
}
