/**
 * Records that were chosen: IDs in an order, or runs of IDs; and the walk through them, so many at a time. A run costs two numbers, however many are in
 * it, so of a queue of which nearly all is meant a million take nothing.
 */
import type { QueueCore } from '../queue/queue-core.js';

/** Goes through what was chosen, once. */
export interface Walk {
  /** The next ones, at most `max`; none: that was all. */
  readonly next: (max: number) => number[];
}

/** IDs as they were named. */
export function walkOf(ids: readonly number[]): Walk {
  let at = 0;
  return {
    next: (max) => {
      const some = ids.slice(at, at + max);
      at += some.length;
      return some;
    },
  };
}

/** IDs that ascend, as they are found. */
export class IdRuns {
  /** First and last of each run. */
  readonly #bounds: number[] = [];
  count = 0;

  add(id: number): void {
    const bounds = this.#bounds;
    if (bounds.length > 0 && bounds[bounds.length - 1] === id - 1) bounds[bounds.length - 1] = id;
    else bounds.push(id, id);
    this.count++;
  }

  /** All of them, also those that are gone by then. */
  walk(): Walk {
    let run = 0;
    let id = this.#bounds[0] ?? 0;
    const next = (max: number): number[] => {
      const some: number[] = [];
      for (let last = this.#bounds[run + 1]; last !== undefined && some.length < max; last = this.#bounds[run + 1]) {
        if (id <= last) {
          some.push(id++);
        } else {
          run += 2;
          id = this.#bounds[run] ?? 0;
        }
      }
      return some;
    };
    return { next };
  }
}

/** Those of a queue that are live when their turn comes, or claimed, and so perhaps live again. */
export function walkRange({ log, claims }: Pick<QueueCore, 'log' | 'claims'>, from: number, to: number): Walk {
  let at = from;
  const next = (max: number): number[] => {
    const some: number[] = [];
    while (some.length < max) {
      const id = Math.min(log.firstLive(at) ?? Infinity, claims.nextClaimed(at) ?? Infinity);
      if (id > to) break;
      some.push(id);
      at = id + 1;
    }
    return some;
  };
  return { next };
}
