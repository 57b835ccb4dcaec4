/**
 * The ranges of a file in which no valid commit stands. Behind the last one of a file that goes on growing they are its end: what a crash has torn, zeros,
 * leftovers. In front of a valid one, and behind the end of a sealed file, they are damage.
 */
import type { RawBad } from '../../raw.js';
import type { InspectLines } from './inspect-lines.js';

export class BadRanges {
  readonly #lines: InspectLines;
  /** Of which it is not known yet what they are. */
  #held: RawBad[] = [];
  isDamaged = false;

  constructor(lines: InspectLines) {
    this.#lines = lines;
  }

  hold(bad: RawBad): void {
    this.#held.push(bad);
  }

  /** Something valid stands behind them. */
  async damaged(): Promise<void> {
    if (this.#held.length === 0) return;
    this.isDamaged = true;
    await this.#tell(false);
  }

  /** Nothing does. */
  async end(isSealed: boolean): Promise<void> {
    await (isSealed ? this.damaged() : this.#tell(true));
  }

  async #tell(isTail: boolean): Promise<void> {
    const held = this.#held;
    this.#held = [];
    for (const bad of held) await this.#lines.bad(bad, isTail);
  }
}
