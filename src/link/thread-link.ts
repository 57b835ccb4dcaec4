/**
 * A link's end in the thread that has not the store: sends calls, and settles them with what comes back.
 *
 * Invariants
 * - A call that was sent is settled by its answer, or by the end of the link; one that was not is withdrawn by its signal at once.
 * - The thread is held while it waits for an answer, and not longer.
 */
import type { MessagePort } from 'node:worker_threads';
import { onceAborted } from '../abortable.js';
import { EvaqError } from '../errors.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { MoveProgress } from '../queue/move-options.js';
import { LinkPort } from './link-port.js';
import { type FromStore, LINK_VERSION, type LinkAnswer, type LinkQuestion, type ToStore } from './link-protocol.js';
import { unpackRecords } from './packed-records.js';
import { type PackedThrown, packThrown, unpackThrown } from './packed-thrown.js';
import { PushLane } from './push-lane.js';
import { ThreadDeliveries } from './thread-deliveries.js';

export type Welcome = FromStore & { readonly kind: 'welcome' };

interface Call {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal | undefined;
  readonly isSent: () => boolean;
  readonly asks: CallOptions;
  /** It is settled. */
  readonly over: () => void;
}

/** How a call is made. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** The place of the argument that the signal was taken from. */
  readonly signalAt?: number | undefined;
  /** It keeps its place among the pushes of its queue, and costs so many bytes. */
  readonly laneBytes?: number;
  /** Asked about each record that the call may be about, where it is this function that says. */
  readonly isMeant?: ((record: QueueRecord) => unknown) | undefined;
  /** Told how far it has come. */
  readonly onProgress?: (progress: MoveProgress) => void;
}

type State = 'open' | 'closing' | 'over';

export class ThreadLink {
  readonly deliveries: ThreadDeliveries;
  readonly #port: LinkPort<ToStore, FromStore>;
  readonly #lanes: (PushLane | undefined)[] = [];
  readonly #calls = new Map<number, Call>();
  #state: State = 'open';
  #callNumber = 0;
  #path = 'the store';
  #welcomed: { readonly resolve: (welcome: Welcome) => void; readonly reject: (error: unknown) => void } | undefined;
  #closing: Promise<void> | undefined;
  #whenIdle: (() => void)[] = [];
  #whenOver: (() => void)[] = [];
  #isHeld = false;
  /** The other end has said that nothing comes any more. */
  #isToldEnd = false;

  constructor(port: MessagePort) {
    this.#port = new LinkPort(port);
    this.deliveries = new ThreadDeliveries({
      send: (message) => this.#port.send(message),
      schedule: () => this.#port.schedule(),
      ask: (delivery, what, args) => this.#ask(delivery, what, args),
      closedError: () => this.closedError(),
    });
    this.#port.listen(
      (message) => this.#received(message),
      () => this.#over(),
      () => this.#gather(),
    );
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  closedError(): EvaqError {
    return new EvaqError('EVAQ_CLOSED', `the link to ${this.#path} is closed`);
  }

  /** Throws EVAQ_CLOSED from a close on. */
  requireOpen(): void {
    if (!this.isOpen) throw this.closedError();
  }

  /** The same from the call of `close` on, while handlers may still make calls: for what would outlast it. */
  requireStaying(): void {
    if (!this.isOpen || this.#closing !== undefined) throw this.closedError();
  }

  /** Asks the other end who it is. @throws EVAQ_CLOSED, EVAQ_UNSUPPORTED_VERSION */
  async begin(): Promise<Welcome> {
    const welcome = await new Promise<Welcome>((resolve, reject) => {
      this.#welcomed = { resolve, reject };
      this.#port.send({ kind: 'hello', version: LINK_VERSION });
    });
    this.#path = welcome.path;
    return welcome;
  }

  /** Where the pushes of a queue wait for their turn. */
  lane(queue: number): PushLane {
    const known = this.#lanes[queue];
    if (known !== undefined) return known;
    const lane = new PushLane({
      sendPack: (pack, taken) => {
        const { lengths, bytes } = taken.take();
        this.#port.send({ kind: 'pack', queue, pack, lengths, bytes }, bytes);
      },
      wake: () => this.#port.schedule(),
    });
    this.#lanes[queue] = lane;
    return lane;
  }

  /** Settles as the call does that the other end makes. `args` belong to the message. */
  call(queue: number | undefined, method: string, args: readonly unknown[], asks: CallOptions = {}): Promise<unknown> {
    if (!this.isOpen) return Promise.reject(this.closedError());
    const { signal, signalAt, laneBytes } = asks;
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    const run = this.deliveries.currentRun;
    const told = signal === undefined || signalAt === undefined ? undefined : { at: signalAt };
    const lane = queue === undefined || laneBytes === undefined ? undefined : this.lane(queue);
    return this.#make(asks, lane, (call) => {
      this.#port.send({ kind: 'call', call, queue, method, args, signal: told, run });
    });
  }

  /** Lets calls under way end, then deliveries; tells the other end. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#state === 'over') return;
    // Handlers may make calls until they have ended.
    if (this.deliveries.areRunning) await this.deliveries.stop();
    if (this.#state === 'open') this.#state = 'closing';
    await this.#idle();
    if (this.#isOver()) return;
    const over = new Promise<void>((resolve) => this.#whenOver.push(resolve));
    this.#port.send({ kind: 'bye' });
    this.#hold(true);
    await over;
  }

  #isOver(): boolean {
    return this.#state === 'over';
  }

  #make(asks: CallOptions, lane: PushLane | undefined, post: (call: number) => void): Promise<unknown> {
    const call = ++this.#callNumber;
    const { signal, laneBytes = 0 } = asks;
    return new Promise((resolve, reject) => {
      let isSent = false;
      let leaveLine: () => void = () => undefined;
      const noMore = onceAborted(signal, (reason) => {
        if (isSent) {
          this.#port.send({ kind: 'abort', call });
          return;
        }
        leaveLine();
        over();
        reject(reason);
      });
      const over = (): void => {
        this.#calls.delete(call);
        noMore();
        if (isSent) lane?.answered(laneBytes);
      };
      const send = (): void => {
        isSent = true;
        post(call);
      };
      this.#calls.set(call, { resolve, reject, signal, over, asks, isSent: () => isSent });
      if (lane === undefined) send();
      else leaveLine = lane.pass(laneBytes, send);
    });
  }

  #ask(delivery: number, what: 'drained' | 'stop' | 'stats', args: readonly unknown[]): Promise<unknown> {
    return this.#make({}, undefined, (call) => this.#port.send({ kind: 'ask', call, delivery, what, args }));
  }

  #received(message: FromStore): void {
    switch (message.kind) {
      case 'welcome':
        this.#welcomed?.resolve(message);
        this.#welcomed = undefined;
        break;
      case 'refused':
        this.#welcomed?.reject(versionError(message.version));
        this.#welcomed = undefined;
        break;
      case 'packed':
        this.lane(message.queue).resolved(message.pack, message.firstId);
        break;
      case 'singly':
        this.lane(message.queue).settled(message.pack, message.outcomes.map(outcomeOf));
        break;
      case 'value':
        this.#take(message.call)?.resolve(message.value);
        break;
      case 'records': {
        const call = this.#take(message.call);
        if (call === undefined) break;
        const records = unpackRecords(message.records);
        call.resolve(message.isOne ? records[0] : records);
        break;
      }
      case 'error':
        this.#take(message.call)?.reject(unpackThrown(message.error));
        break;
      case 'aborted': {
        const call = this.#take(message.call);
        call?.reject(call.signal?.reason);
        break;
      }
      case 'question':
        void this.#answer(message.number, message.question);
        break;
      case 'progress':
        this.#calls.get(message.call)?.asks.onProgress?.(message.progress);
        break;
      case 'bye':
        this.#isToldEnd = true;
        break;
      default:
        this.deliveries.received(message);
    }
    this.#settle();
  }

  async #answer(question: number, asked: LinkQuestion): Promise<void> {
    let answer: LinkAnswer;
    try {
      if (asked.kind === 'keys') {
        answer = { kind: 'keys', keys: this.deliveries.keysOf(asked.delivery, unpackRecords(asked.records)) };
      } else {
        answer = { kind: 'meant', isMeant: await this.#isMeant(asked.call, unpackRecords(asked.record)) };
      }
    } catch (error) {
      answer = { kind: 'threw', error: packThrown(error) };
    }
    this.#port.send({ kind: 'answer', question, answer });
  }

  /** A promise is no yes. Of a call that is over nothing more is meant. */
  async #isMeant(call: number, [record]: readonly QueueRecord[]): Promise<boolean> {
    const isMeant = this.#calls.get(call)?.asks.isMeant;
    if (isMeant === undefined || record === undefined) return false;
    return Boolean(await isMeant(record));
  }

  #take(number: number): Call | undefined {
    const call = this.#calls.get(number);
    call?.over();
    return call;
  }

  #gather(): void {
    for (const lane of this.#lanes) lane?.pump();
    this.deliveries.gather();
    this.#settle();
  }

  /** Holds the thread as long as there is a reason, and tells who waits that there is none. */
  #settle(): void {
    if (this.#state === 'over') return;
    const isIdle = this.#isIdle();
    if (isIdle) for (const tell of this.#whenIdle.splice(0)) tell();
    this.#hold(!isIdle || this.#welcomed !== undefined || this.deliveries.hold || this.#whenOver.length > 0);
  }

  #hold(isHeld: boolean): void {
    if (isHeld === this.#isHeld) return;
    this.#isHeld = isHeld;
    this.#port.hold(isHeld);
  }

  #isIdle(): boolean {
    return this.#calls.size === 0 && this.#lanes.every((lane) => lane === undefined || lane.isEmpty);
  }

  /** Resolves when every call under way has its answer. */
  async #idle(): Promise<void> {
    if (!this.#isIdle()) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  /** Nothing comes any more. */
  #over(): void {
    this.#state = 'over';
    const closed = this.closedError();
    // Where the store was closed every call was answered that it had got: what is left was never made.
    const unknown = this.#isToldEnd ? closed : lostError(this.#path);
    this.#welcomed?.reject(closed);
    this.#welcomed = undefined;
    for (const lane of this.#lanes) lane?.end(closed, unknown);
    for (const { over, reject, isSent } of this.#calls.values()) {
      const error = isSent() ? unknown : closed;
      over();
      reject(error);
    }
    this.deliveries.over(unknown);
    for (const tell of [...this.#whenIdle.splice(0), ...this.#whenOver.splice(0)]) tell();
  }
}

function outcomeOf(outcome: number | PackedThrown): { readonly id: number } | { readonly error: unknown } {
  return typeof outcome === 'number' ? { id: outcome } : { error: unpackThrown(outcome) };
}

function lostError(path: string): EvaqError {
  return new EvaqError(
    'EVAQ_FAILED',
    `the link to ${path} ended: whether this call took effect shows in the thread that has the store`,
  );
}

function versionError(theirs: number): EvaqError {
  return new EvaqError(
    'EVAQ_UNSUPPORTED_VERSION',
    `the thread that has the store speaks version ${theirs} of the link, this one version ${LINK_VERSION}`,
    { hint: 'Two versions of evaq are loaded in this process: use one of them in all threads.' },
  );
}
