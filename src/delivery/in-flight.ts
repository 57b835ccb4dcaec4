/**
 * Which records of a queue are in a handler, over all its deliveries: what the delivery log notes before each round.
 */
import type { IdRange } from '../ids.js';
import { mergeRanges } from '../tombstone/id-ranges.js';
import type { Lease } from './lease.js';

export class InFlight {
  readonly #write: (ranges: readonly IdRange[]) => void;
  /** By whoever has them. */
  readonly #held = new Map<object, readonly IdRange[]>();
  #changed = false;

  constructor(write: (ranges: readonly IdRange[]) => void) {
    this.#write = write;
  }

  add(owner: object, leases: readonly Lease[]): void {
    this.#held.set(owner, rangesOf(leases));
    this.#changed = true;
  }

  delete(owner: object): void {
    this.#held.delete(owner);
    this.#changed = true;
  }

  /** Notes it, if it is not what was noted last. */
  note(): void {
    if (!this.#changed) return;
    this.#changed = false;
    this.#write(mergeRanges([...this.#held.values()].flat()));
  }
}

function rangesOf(leases: readonly Lease[]): IdRange[] {
  const [first] = leases;
  if (first !== undefined && leases.length === 1) return [{ first: first.id, last: first.id }];
  const ranges: { first: number; last: number }[] = [];
  for (const { id } of leases) {
    const before = ranges.at(-1);
    if (before !== undefined && before.last + 1 === id) before.last = id;
    else ranges.push({ first: id, last: id });
  }
  return ranges;
}
