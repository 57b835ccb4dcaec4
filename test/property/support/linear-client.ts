/** The clients of a script: they make its calls, one after the other each, and write down what they heard. */
import { EvaqError } from '../../../src/errors.js';
import { DeadLetterError, type Evaq, RetryLater } from '../../../src/evaq.js';
import type { Queue } from '../../../src/queue/queue.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import {
  type Call,
  type Deed,
  type Ending,
  type Handed,
  History,
  type Iteration,
  type Question,
  type QueueName,
  type Seen,
  type View,
} from './history.js';
import type { Act } from './linear-script.js';
import { payloadOf } from './store-model.js';

/** An ID that no record ever has: a guess at another may hit one that its owner was not told of yet. */
const NEVER_GIVEN = 2 ** 50;

export interface Store {
  readonly evaq: Evaq;
  readonly queues: ReadonlyMap<QueueName, Queue>;
}

/** A history that cannot be explained, or a record that nobody pushed. */
export class Unexplained extends Error {
  override readonly name = 'Unexplained';
}

export const SOURCE = 'source';
const MESSAGE_BYTES = 20;
/** A handler that fails is called again soon. */
const AT_ONCE = {
  maxAttempts: Infinity,
  maxCrashes: Infinity,
  backoff: { baseMs: 1, factor: 1, jitter: 'none' as const },
};

/** What all of a run knows of messages, and of how far the source has come. */
export class Memory {
  readonly payloads: Map<number, Buffer> = new Map();
  /** By message: its ID, where it surely has one. 'unknown': whether it came in nobody knows, and it is not pushed any more. */
  readonly ids: Map<number, number | 'unknown'> = new Map();
  position = 0;
}

/** Payloads by their tokens, for all of a run. */
export class Payloads {
  readonly #bytes: Map<number, number> = new Map();

  next(bytes: number): Buffer {
    const token = this.#bytes.size + 1;
    this.#bytes.set(token, bytes);
    return payloadOf(token, bytes);
  }

  /** P3: what is read was pushed. */
  seen(record: { readonly id: number; readonly payload: Buffer }): Seen {
    const token = record.payload.length < 3 ? 0 : tokenOf(record.payload);
    const bytes = this.#bytes.get(token);
    if (bytes === undefined || !payloadOf(token, bytes).equals(record.payload))
      throw new Unexplained(`P3: record ${record.id} holds ${record.payload.length} bytes that nobody pushed`);
    return { id: record.id, token };
  }
}

export class Clients {
  readonly history: History = new History();
  readonly #disk: SimDisk;
  readonly #store: Store;
  readonly #payloads: Payloads;
  readonly #memory: Memory;
  readonly #mayFail: boolean;
  /** IDs that somebody was told, by queue. */
  readonly #told: Map<QueueName, number[]>;
  #isOver = false;

  constructor(disk: SimDisk, store: Store, payloads: Payloads, before: View, memory: Memory, mayFail: boolean) {
    this.#memory = memory;
    this.#mayFail = mayFail;
    this.#disk = disk;
    this.#store = store;
    this.#payloads = payloads;
    this.#told = new Map([...before].map(([queue, seen]) => [queue, seen.map(({ id }) => id)]));
  }

  /** What is heard from here on is not written down. */
  end(): void {
    this.#isOver = true;
  }

  async run(name: string, acts: readonly Act[]): Promise<void> {
    for (const act of acts) {
      if (this.#isOver) return;
      await this.#perform(name, act);
    }
  }

  /** Makes one call, and notes when and how it ended. */
  async #ask(client: string, question: Question, body: () => Promise<void>): Promise<Call> {
    const call = this.history.begin(client, question);
    let ending: Ending;
    try {
      await body();
      ending = 'ok';
    } catch (error) {
      // What a dead process hears does not count.
      ending = isDead(error) ? 'under way' : endingOf(error);
    }
    if (!this.#isOver && ending !== 'under way') this.history.end(call, ending);
    return call;
  }

  async #perform(client: string, act: Act): Promise<void> {
    const { evaq, queues } = this.#store;
    const queueOf = (name: QueueName): Queue => queues.get(name) ?? evaq.wal;
    switch (act.act) {
      case 'idle': {
        await new Promise<void>((resolve) => this.#disk.host.after(act.ms, resolve));
        return;
      }
      case 'push':
      case 'pushSync':
      case 'pushMany': {
        const payloads = ('sizes' in act ? act.sizes : [act.bytes]).map((bytes) => this.#payloads.next(bytes));
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
      case 'message': {
        const known = this.#memory.ids.get(act.message);
        if (known === 'unknown') return;
        const payload = this.#memory.payloads.get(act.message) ?? this.#payloads.next(MESSAGE_BYTES);
        this.#memory.payloads.set(act.message, payload);
        const name = `m${act.message}`;
        const message = { name, knownId: known };
        const question: Question = { call: 'push', queue: 'wal', form: 'push', tokens: [tokenOf(payload)], message };
        await this.#ask(client, question, async () => {
          question.firstId = await evaq.wal.push(payload, { messageId: name });
          this.#tell('wal', question.firstId);
        });
        return;
      }
      case 'batch': {
        const payloads = Array.from({ length: act.records }, () => this.#payloads.next(10));
        const position = ++this.#memory.position;
        const tokens = payloads.map(tokenOf);
        const question: Question = { call: 'push', queue: 'wal', form: 'pushMany', tokens, position };
        await this.#ask(client, question, async () => {
          const { firstId } = await evaq.wal.pushMany(payloads, { checkpoint: { source: SOURCE, position } });
          question.firstId = firstId;
          for (const i of payloads.keys()) this.#tell('wal', firstId + i);
        });
        return;
      }
      case 'checkpoint': {
        const question: Question = { call: 'checkpoint', queue: 'wal' };
        await this.#ask(client, question, async () => {
          const position = await evaq.wal.checkpoint(SOURCE);
          question.position = typeof position === 'number' ? position : undefined;
        });
        return;
      }
      case 'deliver':
        return this.#deliver(client, act.queue, act.ms, act.deeds, act.slowMs, queueOf(act.queue));
      case 'get': {
        const question: Question = { call: 'get', queue: act.queue, id: this.#pick(act.queue, act.pick) };
        await this.#ask(client, question, async () => {
          const record = await queueOf(act.queue).get(question.id);
          if (record !== undefined) question.seen = this.#payloads.seen(record);
        });
        return;
      }
      case 'pop': {
        const question: Question = { call: 'pop', queue: act.queue, id: this.#pick(act.queue, act.pick) };
        await this.#ask(client, question, async () => {
          question.seen = this.#payloads.seen(await queueOf(act.queue).pop(question.id));
        });
        return;
      }
      case 'read': {
        const from = act.pick === 0 ? 0 : this.#pick(act.queue, act.pick);
        const question: Question = { call: 'read', queue: act.queue, from };
        await this.#ask(client, question, async () => {
          const records = await queueOf(act.queue).read({ from, maxRecords: act.records });
          question.seen = records.map((record) => this.#payloads.seen(record));
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
            question.shown.push(this.#payloads.seen(record));
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

  async #deliver(
    client: string,
    name: QueueName,
    ms: number,
    deeds: readonly Deed[],
    slowMs: number,
    queue: Queue,
  ): Promise<void> {
    const handed: Handed[] = [];
    const question: Question = { call: 'deliver', queue: name, mayFail: this.#mayFail, handed };
    const { host } = this.#disk;
    let isStopping = false;
    await this.#ask(client, question, async () => {
      const delivery = queue.process(
        async (record, { attempt }) => {
          const seen = this.#payloads.seen(record);
          const deed = deeds[(seen.token + handed.length) % deeds.length] ?? 'ok';
          const at = [this.history.tick(), this.history.tick()] as const;
          const one: Handed = { seen, attempt, deed, at, endedAt: Infinity, isStopping: false };
          if (!this.#isOver) handed.push(one);
          if (slowMs > 0) await new Promise<void>((resolve) => host.after(slowMs, resolve));
          if (!this.#isOver) {
            one.endedAt = this.history.tick();
            one.isStopping = isStopping;
          }
          if (deed === 'fail') throw new Error('no');
          if (deed === 'later') throw new RetryLater({ delayMs: 1 });
          if (deed === 'dead') throw new DeadLetterError('test');
        },
        { concurrency: 3, timeoutMs: 0, breaker: false, retry: AT_ONCE },
      );
      await new Promise<void>((resolve) => host.after(ms, resolve));
      isStopping = true;
      await delivery.stop();
      await delivery.done;
    });
  }

  async #iterate(client: string, name: QueueName, take: number, pauseMs: number, queue: Queue): Promise<void> {
    const iteration: Iteration = { form: 'records', queue: name, startedAt: this.history.tick(), yielded: [] };
    const records = queue.records();
    for (let taken = 0; taken < take; taken++) {
      const call = await this.#next(client, iteration, records);
      if (call.ending !== 'ok' || (call.question.call === 'next' && call.question.done === true)) return;
      if (pauseMs > 0) await new Promise<void>((resolve) => this.#disk.host.after(pauseMs, resolve));
    }
    await records.return();
  }

  /** Follows a queue until `signal`; its iteration is added to `iterations`. */
  async tail(client: string, name: QueueName, signal: AbortSignal, iterations: Iteration[]): Promise<void> {
    const queue = this.#store.queues.get(name);
    if (queue === undefined) return;
    const iteration: Iteration = { form: 'tail', queue: name, startedAt: this.history.tick(), yielded: [] };
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
      question.seen = this.#payloads.seen(step.value);
      iteration.yielded.push(question.seen);
    });
  }

  #tell(queue: QueueName, id: number): void {
    const told = this.#told.get(queue) ?? [];
    told.push(id);
    this.#told.set(queue, told);
  }

  #pick(queue: QueueName, pick: number): number {
    const told = this.#told.get(queue) ?? [];
    // Mostly from the front, where everybody is; the last one now and then.
    return (pick % 7 === 5 ? told.at(-1) : told[pick % Math.max(1, told.length)]) ?? NEVER_GIVEN;
  }
}

function tokenOf(payload: Buffer): number {
  return payload.readUIntBE(0, 3);
}

function isDead(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) if (at.message.includes('process is dead')) return true;
  return false;
}

export function endingOf(error: unknown): Ending {
  if (error instanceof Unexplained) throw error;
  if (error instanceof EvaqError) return error.code;
  return `unexpected: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}
