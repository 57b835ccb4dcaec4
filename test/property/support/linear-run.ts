/**
 * Carries out a script of several clients on the simulated machine and writes the history of it. Between its parts everything is read; each part
 * is then checked on its own, also for a few states that its power cut could have left.
 */
import { EvaqError } from '../../../src/errors.js';
import { Evaq } from '../../../src/evaq.js';
import type { Queue } from '../../../src/queue/queue.js';
import { formatCall, type SimCall } from '../../../src/sim/sim-call.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import {
  type Call,
  type Ending,
  History,
  type Iteration,
  QUEUES,
  type Question,
  type QueueName,
  type Seen,
} from './history.js';
import { type CheckStats, unexplained } from './linear-check.js';
import type { View } from './linear-events.js';
import { type Act, describeLinear, type LinearScript, type Part } from './linear-script.js';
import { payloadOf } from './store-model.js';

const STORE = '/srv/store';
/** Of simulated time: whatever has not ended by then never does. */
const HANG_MS = 20 * 60_000;
/** For all that is under way in the background, before a tail is asked for what it has left out. */
const DRAIN_MS = 10_000;
/** Further states of each power cut. */
const BRANCHES = 2;

export class Unexplained extends Error {
  override readonly name = 'Unexplained';
}

type Store = { readonly evaq: Evaq; readonly queues: ReadonlyMap<QueueName, Queue> };

class LinearRun {
  readonly #script: LinearScript;
  readonly #stats: CheckStats;
  readonly #bytes: Map<number, number> = new Map();
  #disk: SimDisk;
  #history: History = new History();
  #calls: Call[] = [];
  /** IDs that somebody was told, by queue. */
  #told: Map<QueueName, number[]> = new Map();
  #isOver = false;

  constructor(script: LinearScript, stats: CheckStats) {
    const { seed, timing, names } = script;
    this.#script = script;
    this.#stats = stats;
    this.#disk = new SimDisk({ seed, timing, names });
  }

  async run(): Promise<void> {
    let before = await this.#fill();
    for (const part of this.#script.parts) before = await this.#part(part, before);
    this.#disk.kill();
  }

  async #fill(): Promise<View> {
    const store = await this.#open(this.#disk);
    for (const [queue, sizes] of [
      [store.evaq.wal, this.#script.wal],
      [store.evaq.deadLetters, this.#script.dead],
    ] as const) {
      for (const bytes of sizes) await queue.push(this.#payload(bytes));
    }
    const view = await this.#look(store);
    await store.evaq.close();
    return view;
  }

  async #open(disk: SimDisk): Promise<Store> {
    const { mode } = this.#script;
    const evaq = await Evaq.open(STORE, {
      ports: { vfs: disk.vfs, host: disk.host },
      segmentBytes: 64 * 1024,
      durability: mode === 'interval' ? { intervalMs: 20 } : mode,
      recycleSegments: this.#script.seed % 3,
      gc: { liveShareMax: 0.9 },
    });
    const queues = new Map<QueueName, Queue>([
      ['wal', evaq.wal],
      ['dead-letters', evaq.deadLetters],
    ]);
    return { evaq, queues };
  }

  async #part(part: Part, before: View): Promise<View> {
    const disk = this.#disk;
    const store = await this.#open(disk);
    this.#history = new History();
    this.#calls = this.#history.calls;
    this.#isOver = false;
    this.#told = new Map([...before].map(([queue, seen]) => [queue, seen.map(({ id }) => id)]));
    for (const { path, ...rule } of part.faults) disk.fault(path === '' ? rule : { ...rule, path });
    if (part.roomBytes !== undefined) disk.limits.capacityBytes = disk.usedBytes + part.roomBytes;
    const firstCall = disk.calls.length;
    await this.#serve(part, store);
    this.#isOver = true;
    const made = disk.calls.slice(firstCall);
    const trouble = {
      faults: part.faults.length > 0 || part.roomBytes !== undefined,
      stops: made.some(mayStop) || failedTwice(made),
      failures: made.filter(({ outcome }) => outcome !== 'ok' && outcome !== 'under way').map(formatCall),
    };
    const { end } = part;
    disk.limits.capacityBytes = Infinity;
    const states =
      end === 'power'
        ? [disk.drawCrash(part.draw), disk.nothingSurvives(), disk.drawCrash(part.draw + 1)]
            .slice(0, BRANCHES + 1)
            .map((choice) => disk.crash(choice))
        : [disk.fork()];
    let result: View | undefined;
    for (const state of states) {
      state.limits.capacityBytes = Infinity;
      const opened = await this.#open(state);
      const [damage] = opened.evaq.recovery.damage;
      if (damage !== undefined) throw this.#broken(`P9: a crash was taken for damage: ${damage.what}`);
      const after = await this.#look(opened);
      await opened.evaq.close();
      const chapter = { calls: this.#calls, before, after, end, mode: this.#script.mode };
      const found = unexplained(chapter, trouble, this.#stats);
      if (found !== undefined) throw this.#broken(found);
      if (result === undefined) {
        result = after;
        this.#disk = state;
      }
    }
    disk.kill();
    if (result === undefined) throw new Error('a part leaves at least one state');
    return result;
  }

  #broken(what: string): Unexplained {
    return new Unexplained(`${what}\nscript: ${describeLinear(this.#script)}`);
  }

  /** Resolves when the part is over: its process is dead, or the store closed. */
  async #serve(part: Part, store: Store): Promise<void> {
    const disk = this.#disk;
    const { host } = disk;
    const watch = disk.spawn();
    const signal = new AbortController();
    let cancelWatch = (): void => undefined;
    const hung = new Promise<'hung'>((resolve) => {
      cancelWatch = watch.host.after(HANG_MS, () => resolve('hung'));
    });
    const clients = part.clients.map((acts, i) => this.#client('abcdef'[i] ?? `${i}`, acts, store));
    const iterations: Iteration[] = [];
    const tails = part.tails.map((queue, i) => this.#tail(`tail ${i + 1}`, queue, store, signal.signal, iterations));
    const stopAt = new Promise<'stopped'>((resolve) => {
      if (part.endAfterSteps === Infinity) return;
      if (part.end !== 'close') {
        void disk.cutAfter(disk.steps + part.endAfterSteps).then(() => resolve('stopped'));
        return;
      }
      const last = disk.steps + part.endAfterSteps;
      const stop = disk.observe(({ step }) => {
        if (step < last) return;
        stop();
        resolve('stopped');
      });
    });
    const done = Promise.all(clients).then(async () => {
      if (tails.length > 0) await new Promise<void>((resolve) => host.after(DRAIN_MS, resolve));
      const now = this.#history.tick();
      for (const iteration of iterations) iteration.drainedAt = now;
      signal.abort('enough');
      await Promise.all(tails);
      return 'done' as const;
    });
    done.catch(() => undefined);
    try {
      if ((await Promise.race([done, stopAt, hung])) === 'hung') throw this.#broken(this.#hang('the clients'));
      if (part.end === 'close') {
        const closed = store.evaq.close().then(
          () => 'closed' as const,
          (error: unknown) => endingOf(error),
        );
        const outcome = await Promise.race([closed, hung]);
        if (outcome === 'hung') throw this.#broken(this.#hang('close'));
        if ((await Promise.race([done, hung])) === 'hung') throw this.#broken(this.#hang('a call beside close'));
        cancelWatch();
        const open = disk.openHandles();
        if (outcome === 'closed' && open.length > 0) throw this.#broken(`open after close: ${open.join(', ')}`);
      }
    } finally {
      cancelWatch();
      disk.kill();
    }
  }

  #hang(who: string): string {
    const waiting = this.#calls.filter(({ ending }) => ending === 'under way');
    return [`${who} never came to an end`, ...waiting.map(({ question }) => JSON.stringify(question))].join('\n  ');
  }

  async #client(name: string, acts: readonly Act[], store: Store): Promise<void> {
    for (const act of acts) {
      if (this.#isOver) return;
      await this.#perform(name, act, store);
    }
  }

  /** Makes one call, and notes when and how it ended. */
  async #ask(client: string, question: Question, body: () => Promise<void>): Promise<Call> {
    const call = this.#history.begin(client, question);
    const { calls } = this.#history;
    let ending: Ending;
    try {
      await body();
      ending = 'ok';
    } catch (error) {
      // What a dead process hears does not count.
      ending = isDead(error) ? 'under way' : endingOf(error);
    }
    if (!this.#isOver && calls === this.#calls && ending !== 'under way') this.#history.end(call, ending);
    return call;
  }

  async #perform(client: string, act: Act, { evaq, queues }: Store): Promise<void> {
    const queueOf = (name: QueueName): Queue => queues.get(name) ?? evaq.wal;
    switch (act.act) {
      case 'idle': {
        await new Promise<void>((resolve) => this.#disk.host.after(act.ms, resolve));
        return;
      }
      case 'push':
      case 'pushSync':
      case 'pushMany': {
        const payloads = ('sizes' in act ? act.sizes : [act.bytes]).map((bytes) => this.#payload(bytes));
        const question: Question = { call: 'push', queue: act.queue, form: act.act, tokens: payloads.map(tokenOf) };
        const queue = queueOf(act.queue);
        const [first] = payloads;
        await this.#ask(client, question, async () => {
          if (first === undefined) return;
          if (act.act === 'pushMany') question.firstId = (await queue.pushMany(payloads)).firstId;
          else question.firstId = act.act === 'push' ? await queue.push(first) : queue.pushSync(first);
          for (const i of payloads.keys()) this.#tell(act.queue, question.firstId + i);
        });
        return;
      }
      case 'get': {
        const question: Question = { call: 'get', queue: act.queue, id: this.#pick(act.queue, act.pick) };
        await this.#ask(client, question, async () => {
          const record = await queueOf(act.queue).get(question.id);
          if (record !== undefined) question.seen = this.#seen(record);
        });
        return;
      }
      case 'pop': {
        const question: Question = { call: 'pop', queue: act.queue, id: this.#pick(act.queue, act.pick) };
        await this.#ask(client, question, async () => {
          question.seen = this.#seen(await queueOf(act.queue).pop(question.id));
        });
        return;
      }
      case 'read': {
        const from = act.pick === 0 ? 0 : this.#pick(act.queue, act.pick);
        const question: Question = { call: 'read', queue: act.queue, from };
        await this.#ask(client, question, async () => {
          const records = await queueOf(act.queue).read({ from, maxRecords: act.records });
          question.seen = records.map((record) => this.#seen(record));
        });
        return;
      }
      case 'records':
        return this.#iterate(client, act.queue, act.take, act.pauseMs, queueOf(act.queue));
      case 'remove': {
        const id = this.#pick(act.queue, act.pick);
        const question: Question = { call: 'remove', queue: act.queue, ids: [id] };
        await this.#ask(client, question, async () => {
          question.removed = await queueOf(act.queue).remove(id);
        });
        return;
      }
      case 'removeMany': {
        const ids = [...new Set(act.picks.map((pick) => this.#pick(act.queue, pick)))];
        const question: Question = { call: 'removeMany', queue: act.queue, ids };
        await this.#ask(client, question, async () => {
          question.count = await queueOf(act.queue).removeMany(ids);
        });
        return;
      }
      case 'removeThrough': {
        const through = this.#pick(act.queue, act.pick);
        const question: Question = { call: 'removeThrough', queue: act.queue, through };
        await this.#ask(client, question, async () => {
          question.count = await queueOf(act.queue).removeThrough(through);
        });
        return;
      }
      case 'deadLetter': {
        const question: Question = { call: 'deadLetter', id: this.#pick('wal', act.pick) };
        await this.#ask(client, question, async () => {
          question.newId = await evaq.deadLetter(question.id, { reason: 'test' });
          this.#tell('dead-letters', question.newId);
        });
        return;
      }
      case 'redrive': {
        const ids = [...new Set(act.picks.map((pick) => this.#pick('dead-letters', pick)))];
        const question: Question = { call: 'redrive', form: 'ids', ids, shown: [] };
        await this.#ask(client, question, async () => {
          question.newIds = await evaq.redrive(ids);
          for (const id of question.newIds) this.#tell('wal', id);
        });
        return;
      }
      case 'redriveAll':
      case 'redriveOdd': {
        const question: Question = { call: 'redrive', form: 'filter', ids: [], shown: [] };
        await this.#ask(client, question, async () => {
          question.newIds = await evaq.redrive((record) => {
            question.shown.push(this.#seen(record));
            const isWanted = act.act === 'redriveAll' || record.id % 2 === 1;
            if (isWanted) question.ids.push(record.id);
            return isWanted;
          });
          for (const id of question.newIds) this.#tell('wal', id);
        });
        return;
      }
      case 'flush':
      case 'compact': {
        const queue = queueOf(act.queue);
        await this.#ask(client, { call: act.act, queue: act.queue }, async () => {
          if (act.act === 'flush') await queue.flush();
          else await queue.compact();
        });
        return;
      }
    }
  }

  async #iterate(client: string, name: QueueName, take: number, pauseMs: number, queue: Queue): Promise<void> {
    const iteration: Iteration = { form: 'records', queue: name, startedAt: this.#history.tick(), yielded: [] };
    const records = queue.records();
    for (let taken = 0; taken < take; taken++) {
      const call = await this.#next(client, iteration, records);
      if (call.ending !== 'ok' || (call.question.call === 'next' && call.question.done === true)) return;
      if (pauseMs > 0) await new Promise<void>((resolve) => this.#disk.host.after(pauseMs, resolve));
    }
    await records.return();
  }

  async #tail(
    client: string,
    name: QueueName,
    { queues }: Store,
    signal: AbortSignal,
    iterations: Iteration[],
  ): Promise<void> {
    const queue = queues.get(name);
    if (queue === undefined) return;
    const iteration: Iteration = { form: 'tail', queue: name, startedAt: this.#history.tick(), yielded: [] };
    iterations.push(iteration);
    const records = queue.tail({ signal });
    for (;;) {
      const call = await this.#next(client, iteration, records, signal);
      if (call.ending !== 'ok' || (call.question.call === 'next' && call.question.done === true)) return;
    }
  }

  #next(
    client: string,
    iteration: Iteration,
    records: AsyncGenerator<{ readonly id: number; readonly payload: Buffer }, void>,
    signal?: AbortSignal,
  ): Promise<Call> {
    const question: Question = { call: 'next', iteration };
    return this.#ask(client, question, async () => {
      const step = await records.next().catch((error: unknown) => {
        if (signal?.aborted === true && error === signal.reason) return { done: true, value: undefined } as const;
        throw error;
      });
      if (step.done === true) {
        question.done = true;
        return;
      }
      question.seen = this.#seen(step.value);
      iteration.yielded.push(question.seen);
    });
  }

  #payload(bytes: number): Buffer {
    const token = this.#bytes.size + 1;
    this.#bytes.set(token, bytes);
    return payloadOf(token, bytes);
  }

  #seen(record: { readonly id: number; readonly payload: Buffer }): Seen {
    const token = record.payload.length < 3 ? 0 : tokenOf(record.payload);
    const bytes = this.#bytes.get(token);
    if (bytes === undefined || !payloadOf(token, bytes).equals(record.payload))
      throw this.#broken(`P3: record ${record.id} holds ${record.payload.length} bytes that nobody pushed`);
    return { id: record.id, token };
  }

  #tell(queue: QueueName, id: number): void {
    const told = this.#told.get(queue) ?? [];
    told.push(id);
    this.#told.set(queue, told);
  }

  #pick(queue: QueueName, pick: number): number {
    const told = this.#told.get(queue) ?? [];
    // Mostly from the front, where everybody is; the last one now and then.
    return (pick % 7 === 5 ? told.at(-1) : told[pick % Math.max(1, told.length)]) ?? 1;
  }

  async #look({ queues }: Store): Promise<View> {
    const view = new Map<QueueName, Seen[]>();
    for (const name of QUEUES) {
      const queue = queues.get(name);
      if (queue === undefined) continue;
      const seen: Seen[] = [];
      for (let from = 0; ; ) {
        const records = await queue.read({ from, maxBytes: 30_000 });
        const last = records.at(-1);
        if (last === undefined) break;
        for (const record of records) seen.push(this.#seen(record));
        from = last.id + 1;
      }
      if (seen.length !== queue.size)
        throw this.#broken(`P3: ${name} counts ${queue.size}, and ${seen.length} can be read`);
      view.set(name, seen);
    }
    return view;
  }
}

function tokenOf(payload: Buffer): number {
  return payload.readUIntBE(0, 3);
}

/** Nothing was synced, and nothing failed to be. */
const PASSING_ERRORS: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN']);

/** A sync that failed, or what may be a failed cut after a failed write: only that may stop a store. */
function mayStop({ name, outcome }: SimCall): boolean {
  if (outcome === 'ok' || outcome === 'under way') return false;
  switch (name) {
    case 'sync':
    case 'truncate':
      return true;
    case 'writeAndSyncBlocking':
    case 'syncDir':
      return !PASSING_ERRORS.has(outcome);
    default:
      return false;
  }
}

/** A write failed, and what was to undo it, which for a log of tombstones is another write. */
function failedTwice(calls: readonly SimCall[]): boolean {
  const failed = new Set<string>();
  for (const { name, path, outcome } of calls) {
    if (outcome === 'ok' || outcome === 'under way' || (name !== 'write' && name !== 'writeBlocking')) continue;
    if (failed.has(path) && path.includes('.tomb')) return true;
    failed.add(path);
  }
  return false;
}

function isDead(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) if (at.message.includes('process is dead')) return true;
  return false;
}

function endingOf(error: unknown): Ending {
  if (error instanceof Unexplained) throw error;
  if (error instanceof EvaqError) return error.code;
  return `unexpected: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}

/** @throws `Unexplained`, with the history and the script. */
export async function runLinear(script: LinearScript, stats: CheckStats): Promise<void> {
  await new LinearRun(script, stats).run();
}
