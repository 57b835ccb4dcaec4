/**
 * A link's end in the thread that has the store: makes the calls that the other end asks for, and says what they came to.
 *
 * A link that ends without a word is a thread that has died. Whatever it waited for is withdrawn, as by a signal: a push that waits for room is not pushed,
 * and a pop gives its record back unless its removal has begun. What was in its handlers has crashed (`linked-deliveries.ts`).
 */
import type { MessagePort } from 'node:worker_threads';
import { isPlain } from '../arguments.js';
import { EvaqError } from '../errors.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { RecordsOptions } from '../log/read-options.js';
import type { MoveProgress } from '../queue/move-options.js';
import type { Queue } from '../queue/queue.js';
import type { DeadLetterListOptions } from '../queue/queue-dead-letters.js';
import { LinkPort } from './link-port.js';
import {
  type FromStore,
  LINK_VERSION,
  type LinkedQueueFacts,
  type SentSelection,
  type ToStore,
} from './link-protocol.js';
import { receivedPayloads } from './linked-arguments.js';
import { packRecords } from './packed-records.js';
import { packThrown, unpackThrown } from './packed-thrown.js';
import { StoreDeliveries } from './store-deliveries.js';
import { StoreIterations } from './store-iterations.js';
import { StoreQuestions } from './store-questions.js';

/** What a link needs of a store. */
export interface LinkTarget {
  readonly storeId: string;
  readonly path: string;
  readonly wal: Queue;
  readonly deadLetters: Queue;
  queueNames(): string[];
  queue(name: string, options?: object): Promise<Queue>;
}

/** What may be called of a queue. */
const QUEUE_METHODS: ReadonlySet<string> = new Set([
  'push',
  'pushMany',
  'get',
  'pop',
  'read',
  'remove',
  'removeMany',
  'removeThrough',
  'deadLetter',
  'redrive',
  'flush',
  'compact',
  'checkpoint',
  'stats',
]);

/** The same of its dead letters, and by which name. */
const LETTER_METHODS: ReadonlyMap<string, 'summary' | 'redrive' | 'purge'> = new Map([
  ['deadLetters.summary', 'summary'],
  ['deadLetters.redrive', 'redrive'],
  ['deadLetters.purge', 'purge'],
]);

/** Of these, what is withdrawn where the other end dies. */
const WITHDRAWN: ReadonlySet<string> = new Set(['push', 'pushMany', 'pop', 'deadLetters.redrive', 'deadLetters.purge']);

type Message<Kind extends ToStore['kind']> = ToStore & { readonly kind: Kind };

export class StoreLink {
  readonly #target: LinkTarget;
  readonly #port: LinkPort<FromStore, ToStore>;
  readonly #queues: Queue[] = [];
  /** Those whose pushes may be refused or made to wait, each by itself. */
  readonly #limited = new Set<Queue>();
  readonly #calls = new Map<number, AbortController>();
  /** Aborted when the other end is gone: of calls that have no signal of their own, and must not take for the dead. */
  readonly #living = new AbortController();
  readonly #deliveries: StoreDeliveries;
  readonly #questions: StoreQuestions;
  readonly #iterations = new StoreIterations();
  readonly #onEnded: () => void;
  #hasEnded = false;
  /** Calls that have no answer yet. */
  #underWay = 0;
  /** The store is closed. */
  #isEnding = false;

  /** `onEnded`: it is over, whoever ended it. */
  constructor(port: MessagePort, target: LinkTarget, onEnded: () => void) {
    this.#target = target;
    this.#onEnded = onEnded;
    this.#port = new LinkPort(port);
    this.#questions = new StoreQuestions(this.#port);
    this.#deliveries = new StoreDeliveries(this.#port, this.#questions);
    this.#port.listen(
      (message) => this.#take(message),
      () => this.#lost(),
      () => this.#deliveries.gather(),
    );
  }

  /** The store is closed. Calls that came before have their answers first: those that have none then were never made. */
  end(): void {
    if (this.#hasEnded) return;
    this.#isEnding = true;
    this.#iterations.endAll();
    if (this.#underWay > 0) return;
    this.#hasEnded = true;
    // The other end has none any more, whatever it began in its last moment.
    this.#deliveries.lost();
    this.#questions.lost();
    this.#port.send({ kind: 'bye' });
    this.#port.close();
    this.#onEnded();
  }

  #answered(message: FromStore, bytes?: Uint8Array): void {
    this.#port.send(message, bytes);
    this.#underWay--;
    if (this.#isEnding) this.end();
  }

  /** Whatever a thread sends, it does not throw in this one. */
  #take(message: ToStore): void {
    try {
      this.#received(message);
    } catch {
      this.#port.abandon();
      this.#lost();
    }
  }

  #received(message: ToStore): void {
    switch (message.kind) {
      case 'hello':
        this.#welcome(message);
        return;
      case 'pack':
        this.#pack(message);
        return;
      case 'call':
        this.#call(message);
        return;
      case 'abort':
        this.#calls.get(message.call)?.abort();
        return;
      case 'ask':
        this.#make(message.call, () => this.#deliveries.ask(message), undefined);
        return;
      case 'deliver':
        this.#deliveries.begin(message, this.#queues[message.queue]);
        return;
      case 'answer':
        this.#questions.answered(message.question, message.answer);
        return;
      case 'bye':
        // Nothing is under way: it said so itself.
        this.end();
        return;
      default:
        this.#deliveries.received(message);
    }
  }

  #welcome({ version }: Message<'hello'>): void {
    if (version !== LINK_VERSION) {
      this.#port.send({ kind: 'refused', version: LINK_VERSION });
      return;
    }
    const { storeId, path, wal, deadLetters } = this.#target;
    this.#port.send({
      kind: 'welcome',
      version: LINK_VERSION,
      storeId,
      path,
      wal: this.#factsOf(wal),
      deadLetters: this.#factsOf(deadLetters),
    });
  }

  #factsOf(queue: Queue): LinkedQueueFacts {
    const known = this.#queues.indexOf(queue);
    const index = known >= 0 ? known : this.#queues.push(queue) - 1;
    const { limits } = queue.stats();
    const isBounded = limits !== undefined && (limits.records ?? limits.bytes ?? limits.minFreeBytes) !== undefined;
    if (isBounded) this.#limited.add(queue);
    return {
      index,
      name: queue.name,
      recordBytesMax: queue.recordBytesMax,
      deadLetters: queue.deadLetters.name,
      limits: isBounded ? { records: limits.records, bytes: limits.bytes } : undefined,
    };
  }

  /** Pushes of one turn, which are one commit. Into a queue that has limits each goes by itself: one that finds no room does not keep out the others. */
  #pack({ queue: index, pack, lengths, bytes }: Message<'pack'>): void {
    const queue = this.#queueAt(index);
    const payloads: Buffer[] = [];
    const { buffer } = bytes;
    let at = bytes.byteOffset;
    for (const length of lengths) {
      payloads.push(Buffer.from(buffer, at, length));
      at += length;
    }
    this.#underWay++;
    if (this.#limited.has(queue)) {
      void this.#singly(queue, payloads).then((outcomes) =>
        this.#answered({ kind: 'singly', queue: index, pack, outcomes }),
      );
      return;
    }
    queue.pushMany(payloads, { signal: this.#living.signal }).then(
      ({ firstId }) => this.#answered({ kind: 'packed', queue: index, pack, firstId }),
      (error: unknown) => {
        const outcomes = payloads.map(() => packThrown(error));
        this.#answered({ kind: 'singly', queue: index, pack, outcomes });
      },
    );
  }

  #singly(queue: Queue, payloads: readonly Buffer[]): Promise<(number | ReturnType<typeof packThrown>)[]> {
    const { signal } = this.#living;
    return Promise.all(
      payloads.map((payload) => queue.push(payload, { signal }).catch((error: unknown) => packThrown(error))),
    );
  }

  #call(message: Message<'call'>): void {
    const { call, queue, method, signal, run } = message;
    const args = [...message.args];
    let controller: AbortController | undefined;
    if (signal !== undefined) {
      controller = new AbortController();
      this.#calls.set(call, controller);
      const options: unknown = args[signal.at];
      args[signal.at] = { ...(typeof options === 'object' ? options : {}), signal: controller.signal };
    } else if (WITHDRAWN.has(method) && args.length <= 2 && (args[1] === undefined || isPlainObject(args[1]))) {
      args[1] = { ...args[1], signal: this.#living.signal };
    }
    const make = (): unknown => {
      if (queue === undefined) return this.#callStore(method, args);
      if (method === 'next') return this.#next(this.#queueAt(queue), args);
      if (method === 'end') return this.#iterations.end(Number(args[0]));
      const letters = LETTER_METHODS.get(method);
      if (letters !== undefined) return this.#callLetters(call, this.#queueAt(queue), letters, args);
      if (!QUEUE_METHODS.has(method)) throw new TypeError(`there is no call '${method}' over a link`);
      const found: unknown = Reflect.get(this.#queueAt(queue), method);
      if (typeof found !== 'function') throw new TypeError(`a queue has no '${method}'`);
      if (method === 'deadLetter') args[1] = withError(args[1]);
      if (method === 'pushMany') args[0] = receivedPayloads(args[0]);
      if (method === 'redrive') args[0] = this.#selectionOf(call, args[0]);
      return Reflect.apply(found, this.#queueAt(queue), args);
    };
    this.#make(call, () => (run === undefined ? make() : this.#deliveries.within(run, make)), controller);
  }

  #callLetters(call: number, queue: Queue, method: 'summary' | 'redrive' | 'purge', args: unknown[]): unknown {
    const { deadLetters } = queue;
    if (method !== 'summary') args[0] = this.#selectionOf(call, args[0]);
    const options = args[1];
    if (method === 'redrive' && isPlainObject(options) && 'tellsProgress' in options) {
      const { tellsProgress, ...rest } = options;
      const onProgress = (progress: MoveProgress): void => this.#port.send({ kind: 'progress', call, progress });
      args[1] = tellsProgress === true ? { ...rest, onProgress } : rest;
    }
    const found: unknown = Reflect.get(deadLetters, method);
    return typeof found === 'function' ? Reflect.apply(found, deadLetters, args) : undefined;
  }

  /** A function that stayed at the other end is asked there. */
  #selectionOf(call: number, sent: unknown): unknown {
    if (!isSentSelection(sent)) return sent;
    if (sent.kind === 'said') return sent.selection;
    return async (record: QueueRecord): Promise<boolean> => {
      const packed = packRecords([record]);
      const answer = await this.#questions.ask({ kind: 'is meant', call, record: packed }, packed.bytes);
      return answer.kind === 'meant' && answer.isMeant;
    };
  }

  #next(queue: Queue, [number, how, range]: readonly unknown[]): Promise<unknown> {
    return this.#iterations.next(Number(number), queue, how, isRange(range) ? range : undefined);
  }

  #make(call: number, make: () => unknown, controller: AbortController | undefined): void {
    let answer: unknown;
    try {
      answer = make();
    } catch (error) {
      answer = Promise.reject(error);
    }
    this.#answer(call, answer, controller);
  }

  #callStore(method: string, args: readonly unknown[]): unknown {
    if (method === 'queueNames') return this.#target.queueNames();
    if (method !== 'queue') throw new TypeError(`there is no call '${method}' over a link`);
    const found: unknown = Reflect.get(this.#target, 'queue');
    if (typeof found !== 'function') throw new TypeError("a store has no 'queue'");
    const opened: unknown = Reflect.apply(found, this.#target, args);
    return Promise.resolve(opened).then((queue) => this.#factsOf(asQueue(queue)));
  }

  #answer(call: number, answer: unknown, controller: AbortController | undefined): void {
    this.#underWay++;
    Promise.resolve(answer).then(
      (value: unknown) => {
        this.#calls.delete(call);
        this.#answered(...answerOf(call, value));
      },
      (error: unknown) => {
        this.#calls.delete(call);
        const isAborted = controller?.signal.aborted === true && error === controller.signal.reason;
        this.#answered(isAborted ? { kind: 'aborted', call } : { kind: 'error', call, error: packThrown(error) });
      },
    );
  }

  #queueAt(index: number): Queue {
    const queue = this.#queues[index];
    if (queue === undefined) throw new RangeError(`there is no queue ${index} on this link`);
    return queue;
  }

  /** The other end is gone. */
  #lost(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#living.abort();
    for (const controller of this.#calls.values()) controller.abort();
    this.#calls.clear();
    this.#iterations.endAll();
    this.#deliveries.lost();
    this.#questions.lost();
    this.#onEnded();
  }
}

function answerOf(call: number, value: unknown): [message: FromStore, bytes?: Uint8Array] {
  if (isRecord(value)) {
    const records = packRecords([value]);
    return [{ kind: 'records', call, records, isOne: true }, records.bytes];
  }
  if (Array.isArray(value) && isRecords(value)) {
    const records = packRecords(value);
    return [{ kind: 'records', call, records, isOne: false }, records.bytes];
  }
  return [{ kind: 'value', call, value: withPackedError(value) }];
}

function isRecord(value: unknown): value is QueueRecord {
  return typeof value === 'object' && value !== null && 'payload' in value && 'id' in value && 'timestamp' in value;
}

function isRecords(values: readonly unknown[]): values is QueueRecord[] {
  return values.length > 0 && values.every(isRecord);
}

/** Statistics name the last error of GC. */
function withPackedError(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('gc' in value)) return value;
  const { gc } = value;
  if (typeof gc !== 'object' || gc === null || !('lastError' in gc) || gc.lastError === undefined) return value;
  return { ...value, gc: { ...gc, lastError: packThrown(gc.lastError) } };
}

/** What a record is to be a dead letter for comes as it was packed. */
function withError(options: unknown): unknown {
  if (typeof options !== 'object' || options === null || !isPlain(options) || !('error' in options)) return options;
  return { ...options, error: unpackThrown(asPacked(options.error)) };
}

function asPacked(value: unknown): ReturnType<typeof packThrown> {
  if (isPacked(value)) return value;
  return { shape: 'value', value };
}

function isPacked(value: unknown): value is ReturnType<typeof packThrown> {
  return typeof value === 'object' && value !== null && 'shape' in value;
}

function isPlainObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && isPlain(value);
}

/** They are looked at by the iteration that they are for. */
function isRange(value: unknown): value is RecordsOptions & DeadLetterListOptions {
  return typeof value === 'object' && value !== null;
}

function isSentSelection(value: unknown): value is SentSelection {
  return isPlainObject(value) && 'kind' in value && (value.kind === 'said' || value.kind === 'asked');
}

function asQueue(value: unknown): Queue {
  if (isQueue(value)) return value;
  throw new EvaqError('EVAQ_CLOSED', 'the store gave no queue');
}

function isQueue(value: unknown): value is Queue {
  return typeof value === 'object' && value !== null && 'recordBytesMax' in value;
}
