/**
 * Histories of a queue with limits on the simulated machine: pushes alone and together, removals, pops, handlers that hang, moves, faults, time and
 * dates that pass and jump, reopenings and power cuts. Between two steps nothing is under way, and the queue is what the model says:
 *
 * - the same records, the same use of the limits, and the same pushes waiting; each push came in, waited or was refused as it had to;
 * - in no handler's hands is a record that was dropped or has expired;
 * - no record has expired early, and none is there long after its time.
 *
 * A power cut in the middle of a step leaves no more than the limit, and all that was acknowledged and not asked to go.
 */

import { type Delivery, Evaq, EvaqError, type Queue, type WhenFull } from '../../../src/evaq.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { chance } from './chance.js';
import { closeWhole } from './closed-store.js';
import { type Batch, bytesOf, FRAME_BYTES, type Held, LimitsModel } from './limits-model.js';
import { BrokenPromise } from './store-model.js';

const STORE = '/store';
const AGE_MS = 64_000;
const LOOK_MS = AGE_MS / 64;
/** In which all that is under way comes to its end. */
const SETTLE_MS = 400;
const YEAR_MS = 365 * 24 * 60 * 60 * 1000;
const STEPS = 24;
const POLICIES: readonly WhenFull[] = ['reject', 'wait', 'drop-oldest'];

/** A push that was not answered yet. */
interface Waiting {
  readonly batch: Batch;
  readonly calledMs: number;
  outcome: { readonly firstId: number } | { readonly error: unknown } | undefined;
  readonly abort: AbortController;
}

/** What a history came to, so that it is seen that it is one. */
export interface LimitsTally {
  steps: number;
  dropped: number;
  expired: number;
  refused: number;
  waited: number;
  cuts: number;
}

export function newLimitsTally(): LimitsTally {
  return { steps: 0, dropped: 0, expired: 0, refused: 0, waited: 0, cuts: 0 };
}

class LimitsRun {
  readonly #below: (n: number) => number;
  readonly #tally: LimitsTally;
  readonly #script: string[] = [];
  readonly #ageMs: number | undefined;
  /** All of one size: then a count of bytes is exact after a reopening, too. */
  readonly #size: number | undefined;
  readonly #isWild: boolean;
  readonly #model: LimitsModel;
  readonly #seed: number;
  #disk: SimDisk;
  #evaq: Evaq | undefined;
  #shiftMs = 0;
  #openedMs = 0;
  /** When the date was right again after it had gone back, in this opening. */
  #rightMs = 0;
  #delivery: Delivery | undefined;
  #ends: ((error?: Error) => void)[] = [];
  #waiting: Waiting[] = [];

  constructor(seed: number, tally: LimitsTally) {
    this.#seed = seed;
    this.#tally = tally;
    const below = chance(seed);
    this.#below = below;
    const whenFull = POLICIES[below(3)] ?? 'reject';
    this.#ageMs = below(3) === 0 ? AGE_MS : undefined;
    this.#size = below(2) === 0 ? 40 : undefined;
    const bounds = [
      { records: 3 + below(5), bytes: undefined },
      { records: undefined, bytes: 150 + below(400) },
      { records: 4 + below(3), bytes: 200 + below(200) },
    ] as const;
    this.#model = new LimitsModel({ ...(bounds[below(3)] ?? bounds[0]), whenFull });
    this.#isWild = below(3) === 0;
    this.#disk = new SimDisk({ seed, timing: this.#isWild ? 'wild' : 'steady', fill: 'zeros' });
    const { records, bytes } = this.#model.bounds;
    this.#say(`Limits(${JSON.stringify({ records, bytes, ageMs: this.#ageMs, whenFull })})`);
  }

  async run(): Promise<void> {
    try {
      await this.#open();
      for (let i = 0; i < STEPS; i++) {
        await this.#step();
        await this.#settle();
        this.#tally.steps++;
      }
      if (this.#evaq !== undefined) await closeWhole(this.#evaq, this.#disk);
    } catch (error) {
      const [first, ...rest] = (error instanceof Error ? error.message : String(error)).split('\n');
      throw new BrokenPromise('limits', `${first}\nseed ${this.#seed}: ${this.#script.join(' ')}\n${rest.join('\n')}`);
    }
  }

  get #queue(): Queue {
    if (this.#evaq === undefined) throw new Error('the store is open');
    return this.#evaq.wal;
  }

  get #now(): number {
    return this.#disk.host.elapsed();
  }

  #say(text: string): void {
    this.#script.push(text);
  }

  async #open(): Promise<void> {
    const { vfs, host } = this.#disk;
    const { records, bytes, whenFull } = this.#model.bounds;
    const ageMs = this.#ageMs;
    this.#evaq = await Evaq.open(STORE, {
      segmentBytes: 64 * 1024,
      limits: {
        whenFull,
        ...(records === undefined ? {} : { records }),
        ...(bytes === undefined ? {} : { bytes }),
        ...(ageMs === undefined ? {} : { ageMs }),
      },
      ports: { vfs, host: { ...host, now: () => host.now() + this.#shiftMs } },
    });
    this.#openedMs = this.#now;
    this.#rightMs = 0;
    this.#model.dropped = 0;
    this.#delivery = undefined;
    this.#ends = [];
    this.#model.handled.clear();
  }

  /** Of records of an earlier run the average size is known: where they differ the model is not told who fits. */
  async #drain(): Promise<void> {
    if (this.#size !== undefined || this.#model.bounds.bytes === undefined) return;
    await this.#queue.removeThrough(Number.MAX_SAFE_INTEGER);
    this.#model.live.clear();
  }

  async #step(): Promise<void> {
    if (this.#ageMs !== undefined && this.#below(4) === 0) return this.#pass();
    if (this.#waiting.length > 1 && this.#below(3) === 0) return this.#withdraw();
    const drawn = this.#below(24);
    if (drawn < 8) return this.#push(1 + this.#below(3), false);
    if (drawn < 11) return this.#push(1 + this.#below(4), true);
    if (drawn < 14) return this.#remove();
    if (drawn < 15) return this.#pop();
    if (drawn < 18) return this.#handle();
    if (drawn < 19) return this.#withdraw();
    if (drawn < 20) return this.#move();
    if (drawn < 21) return this.#fail();
    if (drawn < 22) return this.#reopen();
    return this.#cut();
  }

  #sizes(count: number): number[] {
    return Array.from({ length: count }, () => this.#size ?? this.#below(90));
  }

  #begin(batch: Batch, isOne: boolean): Waiting {
    const abort = new AbortController();
    const waiting: Waiting = { batch, calledMs: this.#now, outcome: undefined, abort };
    const payloads = batch.map((size) => Buffer.alloc(size, 'x'));
    const { signal } = abort;
    const [first = Buffer.alloc(0)] = payloads;
    const pushed = isOne
      ? this.#queue.push(first, { signal })
      : this.#queue.pushMany(payloads, { signal }).then(({ firstId }) => firstId);
    pushed.then(
      (firstId) => {
        waiting.outcome = { firstId };
      },
      (error: unknown) => {
        waiting.outcome = { error };
      },
    );
    return waiting;
  }

  /** Together, in one turn: one push for each, or all in one. */
  async #push(count: number, together: boolean): Promise<void> {
    const sizes = this.#sizes(count);
    this.#say(`${together ? 'PushMany' : 'Push'}(${sizes.join()})`);
    const batches: Batch[] = together ? [sizes] : sizes.map((size) => [size]);
    const begun = batches.map((batch) => this.#begin(batch, !together));
    await this.#passTime(SETTLE_MS);
    for (const one of begun) {
      const fate = this.#model.push(one.batch);
      if (fate === 'waits') {
        this.#waiting.push(one);
        this.#tally.waited++;
      } else this.#judge(one, fate);
    }
  }

  #judge({ batch, calledMs, outcome }: Waiting, fate: 'in' | 'refused' | 'too large'): void {
    if (outcome === undefined) throw new Error(`a push of ${batch.join()} waits, and should be ${fate}`);
    if ('error' in outcome) {
      const code = outcome.error instanceof EvaqError ? outcome.error.code : String(outcome.error);
      const expected = fate === 'too large' ? 'EVAQ_RECORD_TOO_LARGE' : fate === 'refused' ? 'EVAQ_QUEUE_FULL' : 'in';
      if (code !== expected && !this.#isVague())
        throw new Error(`a push of ${batch.join()} is ${code}, not ${expected}`);
      this.#tally.refused++;
      return;
    }
    if (fate !== 'in' && !this.#isVague()) throw new Error(`a push of ${batch.join()} came in, and should be ${fate}`);
    this.#enter(batch, outcome.firstId, calledMs);
  }

  #enter(batch: Batch, firstId: number, calledMs: number): void {
    for (const [i, size] of batch.entries())
      this.#model.live.set(firstId + i, { bytes: size + FRAME_BYTES, calledMs, doneMs: this.#now });
  }

  /** Something may be expiring at this very time. */
  #isVague(): boolean {
    if (this.#ageMs === undefined) return false;
    for (const { calledMs } of this.#model.live.values())
      if (this.#now - calledMs > this.#ageMs - 2 * LOOK_MS - SETTLE_MS) return true;
    return false;
  }

  #pick(): number | undefined {
    const ids = [...this.#model.live.keys()].filter((id) => !this.#model.handled.has(id));
    return this.#below(2) === 0 ? ids[0] : ids[this.#below(Math.max(1, ids.length))];
  }

  async #remove(): Promise<void> {
    const id = this.#pick();
    if (id === undefined) return;
    const isThrough = this.#below(4) === 0;
    this.#say(`${isThrough ? 'RemoveThrough' : 'Remove'}(${id})`);
    if (isThrough) await this.#queue.removeThrough(id);
    else await this.#queue.remove(id);
    for (const one of this.#model.live.keys()) if (isThrough ? one <= id : one === id) this.#model.live.delete(one);
  }

  /** Beside a push: what the pop has, no push may drop. */
  async #pop(): Promise<void> {
    const id = this.#pick();
    if (id === undefined || this.#isVague()) return;
    this.#say(`Pop(${id})`);
    const { id: got } = await this.#queue.pop(id);
    if (got !== id) throw new Error(`a pop of ${id} gave ${got}`);
    this.#model.live.delete(id);
  }

  /** Handlers that hang, or those that do end. */
  async #handle(): Promise<void> {
    if (this.#delivery === undefined) {
      this.#say('Handle');
      const hang = (): Promise<void> =>
        new Promise((resolve, reject) => this.#ends.push((error) => (error === undefined ? resolve() : reject(error))));
      const retry = { maxAttempts: 1000, backoff: { baseMs: 1e9, maxMs: 1e9, jitter: 'none' } } as const;
      this.#delivery = this.#queue.process((record) => this.#begunHandler(record.id, hang()), {
        concurrency: 2,
        timeoutMs: 0,
        breaker: false,
        retry,
      });
      await this.#passTime(SETTLE_MS);
      return;
    }
    const works = this.#below(2) === 0;
    this.#say(works ? 'HandlersEnd' : 'HandlersFail');
    this.#delivery.pause();
    for (const end of this.#ends.splice(0)) end(works ? undefined : new Error('it does not want it'));
    await this.#passTime(SETTLE_MS);
    await this.#delivery.stop({ graceMs: 0 });
    this.#delivery = undefined;
    if (works) for (const id of this.#model.handled) this.#model.live.delete(id);
    this.#model.handled.clear();
  }

  #begunHandler(id: number, ends: Promise<void>): Promise<void> {
    this.#model.handled.add(id);
    return ends;
  }

  async #withdraw(): Promise<void> {
    const [one] = this.#waiting.splice(this.#below(Math.max(1, this.#waiting.length)), 1);
    if (one === undefined) return;
    this.#say(`Withdraw(${one.batch.join()})`);
    one.abort.abort(new Error('never mind'));
    this.#model.withdraw(one.batch);
  }

  /** To the dead letters, and back past every limit. */
  async #move(): Promise<void> {
    const id = this.#pick();
    if (id === undefined || this.#evaq === undefined || this.#isVague()) return;
    this.#say(`DeadLetter(${id})`);
    const held = this.#model.live.get(id);
    const dead = await this.#queue.deadLetter(id, { reason: 'no' });
    this.#model.live.delete(id);
    if (this.#below(2) === 0 || held === undefined) return;
    await this.#settle();
    const calledMs = this.#now;
    const [back] = await this.#queue.redrive([dead]);
    if (back === undefined) throw new Error(`dead letter ${dead} was not redriven`);
    this.#say(`Redriven(${back})`);
    // Its date is that of the redrive.
    this.#model.live.set(back, { bytes: held.bytes, calledMs, doneMs: this.#now });
  }

  /** A push whose commit fails, where there is room for it. */
  async #fail(): Promise<void> {
    if (this.#model.bounds.whenFull === 'drop-oldest' || this.#waiting.length > 0 || this.#isVague()) return;
    const [size = 0] = this.#sizes(1);
    this.#say(`FailedPush(${size})`);
    const cancel = this.#disk.fault({ on: 'write', path: /\.seg$/, error: 'EIO' });
    const one = this.#begin([size], true);
    await this.#passTime(SETTLE_MS);
    cancel();
    const { outcome } = one;
    if (outcome !== undefined && 'firstId' in outcome) throw new Error('a push came in without a write');
    await this.#passTime(SETTLE_MS);
    if (outcome === undefined) {
      one.abort.abort(new Error('never mind'));
      await this.#passTime(SETTLE_MS);
    }
  }

  async #pass(): Promise<void> {
    if (this.#below(3) > 0) {
      const ms = this.#below(AGE_MS);
      this.#say(`Pass(${ms})`);
      return this.#passTime(ms);
    }
    const shiftMs = this.#below(2) === 0 ? YEAR_MS : -YEAR_MS;
    this.#say(`Jump(${shiftMs})`);
    this.#shiftMs = shiftMs;
    await this.#passTime(3 * LOOK_MS);
    this.#shiftMs = 0;
    if (shiftMs < 0) this.#rightMs = this.#now;
    await this.#passTime(2 * LOOK_MS);
  }

  async #reopen(): Promise<void> {
    this.#say('Reopen');
    for (const end of this.#ends.splice(0)) end(new Error('it ends'));
    await this.#evaq?.close();
    await this.#passTime(10);
    for (const { outcome } of this.#waiting) {
      const code =
        outcome !== undefined && 'error' in outcome && outcome.error instanceof EvaqError && outcome.error.code;
      if (code !== 'EVAQ_CLOSED') throw new Error(`a push that waited when the store closed is ${String(code)}`);
    }
    this.#waiting = [];
    this.#model.waiting.length = 0;
    await this.#open();
    await this.#drain();
  }

  /** A power cut while pushes and removals are under way. */
  async #cut(): Promise<void> {
    const isOver = this.#isOver(this.#model.live.values());
    const asked = new Set<number>();
    for (let i = this.#below(3); i >= 0; i--) {
      const id = this.#pick();
      if (id === undefined || asked.has(id)) continue;
      asked.add(id);
      void this.#queue.remove(id).catch(() => undefined);
    }
    const before = this.#now;
    const sizes = this.#sizes(1 + this.#below(4));
    const begun = sizes.map((size) => this.#begin([size], true));
    await this.#passTime(this.#below(4) * 0.3);
    const more = [...begun, ...sizes.map((size) => this.#begin([size], true))];
    await this.#passTime(this.#below(5) * 0.3);
    this.#say(`Cut(remove ${[...asked].join()}; push ${sizes.join()} twice)`);
    const choice = this.#below(2) === 0 ? this.#disk.nothingSurvives() : this.#disk.drawCrash(this.#below(1000));
    const kept = new Map(this.#model.live);
    // What was pushed, and resolved, is to be there.
    for (const { outcome, batch } of more)
      if (outcome !== undefined && 'firstId' in outcome)
        kept.set(outcome.firstId, { bytes: bytesOf(batch), calledMs: before, doneMs: this.#now });
    const now = this.#now;
    this.#disk = this.#disk.crash(choice);
    this.#tally.cuts++;
    this.#waiting = [];
    this.#model.waiting.length = 0;
    await this.#open();
    const there = await this.#contents();
    const { whenFull } = this.#model.bounds;
    const live = new Map<number, Held>();
    for (const [id, size] of there) {
      const bytes = size + FRAME_BYTES;
      live.set(id, kept.get(id) ?? { bytes, calledMs: before, doneMs: now });
    }
    if (whenFull !== 'drop-oldest' && !isOver && this.#isOver(live.values()))
      throw new Error(`after a power cut there are ${live.size} records of ${this.#model.bounds.records}`);
    for (const [id, { calledMs }] of kept) {
      const mayGo = asked.has(id) || whenFull === 'drop-oldest' || this.#mayExpire(calledMs);
      if (!there.has(id) && !mayGo) throw new Error(`after a power cut record ${id} is not there`);
    }
    this.#model.live.clear();
    for (const [id, held] of live) this.#model.live.set(id, held);
    await this.#drain();
  }

  #isOver(held: Iterable<Held>): boolean {
    const { records = Infinity, bytes = Infinity } = this.#model.bounds;
    const all = [...held];
    return all.length > records || all.reduce((sum, one) => sum + one.bytes, 0) > bytes;
  }

  #mayExpire(calledMs: number): boolean {
    return this.#ageMs !== undefined && this.#now - calledMs >= this.#ageMs;
  }

  async #contents(): Promise<Map<number, number>> {
    const there = new Map<number, number>();
    for await (const { id, payload } of this.#queue.records()) there.set(id, payload.length);
    return there;
  }

  /** Nothing is under way: the queue is what the model says. */
  async #settle(): Promise<void> {
    await this.#passTime(SETTLE_MS);
    const there = await this.#contents();
    const { live, handled, bounds } = this.#model;
    const vague = this.#isVague();
    for (const [id, { calledMs }] of live) {
      if (there.has(id)) continue;
      if (handled.has(id)) throw new Error(`record ${id} is gone, and a handler has it`);
      if (!this.#mayExpire(calledMs) && !(vague && bounds.whenFull === 'drop-oldest'))
        throw new Error(`record ${id} is gone, ${this.#now - calledMs} ms old`);
      live.delete(id);
      this.#tally.expired++;
    }
    this.#admit();
    for (const [id, { doneMs }] of live) {
      // A date that has come back from behind is ahead: what only dates tell of waits until it is believed.
      const ageMs = this.#now - (doneMs < this.#openedMs ? Math.max(doneMs, this.#rightMs) : doneMs);
      if (this.#ageMs !== undefined && !handled.has(id) && ageMs > this.#ageMs + 3 * LOOK_MS + SETTLE_MS)
        throw new Error(`record ${id} is there, ${ageMs} ms old`);
    }
    // What came in behind the look is in the model, too.
    const now = await this.#contents();
    for (const id of now.keys()) if (!live.has(id)) throw new Error(`record ${id} is there, and should not be`);
    this.#checkUse(now.size);
  }

  /** Of those that wait they come in for whom there is room, and no others. */
  #admit(): void {
    for (let next = this.#model.next(); next !== undefined; next = this.#model.next()) {
      const one = this.#waiting.shift();
      if (one?.outcome === undefined || 'error' in one.outcome) {
        if (this.#isVague()) return;
        throw new Error(`a push of ${next.join()} waits, and there is room`);
      }
      this.#enter(one.batch, one.outcome.firstId, one.calledMs);
    }
    for (const { batch, outcome } of this.#waiting) {
      if (outcome !== undefined && !this.#isVague())
        throw new Error(`a push of ${batch.join()} does not wait its turn`);
    }
  }

  #checkUse(size: number): void {
    const { limits } = this.#queue.stats();
    if (limits === undefined) throw new Error('there are limits');
    const { live, waiting, dropped } = this.#model;
    if (this.#isVague()) return;
    if (limits.usedRecords !== size) throw new Error(`${limits.usedRecords} records are counted of ${size}`);
    if (live.size !== size) throw new Error(`there are ${size} records, and should be ${live.size}`);
    if (limits.usedBytes !== undefined && Math.abs(limits.usedBytes - this.#model.bytes) > 1)
      throw new Error(`${limits.usedBytes} bytes are counted of ${this.#model.bytes}`);
    if (limits.waiting !== waiting.length) throw new Error(`${limits.waiting} pushes wait of ${waiting.length}`);
    if (this.#ageMs === undefined && limits.dropped !== dropped)
      throw new Error(`${limits.dropped} records are counted as dropped of ${dropped}`);
    this.#tally.dropped = Math.max(this.#tally.dropped, dropped);
  }

  #passTime(ms: number): Promise<void> {
    return new Promise((resolve) => this.#disk.host.after(ms, resolve));
  }
}

/** One history. Rejects with what is broken, and the script of it. */
export async function runLimits(seed: number, tally: LimitsTally = newLimitsTally()): Promise<void> {
  await new LimitsRun(seed, tally).run();
}
