/**
 * `LinkedEvaq`: a store that another thread has open, as this thread sees it.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { WaitOptions } from '../abortable.js';
import { requireNoMore } from '../arguments.js';
import type { Handler } from '../delivery/invocation.js';
import { describe } from '../ids.js';
import type { EvaqLike } from '../queue/queue-like.js';
import type { QueueOptions } from '../queue/queue-options.js';
import { LINK_GREETING, type LinkedQueueFacts } from './link-protocol.js';
import { sentArguments } from './linked-arguments.js';
import type { LinkedDelivery } from './linked-delivery.js';
import type { LinkedDeliveryOptions } from './linked-delivery-options.js';
import { LinkedQueue } from './linked-queue.js';
import { ThreadLink, type Welcome } from './thread-link.js';

/**
 * A store that another thread of the process has open. Made by `Evaq.attach`. Its queues keep the same promises as those of `Evaq`. `await using` closes the
 * link at the end of the block; the store stays open where it is.
 */
export class LinkedEvaq implements EvaqLike {
  /** As `Evaq.wal`. */
  readonly wal: LinkedQueue;
  /** As `Evaq.deadLetters`. */
  readonly deadLetters: LinkedQueue;
  /** As `Evaq.storeId`. */
  readonly storeId: string;
  /** As `Evaq.path`. */
  readonly path: string;
  readonly #link: ThreadLink;
  readonly #queues = new Map<number, LinkedQueue>();

  private constructor(link: ThreadLink, { storeId, path, wal, deadLetters }: Welcome) {
    this.#link = link;
    this.storeId = storeId;
    this.path = path;
    link.deliveries.storeId = storeId;
    this.wal = this.#queueOf(wal);
    this.deadLetters = this.#queueOf(deadLetters);
  }

  /** `Evaq.attach`. */
  static async attach(port: unknown): Promise<LinkedEvaq> {
    requirePort(port);
    const link = new ThreadLink(port);
    const welcome = await link.begin();
    return new LinkedEvaq(link, welcome);
  }

  /** As `Evaq.queue`. */
  async queue(name: string, options?: QueueOptions & WaitOptions): Promise<LinkedQueue> {
    requireNoMore(arguments.length, 2, 'queue');
    this.#link.requireOpen();
    const { args, signal, signalAt } = sentArguments('queue', options === undefined ? [name] : [name, options]);
    const facts = await this.#link.call(undefined, 'queue', args, { signal, signalAt });
    if (!isFacts(facts)) throw new TypeError('the other end gave no queue');
    return this.#queueOf(facts);
  }

  /** As `Evaq.queueNames`. */
  async queueNames(): Promise<string[]> {
    requireNoMore(arguments.length, 0, 'queueNames');
    const names = await this.#link.call(undefined, 'queueNames', []);
    return Array.isArray(names) ? names : [];
  }

  /** As `Evaq.evacuate`: `wal.process`. */
  evacuate(handler: Handler, options?: LinkedDeliveryOptions): LinkedDelivery {
    requireNoMore(arguments.length, 2, 'evacuate');
    return this.wal.process(handler, options);
  }

  /**
   * Ends the link: its deliveries stop (handlers may go on for 5 s), its calls under way have their answers, and then it is over. The store stays open. From
   * then on every call rejects with EVAQ_CLOSED. Idempotent.
   */
  async close(): Promise<void> {
    requireNoMore(arguments.length, 0, 'close');
    await this.#link.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#link.close();
  }

  #queueOf(facts: LinkedQueueFacts): LinkedQueue {
    const known = this.#queues.get(facts.index);
    if (known !== undefined) return known;
    const queue = new LinkedQueue(this.#link, facts);
    this.#queues.set(facts.index, queue);
    return queue;
  }
}

const PORT_METHODS = ['postMessage', 'on', 'close', 'ref', 'unref'] as const;

/** Ports that have their link: a second one would take the messages of the first. */
const attached = new WeakSet<object>();

/** Throws a TypeError for what is no end of a link. What was sent to another process is none any more. */
function requirePort(port: unknown): asserts port is MessagePort {
  if (isPort(port) && attached.has(port)) throw new TypeError('this port has its link already: one for each thread');
  if (!isPort(port) || !isGreeted(port)) {
    throw new TypeError(
      `attach takes the port that evaq.connect() gave, transferred to this thread (new Worker(file, { workerData: { port }, transferList: [port] })), got ${describe(port)}. Another process, of a cluster or forked, can have none: one has the store, and the others send it their records (README, "Workers")`,
    );
  }
  attached.add(port);
}

function isPort(port: unknown): port is MessagePort {
  return (
    typeof port === 'object' &&
    port !== null &&
    PORT_METHODS.every((method) => typeof Reflect.get(port, method) === 'function')
  );
}

/** Somebody else's port would never answer. */
function isGreeted(port: MessagePort): boolean {
  try {
    const greeting: unknown = receiveMessageOnPort(port)?.message;
    return greeting === LINK_GREETING;
  } catch {
    return false;
  }
}

function isFacts(value: unknown): value is LinkedQueueFacts {
  return typeof value === 'object' && value !== null && 'index' in value && 'recordBytesMax' in value;
}
