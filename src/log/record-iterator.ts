/**
 * Records one after the other, for `for await`: what `records()` and `tail()` of writers and readers hand out.
 *
 * Not a generator: `return()` of one that waits has to end the wait and not to queue up behind it. Calls of `next` take their turns, in order;
 * `return` ends the one that waits and all behind it, and resolves when nothing is under way any more.
 */
import { onceAborted } from '../abortable.js';
import type { QueueRecord } from './queue-record.js';

export interface RecordSource<R = QueueRecord> {
  /** The next record, if it is in hand; `undefined` says nothing. */
  readonly inHand: () => R | undefined;
  /** The next record, or `undefined` at the end and after `stop`. One call at a time. */
  readonly next: () => Promise<R | undefined>;
  /** Nothing more is wanted: a `next` that waits resolves with `undefined` at once. Called once. */
  readonly stop: () => void;
  /** Resolves when nothing is under way any more; after `stop`, or at the end. */
  readonly settled: () => Promise<void>;
}

type Result<R> = IteratorResult<R, void>;

const DONE: Result<never> = { done: true, value: undefined };

/** What an iteration begins with. `signal`: when it is aborted the iteration ends, and `next` throws its reason, once. */
export interface Beginning<R = QueueRecord> {
  readonly source: RecordSource<R>;
  readonly signal: AbortSignal | undefined;
}

export class RecordIterator<R = QueueRecord> implements AsyncGenerator<R, void, undefined> {
  readonly #begin: () => Beginning<R>;
  #source: RecordSource<R> | undefined;
  #signal: AbortSignal | undefined;
  #unheed: () => void = () => undefined;
  /** Its turn is over when this resolves. Never rejects. */
  #turn: Promise<unknown> = Promise.resolve();
  #turns = 0;
  #ended = false;
  /** The signal's reason was thrown. */
  #told = false;

  /** `begin` is called at the first `next`, which throws what it throws. */
  constructor(begin: () => Beginning<R>) {
    this.#begin = begin;
  }

  next(): Promise<Result<R>> {
    if (this.#turns === 0) {
      if (this.#ended) return this.#last();
      const value = this.#source?.inHand();
      if (value !== undefined) return Promise.resolve({ done: false, value });
    }
    this.#turns++;
    const result = this.#turns === 1 ? this.#pull() : this.#turn.then(() => this.#pull());
    const over = (): void => {
      this.#turns--;
    };
    this.#turn = result.then(over, over);
    return result;
  }

  async return(): Promise<Result<R>> {
    this.#told = true;
    this.#end();
    await this.#turn;
    await this.#source?.settled();
    return DONE;
  }

  async throw(error: unknown): Promise<Result<R>> {
    await this.return();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async #pull(): Promise<Result<R>> {
    if (this.#ended) return this.#last();
    let record: R | undefined;
    try {
      record = await (this.#source ?? this.#start()).next();
    } catch (error) {
      // What it ran into because it was told to end is no news.
      if (this.#signal?.aborted === true && !this.#told) return this.#last();
      this.#told = true;
      this.#end();
      throw error;
    }
    if (this.#isAborted() || this.#ended) return this.#last();
    if (record !== undefined) return { done: false, value: record };
    this.#end();
    await this.#source?.settled();
    return DONE;
  }

  #start(): RecordSource<R> {
    const { source, signal } = this.#begin();
    this.#source = source;
    this.#signal = signal;
    if (signal?.aborted === true) this.#end();
    else this.#unheed = onceAborted(signal, () => this.#end());
    return source;
  }

  #isAborted(): boolean {
    return this.#signal?.aborted === true;
  }

  /** What is said at the end: the signal's reason, once, and then that there is nothing more. */
  async #last(): Promise<Result<R>> {
    await this.#source?.settled();
    if (this.#told || !this.#isAborted()) return DONE;
    this.#told = true;
    throw this.#signal?.reason;
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#unheed();
    this.#source?.stop();
  }
}
