/**
 * Channels of `node:diagnostics_channel` on which evaq tells what it does. Each room declares its own, beside the type of what it tells.
 *
 * Invariants
 * - Nothing is made for a channel that nobody listens to: whoever tells asks `isObserved` first.
 * - Nothing is told in the middle of a step: a subscriber may call whatever it likes.
 * - What a subscriber throws is Node's to report, as an uncaught exception in a turn of its own; it does not come back here.
 */
import {
  type Channel,
  channel,
  type TracingChannel,
  type TracingChannelSubscribers,
  tracingChannel,
} from 'node:diagnostics_channel';

/** What an operation is told with that can fail. The same object at all of its events. */
export interface Traced {
  /** What it failed with. Not there before, and not where it succeeded. */
  error?: unknown;
}

const nothing = (): void => undefined;
const DEAF = { start: nothing, end: nothing, asyncStart: nothing, asyncEnd: nothing, error: nothing };

/** A tracing channel: `start`, `end`, then `error` where it failed, and `asyncStart` and `asyncEnd` when it is over. */
export class Tracing<Context extends Traced> {
  // Held: those that nobody holds are forgotten, with their subscribers' interest in them.
  readonly #channel: TracingChannel<unknown, Context>;

  constructor(name: string) {
    this.#channel = tracingChannel<unknown, Context>(name);
  }

  /** Whether anybody listens to any of its events. */
  get isObserved(): boolean {
    const { start, end, asyncStart, asyncEnd, error } = this.#channel;
    return (
      start.hasSubscribers ||
      asyncEnd.hasSubscribers ||
      end.hasSubscribers ||
      asyncStart.hasSubscribers ||
      error.hasSubscribers
    );
  }

  /** Calls `listener` at the start of each. The result ends that. */
  onStart(listener: (context: Context) => void): () => void {
    return this.#listen({ ...DEAF, start: (context) => listener(context) });
  }

  /** The same when each is over, failed or not. */
  onOver(listener: (context: Context) => void): () => void {
    return this.#listen({ ...DEAF, asyncEnd: (context) => listener(context) });
  }

  #listen(subscribers: TracingChannelSubscribers<Context>): () => void {
    this.#channel.subscribe(subscribers);
    return () => this.#channel.unsubscribe(subscribers);
  }

  /** It has begun, and is over later. */
  begin(context: Context): void {
    this.#channel.start.publish(context);
    this.#channel.end.publish(context);
  }

  /** The same around a piece of the caller's: stores that are bound to `start` hold in it, and in all that it begins. */
  run<T>(context: Context, body: () => T): T {
    return this.#channel.start.runStores(context, () => {
      try {
        return body();
      } finally {
        this.#channel.end.publish(context);
      }
    });
  }

  over(context: Context): void {
    this.#channel.asyncStart.publish(context);
    this.#channel.asyncEnd.publish(context);
  }

  failed(context: Context, error: unknown): void {
    context.error = error;
    this.#channel.error.publish(context);
    this.over(context);
  }

  /** All of it around what is awaited. */
  async around<T>(context: Context, body: () => Promise<T>): Promise<T> {
    this.begin(context);
    let result: T;
    try {
      result = await body();
    } catch (error) {
      this.failed(context, error);
      throw error;
    }
    this.over(context);
    return result;
  }
}

/** A plain channel: one message for each event. */
export class Telling<Message> {
  readonly #channel: Channel;

  constructor(name: string) {
    this.#channel = channel(name);
  }

  get isObserved(): boolean {
    return this.#channel.hasSubscribers;
  }

  tell(message: Message): void {
    this.#channel.publish(message);
  }
}
