/**
 * One script of a delivery on the simulated machine, against the model: no record is lost, none is in two handlers, order and counts are as they are
 * said to be, and in the end all is delivered.
 */
import {
  type BatchContext,
  DeadLetterError,
  type Delivery,
  type DeliveryContext,
  Evaq,
  EvaqError,
  type QueueRecord,
  RetryLater,
} from '../../../src/evaq.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import type { SimProcess } from '../../../src/sim/sim-process.js';
import { BASE_MS, type Courier, DeliveryModel, LATER_MS, MAX_MS, type Token, type Told } from './delivery-model.js';
import type { Deed, DeliveryScript, DeliveryStep } from './delivery-script.js';
import { BrokenPromise } from './store-model.js';

const PATH = '/store';
const TIMEOUT_MS = 50;
/** Beyond its time. */
const HANG_MS = 120;
/** Beyond the second that a stop waits after it has aborted signals. */
const HANG_LONG_MS = 1300;
const DEED_MS = [0, 0, 1, 3, 9];
/** Of simulated time: all that may still be in the way of a delivery at the end, and then as much again. */
const DRAIN_MS = 120_000;
const DRAIN_STEP_MS = 50;
/** Simulated steps of one script; most take some thousand. */
const STEPS_MAX = 400_000;

export interface DeliveryTally {
  handedOut: number;
  deaths: number;
  deadLetters: number;
}

export const newDeliveryTally = (): DeliveryTally => ({ handedOut: 0, deaths: 0, deadLetters: 0 });

/** Throws a `BrokenPromise` where one is. */
export async function runDelivery(script: DeliveryScript, tally: DeliveryTally = newDeliveryTally()): Promise<void> {
  await new DeliveryRun(script, tally).run();
}

class FromDeed extends Error {
  readonly deed: Deed;
  constructor(deed: Deed) {
    super(deed);
    this.deed = deed;
  }
}

interface Running {
  readonly delivery: Delivery;
  readonly courier: Courier;
}

/** What a process on the disk is: after its death nothing of it is heard. */
interface Life {
  readonly evaq: Evaq;
  readonly dead: Promise<void>;
  readonly die: () => void;
  isOver: boolean;
  /** Its delivery log was in trouble. */
  isHealthy: boolean;
}

const NEVER = new Promise<never>(() => undefined);

class DeliveryRun {
  readonly #script: DeliveryScript;
  readonly #tally: DeliveryTally;
  readonly #model: DeliveryModel;
  #disk: SimDisk;
  /** Of a process of its own: it goes on where the one under test has nothing more to wait for. */
  #clock: SimProcess;
  #cancelFaults: (() => void)[] = [];
  #life: Life | undefined;
  #running: Running[] = [];
  #broken: unknown;
  #atEnd = false;
  #begun = 0;
  readonly #pushes = new Set<Promise<unknown>>();

  constructor(script: DeliveryScript, tally: DeliveryTally) {
    const { seed, timing } = script;
    this.#script = script;
    this.#tally = tally;
    this.#model = new DeliveryModel(script);
    this.#disk = new SimDisk({ seed, timing, names: seed % 2 === 0 ? 'adversarial' : 'ordered' });
    this.#clock = this.#disk.spawn();
  }

  async run(): Promise<void> {
    try {
      await this.#open();
      for (const step of this.#script.steps) {
        await this.#orDeath(this.#take(step));
        await this.#lookOn();
      }
      this.#atEnd = true;
      await this.#drain();
    } finally {
      if (this.#life !== undefined) this.#life.isOver = true;
      this.#disk.kill();
    }
  }

  get #now(): number {
    return this.#clock.host.elapsed();
  }

  get #alive(): Life {
    if (this.#life === undefined) throw new Error('no store is open');
    return this.#life;
  }

  /** Looks whether the process has died, or something is broken. */
  async #lookOn(): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken;
    if (this.#disk.steps > STEPS_MAX) throw new BrokenPromise('P14', 'it does not come to an end');
    if (this.#life?.isOver === true) await this.#open();
  }

  async #orDeath(doing: Promise<unknown>): Promise<void> {
    const life = this.#alive;
    await Promise.race([doing, life.dead]);
  }

  async #open(): Promise<void> {
    const { seed, durability } = this.#script;
    // That a store could not be opened is said at once.
    for (const cancel of this.#cancelFaults.splice(0)) cancel();
    const { vfs, host } = this.#disk;
    this.#clock.kill();
    this.#clock = this.#disk.spawn();
    const evaq = await Evaq.open(PATH, {
      durability,
      segmentBytes: 64 * 1024,
      recycleSegments: seed % 3,
      ports: { vfs, host },
    });
    let die = (): void => undefined;
    const dead = new Promise<void>((resolve) => {
      die = resolve;
    });
    this.#life = { evaq, dead, die, isOver: false, isHealthy: true };
    await this.#observe();
    this.#begin();
  }

  #begin(): void {
    const { order, shape, concurrency, maxAttempts, maxCrashes, breaker, rate } = this.#script;
    const life = this.#alive;
    const courier: Courier = {
      breaker: this.#begun++ === 0 ? 'closed' : 'unknown',
      row: new Map(),
      unavailable: 0,
      stopping: false,
      handlers: 0,
    };
    const options = {
      concurrency,
      order: order === 'key' ? ({ payload }: QueueRecord): string => payload.toString().split(':')[1] ?? '' : order,
      timeoutMs: TIMEOUT_MS,
      retry: {
        maxAttempts,
        maxCrashes,
        backoff: { baseMs: BASE_MS, factor: 2, maxMs: MAX_MS, jitter: 'none' as const },
        classify: (error: unknown) => {
          const deed = error instanceof FromDeed ? error.deed : undefined;
          return deed === 'unavailable' || deed === 'dead' || deed === 'drop' ? deed : 'retry';
        },
      },
      breaker: breaker === false ? (false as const) : { failures: breaker, openMs: 40, maxOpenMs: 200 },
      ...(rate ? { rate: { limit: 5, perMs: 20, burst: 10 } } : {}),
    };
    const told = (attempt: number, crashes: number): Told => ({
      attempt,
      crashes,
      stateLost:
        !life.isHealthy || (this.#running.find((one) => one.courier === courier)?.delivery.stats().stateLost ?? false),
    });
    const delivery =
      shape === 'single'
        ? life.evaq.evacuate(
            (record, context) =>
              this.#handle(life, courier, [record], context, () => told(context.attempt, context.crashes)),
            options,
          )
        : life.evaq.wal.processBatch(
            (records, context) =>
              this.#handle(life, courier, records, context, ({ id }) => told(context.attempt(id), 0)),
            { ...options, batch: { maxRecords: 6, maxWaitMs: this.#script.seed % 2 === 0 ? 0 : 5 } },
          );
    this.#running.push({ delivery, courier });
    delivery.done.catch((error: unknown) => {
      if (!life.isOver)
        this.#broken ??= new BrokenPromise(
          'P14',
          `a delivery ended: ${String(error)} ${error instanceof EvaqError ? JSON.stringify(error.details) : ''}`,
        );
    });
  }

  /** What handlers do: anything, and what they are given is as it should be. */
  async #handle(
    life: Life,
    courier: Courier,
    records: readonly QueueRecord[],
    context: DeliveryContext | BatchContext,
    told: (record: QueueRecord) => Told,
  ): Promise<undefined | { failed: { id: number; error: unknown }[] }> {
    // The dead do nothing.
    if (life.isOver || this.#broken !== undefined) return NEVER;
    const tokens = records.map((record) => this.#tokenOf(record));
    const deeds = tokens.map(({ deeds: all, tries }) => (this.#atEnd ? 'ok' : (all[tries] ?? 'ok')));
    this.#check(() =>
      this.#model.enter(
        courier,
        tokens.map((token, i) => [token, told(recordAt(records, i))]),
        this.#now,
      ),
    );
    this.#tally.handedOut += tokens.length;
    if (deeds.includes('kill')) {
      // Those that begin in the same turn have begun by then.
      await Promise.resolve();
      this.#die('kill');
      return NEVER;
    }
    const hangs = deeds.some((deed) => deed === 'hang' || deed === 'hangOk');
    const ms = deeds.includes('hangLong')
      ? HANG_LONG_MS
      : hangs
        ? HANG_MS
        : (DEED_MS[(tokens[0]?.number ?? 0) % DEED_MS.length] ?? 0);
    const { wal } = life.evaq;
    if (ms > 0) await new Promise<void>((resolve) => this.#disk.host.after(ms, resolve));
    for (const [i, { id }] of records.entries()) {
      const token = tokens[i];
      if (deeds[i] !== 'removeOwn' || token === undefined) continue;
      token.gone = 'maybe';
      await wal.remove(id).catch(() => undefined);
      if (life.isOver) return NEVER;
      token.gone = 'yes';
    }
    if (life.isOver) return NEVER;
    return this.#finish(courier, records, tokens, deeds, context);
  }

  #finish(
    courier: Courier,
    records: readonly QueueRecord[],
    tokens: readonly Token[],
    deeds: readonly Deed[],
    context: DeliveryContext | BatchContext,
  ): undefined | { failed: { id: number; error: unknown }[] } {
    const { shape } = this.#script;
    const words = new Map<Token, 'acknowledged' | Deed>();
    const fails = (deed: Deed): boolean => deed !== 'ok' && deed !== 'removeOwn' && deed !== 'hangOk';
    const timedOut = context.signal.aborted && isTimeout(context.signal.reason);
    const bad = deeds.find(fails);
    const failed: { id: number; error: unknown }[] = [];
    for (const [i, deed] of deeds.entries()) {
      const token = tokens[i];
      const { id } = recordAt(records, i);
      if (token === undefined) continue;
      if (shape === 'words' && 'ack' in context) {
        if (fails(deed)) context.fail(id, errorOf(deed));
        else if (id % 2 === 0) context.ack(id);
        else continue;
        words.set(token, fails(deed) ? deed : 'acknowledged');
      } else if (shape === 'named' && fails(deed)) {
        failed.push({ id, error: errorOf(deed) });
        if (!timedOut) words.set(token, deed);
      }
    }
    const throws = shape === 'single' || shape === 'whole' || (shape === 'words' && (tokens[0]?.number ?? 0) % 3 === 0);
    const thrown = throws ? bad : undefined;
    const how = timedOut ? 'hang' : thrown;
    this.#check(() => this.#model.end(courier, tokens, how, words, timedOut, this.#now));
    if (thrown !== undefined) throw errorOf(thrown);
    return shape === 'named' && failed.length > 0 ? { failed } : undefined;
  }

  async #take(step: DeliveryStep): Promise<void> {
    const life = this.#alive;
    const { wal } = life.evaq;
    switch (step.op) {
      case 'push':
        for (let i = 0; i < step.count; i++) {
          const token = this.#model.push(`k${i % step.keys}`, step.deeds, this.#now, step.delayMs);
          const pushed = wal
            .push(`${token.number}:${token.key}`, step.delayMs === 0 ? {} : { delayMs: step.delayMs })
            .then((id) => {
              if (life.isOver) return;
              token.id = id;
              token.acknowledged = true;
            })
            // Only the call that met a fault has failed.
            .catch(() => undefined);
          this.#pushes.add(pushed);
        }
        return;
      case 'wait':
        return this.#pass(step.ms);
      case 'remove':
      case 'pop':
      case 'removeThrough':
        return this.#remove(step.op, step.nth);
      case 'pause':
        for (const { delivery } of this.#running) delivery.pause();
        return;
      case 'resume':
        for (const { delivery } of this.#running) delivery.resume();
        return;
      case 'second':
        if (this.#script.order === 'none' && this.#running.length < 3) this.#begin();
        return;
      case 'stop': {
        const stopping = this.#running.splice(0);
        for (const { courier } of stopping) courier.stopping = true;
        await Promise.all(stopping.map(({ delivery }) => delivery.stop({ graceMs: step.graceMs })));
        this.#model.stopped();
        this.#begin();
        return;
      }
      case 'reopen':
        await this.#reopen();
        return;
      case 'kill':
        this.#die('kill');
        return;
      case 'powerCut':
        this.#die('power cut', step.draw);
        return;
      case 'fault': {
        const path = step.at === 'records' ? '.seg' : '.dlv';
        // A sync of records, or a write, that fails is a matter of the store.
        if (step.at === 'records' && (step.on === 'sync' || step.on === 'write')) return;
        if (step.at === 'log') life.isHealthy = false;
        this.#cancelFaults.push(
          this.#disk.fault({ on: step.on, path, error: step.on === 'open' ? 'EMFILE' : 'EIO', times: step.times }),
        );
        return;
      }
      case 'drained':
        await Promise.race([this.#running[0]?.delivery.drained().catch(() => undefined), this.#pass(300)]);
        return;
    }
  }

  async #reopen(): Promise<void> {
    const life = this.#alive;
    const stopping = this.#running.splice(0);
    for (const { courier } of stopping) courier.stopping = true;
    await life.evaq.close();
    if (life.isOver) return;
    life.isOver = true;
    life.die();
    this.#model.closed(life.isHealthy);
  }

  #die(how: 'kill' | 'power cut', draw: number = 0): void {
    const life = this.#alive;
    if (life.isOver) return;
    const isHealthy = life.isHealthy && !this.#running.some(({ delivery }) => delivery.stats().stateLost);
    this.#tally.deaths++;
    life.isOver = true;
    this.#running = [];
    // Of those that are under way nothing is heard.
    this.#pushes.clear();
    const after = how === 'kill' ? undefined : this.#disk.crash(this.#disk.drawCrash(draw));
    this.#model.died(how, isHealthy, this.#now);
    this.#disk.kill();
    if (after !== undefined) this.#disk = after;
    life.die();
  }

  async #remove(op: 'remove' | 'pop' | 'removeThrough', nth: number): Promise<void> {
    const life = this.#alive;
    const { wal } = life.evaq;
    const first = wal.stats().oldestId ?? 1;
    const id = first + nth;
    const meant = this.#model.tokens.filter(
      (one) => one.id !== undefined && (op === 'removeThrough' ? one.id <= id : one.id === id),
    );
    if (meant.length === 0) return;
    for (const token of meant) if (token.gone === 'no') token.gone = 'maybe';
    const removed = op === 'remove' ? wal.remove(id) : op === 'pop' ? wal.pop(id) : wal.removeThrough(id);
    // It may wait for a handler.
    void removed.then(
      () => {
        if (!life.isOver) for (const token of meant) token.gone = 'yes';
      },
      () => undefined,
    );
    await Promise.race([removed.catch(() => undefined), this.#pass(20)]);
  }

  #pass(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.host.after(ms, resolve));
  }

  #tokenOf({ payload, id }: QueueRecord): Token {
    const token = this.#model.tokens[Number(payload.toString().split(':')[0])];
    if (token === undefined) throw new BrokenPromise('P3', `record ${id} was never pushed`);
    token.id = id;
    return token;
  }

  /** What handlers find broken would be taken for their failure. */
  #check(body: () => void): void {
    try {
      body();
    } catch (error) {
      this.#broken ??= error;
    }
  }

  async #observe(): Promise<void> {
    const { evaq } = this.#alive;
    const live = new Map<number, number>();
    const dead = new Map<number, { attempts: number; reason: string }[]>();
    for await (const record of evaq.wal.records()) {
      const token = this.#tokenOf(record);
      if (live.has(token.number)) throw new BrokenPromise('P10', `record ${record.id} is there twice`);
      live.set(token.number, record.id);
    }
    for await (const { payload, attempts = 0, reason = '' } of evaq.deadLetters.records()) {
      const number = Number(payload.toString().split(':')[0]);
      dead.set(number, [...(dead.get(number) ?? []), { attempts, reason }]);
    }
    this.#tally.deadLetters += dead.size;
    this.#model.observe(live, dead);
  }

  /** Nothing fails any more: all is delivered, in a bounded time. */
  async #drain(): Promise<void> {
    for (const { delivery } of this.#running) delivery.resume();
    for (let passed = 0; passed < DRAIN_MS; passed += DRAIN_STEP_MS) {
      await this.#orDeath(this.#pass(DRAIN_STEP_MS));
      await this.#lookOn();
      if (this.#alive.evaq.wal.size === 0 && this.#model.inHandler.size === 0) {
        await this.#orDeath(Promise.all(this.#pushes));
        await this.#orDeath(this.#running[0]?.delivery.drained() ?? Promise.resolve());
        await this.#lookOn();
        for (const cancel of this.#cancelFaults.splice(0)) cancel();
        await this.#observe();
        return this.#close();
      }
    }
    const left: string[] = [];
    for await (const { id } of this.#alive.evaq.wal.records()) left.push(String(id));
    const stats = JSON.stringify(this.#running.map(({ delivery }) => delivery.stats()));
    throw new BrokenPromise('P14', `records ${left.join()} are never delivered: ${stats}`);
  }

  async #close(): Promise<void> {
    const { evaq } = this.#alive;
    try {
      await evaq.close();
    } catch (error) {
      throw new BrokenPromise('P14', `close: ${error instanceof EvaqError ? error.code : String(error)}`);
    }
    this.#clock.kill();
    const left = this.#disk.openHandles();
    if (left.length > 0) throw new BrokenPromise('P14', `left open: ${left.join()}`);
  }
}

function recordAt(records: readonly QueueRecord[], i: number): QueueRecord {
  const record = records[i];
  if (record === undefined) throw new Error('no such record');
  return record;
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof Error && reason.name === 'HandlerTimeout';
}

function errorOf(deed: Deed): Error {
  if (deed === 'later') return new RetryLater({ delayMs: LATER_MS });
  if (deed === 'laterCounted') return new RetryLater({ delayMs: LATER_MS, countAttempt: true });
  if (deed === 'deadError') return new DeadLetterError('by its own word');
  return new FromDeed(deed);
}
