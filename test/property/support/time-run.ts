/**
 * One history of a store whose clock says anything and whose IDs begin anywhere, with kills and power cuts, against a model that knows for each
 * record what was pushed and what the clock said then. Mode 'sync': whatever was acknowledged is there, with its time.
 */
import * as fc from 'fast-check';
import { Evaq, EvaqError, type EvaqOptions, type Queue } from '../../../src/evaq.js';
import { verifyStore } from '../../../src/raw.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { clampTime } from '../../../src/times.js';
import { closeWhole } from './closed-store.js';
import { BrokenPromise } from './store-model.js';

const MAX = Number.MAX_SAFE_INTEGER;
const PATH = '/store';
const T = 1_800_000_000_000;
const DAY = 24 * 60 * 60 * 1000;

type TimeStep =
  | { readonly op: 'clock'; readonly to: number }
  | { readonly op: 'clock goes on'; readonly by: number }
  | { readonly op: 'push' | 'pushSync'; readonly bytes: number }
  | { readonly op: 'pushMany'; readonly count: number; readonly bytes: number }
  /** At one instant of the event loop, the clock going on in between. */
  | { readonly op: 'pushes'; readonly by: readonly number[] }
  | { readonly op: 'remove'; readonly share: number }
  | { readonly op: 'deadLetter' | 'redrive' | 'compact' | 'reopen' | 'kill' }
  | { readonly op: 'powerCut'; readonly draw: number };

export interface TimeScript {
  readonly seed: number;
  readonly timing: 'wild' | 'steady';
  readonly durability: 'sync' | 'os';
  /** IDs that are left when it begins; 0: it begins at 1. */
  readonly idsLeft: number;
  readonly steps: readonly TimeStep[];
}

const aTime = fc.oneof(
  fc.constantFrom(T, T + 400 * DAY, T - 400 * DAY, 0, -1e15, 9e15, Number.NaN, Infinity, -Infinity, 2 ** 48, 0.5),
  fc.integer({ min: T - DAY, max: T + DAY }),
);
const aBy = fc.constantFrom(0, 1, 999, 1001, -1, -5000, 60_000, 50 * DAY);
const bytes = fc.constantFrom(1, 100, 3000, 20_000);

const aStep: fc.Arbitrary<TimeStep> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ op: fc.constant('clock' as const), to: aTime }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('clock goes on' as const), by: aBy }) },
  { weight: 5, arbitrary: fc.record({ op: fc.constantFrom('push' as const, 'pushSync' as const), bytes }) },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant('pushMany' as const), count: fc.integer({ min: 1, max: 30 }), bytes }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constant('pushes' as const), by: fc.array(aBy, { minLength: 2, maxLength: 8 }) }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('remove' as const), share: fc.constantFrom(0.3, 0.8, 1) }) },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      { op: 'deadLetter' as const },
      { op: 'redrive' as const },
      { op: 'compact' as const },
      { op: 'reopen' as const },
      { op: 'kill' as const },
    ),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('powerCut' as const), draw: fc.nat(1_000_000) }) },
);

export const timeScript: fc.Arbitrary<TimeScript> = fc.record({
  seed: fc.nat(1_000_000),
  timing: fc.constantFrom('wild' as const, 'steady' as const),
  durability: fc.constantFrom('sync' as const, 'sync' as const, 'os' as const),
  idsLeft: fc.constantFrom(0, 0, 1, 7, 40, 300, 2 ** 28, 2 ** 33),
  steps: fc.array(aStep, { minLength: 1, maxLength: 40, size: 'max' }),
});

/** A history takes a tenth of a second. */
const HANGS_MS = 30_000;

interface Known {
  readonly text: string;
  readonly time: number;
}

/** Throws a `BrokenPromise` where one is. Counts how often IDs had run out. */
export async function runTimes(script: TimeScript, stats: { ranOut: number }): Promise<void> {
  const run = new TimeRun(script, stats);
  let late: NodeJS.Timeout | undefined;
  const hangs = new Promise<never>((_resolve, reject) => {
    late = setTimeout(() => reject(new BrokenPromise('P14', 'a call does not end')), HANGS_MS);
  });
  try {
    await Promise.race([run.run(), hangs]);
  } catch (error) {
    // What would go on for ever ends with its machine.
    run.kill();
    throw error;
  } finally {
    clearTimeout(late);
  }
}

class TimeRun {
  readonly #script: TimeScript;
  readonly #stats: { ranOut: number };
  #disk: SimDisk;
  #evaq: Evaq | undefined;
  #now = T;
  readonly #wal = new Map<number, Known>();
  readonly #dead = new Map<number, Known>();
  #given = 0;
  #count = 0;

  constructor(script: TimeScript, stats: { ranOut: number }) {
    this.#script = script;
    this.#stats = stats;
    const { seed, timing } = script;
    this.#disk = new SimDisk({ seed, timing, names: seed % 2 === 0 ? 'adversarial' : 'ordered' });
  }

  kill(): void {
    this.#disk.kill();
  }

  async run(): Promise<void> {
    const { idsLeft, steps } = this.#script;
    await this.#open();
    if (idsLeft > 0) {
      await closeWhole(this.#store, this.#disk);
      const name = `${String(MAX - idsLeft).padStart(20, '0')}-00000000000000ff.seg`;
      this.#disk.place(`${PATH}/queues/wal/${name}`, Buffer.alloc(0));
      await this.#open();
    }
    for (const step of steps) {
      await this.#take(step);
      await this.#check();
    }
    this.#disk.kill();
    await this.#open();
    await this.#check();
    await closeWhole(this.#store, this.#disk);
    const { damage } = await verifyStore(PATH, { vfs: this.#disk.vfs });
    if (damage.length > 0) throw new BrokenPromise('P9', `verify finds damage: ${damage[0]?.what}`);
    this.#disk.kill();
  }

  get #store(): Evaq {
    if (this.#evaq === undefined) throw new Error('no store');
    return this.#evaq;
  }

  async #open(): Promise<void> {
    const { seed, durability } = this.#script;
    const { vfs, host } = this.#disk;
    const options: EvaqOptions = { durability, segmentBytes: 64 * 1024, recycleSegments: seed % 3 };
    const ports = { vfs, host: { ...host, now: () => this.#now } };
    this.#evaq = await Evaq.open(PATH, { ...options, ports });
    const { damage } = this.#evaq.recovery;
    if (damage.length > 0) throw new BrokenPromise('P9', `a crash is no damage: ${damage[0]?.what}`);
  }

  async #take(step: TimeStep): Promise<void> {
    const { wal } = this.#store;
    switch (step.op) {
      case 'clock':
        this.#now = step.to;
        return;
      case 'clock goes on':
        this.#now += step.by;
        return;
      case 'push':
        return this.#push(1, async () => [await wal.push(this.#next(step.bytes))]);
      case 'pushSync':
        return this.#push(1, () => Promise.resolve([wal.pushSync(this.#next(step.bytes))]));
      case 'pushMany':
        return this.#push(step.count, async () => {
          const payloads = Array.from({ length: step.count }, (_, i) => this.#text(this.#count + 1 + i, step.bytes));
          this.#count += step.count;
          const { firstId } = await wal.pushMany(payloads);
          return payloads.map((_text, i) => firstId + i);
        });
      case 'pushes':
        await Promise.all(
          step.by.map((by) => {
            this.#now += by;
            return this.#push(1, async () => [await wal.push(this.#next(10))]);
          }),
        );
        return;
      case 'remove': {
        const ids = [...this.#wal.keys()].filter((id) => (id * 7919) % 10 < step.share * 10);
        await wal.removeMany(ids);
        for (const id of ids) this.#wal.delete(id);
        return;
      }
      case 'deadLetter': {
        const [first] = this.#wal;
        if (first === undefined) return;
        const [id, { text }] = first;
        const time = clampTime(this.#now);
        const newId = await wal.deadLetter(id, { reason: 'r', delayMs: 1000 });
        this.#dead.set(newId, { text, time });
        this.#wal.delete(id);
        return;
      }
      case 'redrive': {
        const [first] = this.#dead;
        if (first === undefined) return;
        const [id, { text }] = first;
        await this.#push(
          1,
          async () => {
            const moved = await wal.redrive([id]);
            this.#dead.delete(id);
            return moved;
          },
          text,
        );
        return;
      }
      case 'compact':
        await wal.compact();
        return;
      case 'reopen':
        await closeWhole(this.#store, this.#disk);
        return this.#open();
      case 'kill':
        this.#disk.kill();
        return this.#open();
      case 'powerCut': {
        // The weaker mode promises nothing of what was not flushed.
        if (this.#script.durability !== 'sync') await Promise.all([wal.flush(), this.#store.deadLetters.flush()]);
        const after = this.#disk.crash(this.#disk.drawCrash(step.draw));
        this.#disk.kill();
        this.#disk = after;
        return this.#open();
      }
    }
  }

  /** A push of `count` records: either it is acknowledged, with IDs above all before, or there were not as many left. */
  async #push(count: number, push: () => Promise<readonly number[]>, moved?: string): Promise<void> {
    const time = clampTime(this.#now);
    const left = MAX - this.#store.wal.stats().nextId;
    const before = this.#count;
    let ids: readonly number[];
    try {
      ids = await push();
    } catch (error) {
      if (!(error instanceof EvaqError) || error.code !== 'EVAQ_QUEUE_FULL') throw error;
      this.#stats.ranOut++;
      if (left >= count + 8) throw new BrokenPromise('P1', `a push of ${count} is refused with ${left} IDs left`);
      return;
    }
    for (const [i, id] of ids.entries()) {
      if (id <= this.#given || id >= MAX) throw new BrokenPromise('P8', `ID ${id} is given out, after ${this.#given}`);
      this.#given = id;
      this.#wal.set(id, { text: moved ?? String(before + 1 + i), time });
    }
  }

  #next(bytes: number): string {
    this.#count++;
    return this.#text(this.#count, bytes);
  }

  #text(nth: number, bytes: number): string {
    return `${nth};`.padEnd(bytes, 'x');
  }

  async #check(): Promise<void> {
    const { wal, deadLetters } = this.#store;
    await this.#checkQueue(wal, this.#wal);
    await this.#checkQueue(deadLetters, this.#dead);
  }

  async #checkQueue(queue: Queue, known: ReadonlyMap<number, Known>): Promise<void> {
    const seen = new Set<number>();
    for await (const { id, payload, timestamp } of queue.records()) {
      const one = known.get(id);
      if (one === undefined) throw new BrokenPromise('P2', `record ${id} is there and should not be`);
      if (payload.toString().split(';')[0] !== one.text) throw new BrokenPromise('P3', `payload of record ${id}`);
      // Pushes at one instant may share a time, to the second.
      if (Math.abs(timestamp - one.time) > 1000)
        throw new BrokenPromise('P3', `time of record ${id}: ${timestamp}, pushed at ${one.time}`);
      seen.add(id);
    }
    for (const id of known.keys()) if (!seen.has(id)) throw new BrokenPromise('P1', `record ${id} is lost`);
    const { oldestAgeMs, oldestId } = queue.stats();
    if (oldestId === undefined) return;
    const age = oldestAgeMs ?? Number.NaN;
    if (!(Number.isSafeInteger(age) && age >= 0)) throw new BrokenPromise('P3', `an age of ${oldestAgeMs}`);
    const own = Math.max(0, clampTime(this.#now) - (known.get(oldestId)?.time ?? 0));
    if (age < own - 1000) throw new BrokenPromise('P3', `an age of ${age}, where it is ${own}`);
  }
}
