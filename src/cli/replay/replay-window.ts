/**
 * Which records are settled, where several are under way and end in any order: all up to one, and some beyond it. Of the others nothing is known, so
 * that is what has to be remembered. Records are begun in the order of their IDs. What failed in a run before stands in that run's account already, and
 * is not begun here when it is tried again.
 */
import { assert } from '../../assert.js';

export class ReplayWindow {
  /** Begun, from the first on that is not settled. They ascend. */
  readonly #begun: number[] = [];
  readonly #settled = new Set<number>();
  #through: number;
  #last: number;

  constructor(through = 0) {
    this.#through = through;
    this.#last = through;
  }

  /** Every record that was begun up to here is settled. */
  get through(): number {
    return this.#through;
  }

  /** Settled beyond it. */
  get beyond(): number[] {
    return [...this.#settled].sort((a, b) => a - b);
  }

  /** Records from the first that is not settled to the last that was begun. */
  get length(): number {
    return this.#begun.length;
  }

  /** IDs ascend: what is passed over is none of the selected ones. */
  begin(id: number): void {
    assert(id > this.#last, 'records are begun in the order of their IDs');
    this.#last = id;
    this.#begun.push(id);
  }

  settle(id: number): void {
    this.#settled.add(id);
    let count = 0;
    for (const first of this.#begun) {
      if (!this.#settled.delete(first)) break;
      this.#through = first;
      count++;
    }
    this.#begun.splice(0, count);
  }
}
