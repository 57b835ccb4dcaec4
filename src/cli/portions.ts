/**
 * Changes of many records, a portion after the other: in memory is a portion, however many are meant, and an interruption comes between two of them. At a
 * rate portions are as small as that needs.
 */
import type { Evaq, Queue } from '../evaq.js';
import { Pace } from '../store/pace.js';
import { openExisting } from './existing-store.js';
import { pause } from './interrupt.js';

/** IDs of a portion: with them a redrive is a few batches of the library, and a round of removals some tens of KB. */
const PORTION_IDS = 16_384;

export interface PortionOptions {
  /** So many a second. */
  readonly rate?: number;
  /** So many at most, of those that `step` has done something to. */
  readonly limit?: number;
  readonly signal: AbortSignal;
}

/**
 * Calls `step` with a portion of `ids`, and with the next when it has resolved, which is with how many it has changed.
 * Resolves with how many that were in all. @throws what `step` throws; the reason of the signal, between two portions
 */
export async function inPortions(
  ids: AsyncIterable<number>,
  { rate, limit = Infinity, signal }: PortionOptions,
  step: (portion: readonly number[]) => Promise<number>,
): Promise<number> {
  const pace = rate === undefined ? undefined : new Pace(rate);
  const max = Math.min(PORTION_IDS, pace?.batch ?? Infinity);
  let changed = 0;
  const go = async (portion: readonly number[]): Promise<void> => {
    await pause(pace?.waitMs(performance.now()) ?? 0, signal);
    signal.throwIfAborted();
    const begunMs = performance.now();
    const count = await step(portion);
    pace?.went(count, begunMs);
    changed += count;
  };
  let portion: number[] = [];
  for await (const id of ids) {
    portion.push(id);
    if (portion.length < Math.min(max, limit - changed)) continue;
    await go(portion);
    portion = [];
    if (changed >= limit) return changed;
  }
  if (portion.length > 0) await go(portion);
  return changed;
}

/** Those that are named, in the order given. */
export async function* iterated(ids: readonly number[]): AsyncGenerator<number, void, undefined> {
  yield* ids;
}

/** A store that is opened for writing when something is to be changed, and not before. */
export class LateWriter implements AsyncDisposable {
  readonly #dir: string;
  readonly #signal: AbortSignal;
  #opened: Evaq | undefined;

  constructor(dir: string, signal: AbortSignal) {
    this.#dir = dir;
    this.#signal = signal;
  }

  /** @throws as `Evaq.open`; it is never made */
  async store(): Promise<Evaq> {
    this.#opened ??= await openExisting(this.#dir, { signal: this.#signal });
    return this.#opened;
  }

  async queue(name: string): Promise<Queue> {
    return (await this.store()).queue(name);
  }

  /** Resolves when what was begun is over, and told of: an interruption ends the wait for a batch and not the batch. */
  async close(): Promise<void> {
    await this.#opened?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
