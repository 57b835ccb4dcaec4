/**
 * Counts what was checked, promise by promise, so that no figure has to be guessed.
 *
 * A check counts only where it had something to get wrong: P2 in a store from which nothing was removed is no check. A state (a disk after a
 * crash, told apart by a hash of all names and bytes) counts for a promise if at least one of its checks was made on it.
 */

export const PROMISES = ['P1', 'P2', 'P3', 'P4', 'P5', 'P6', 'P7', 'P8', 'P9', 'P10', 'P11'] as const;
export type PromiseNumber = (typeof PROMISES)[number];

const noSets = (): Record<PromiseNumber, Set<string>> => ({
  P1: new Set(),
  P2: new Set(),
  P3: new Set(),
  P4: new Set(),
  P5: new Set(),
  P6: new Set(),
  P7: new Set(),
  P8: new Set(),
  P9: new Set(),
  P10: new Set(),
  P11: new Set(),
});

export class PromiseTally {
  readonly checks: Record<PromiseNumber, number> = {
    P1: 0,
    P2: 0,
    P3: 0,
    P4: 0,
    P5: 0,
    P6: 0,
    P7: 0,
    P8: 0,
    P9: 0,
    P10: 0,
    P11: 0,
  };
  /** Distinct states by promise. */
  readonly states: Record<PromiseNumber, Set<string>> = noSets();
  /** All distinct states that were looked at. */
  readonly all: Set<string> = new Set();
  readonly #since: Set<PromiseNumber> = new Set();

  check(promise: PromiseNumber): void {
    this.checks[promise]++;
    this.#since.add(promise);
  }

  /** What is checked from here until `end` is checked on one state. */
  begin(): void {
    this.#since.clear();
  }

  /** True if `promise` was checked since `begin`. */
  has(promise: PromiseNumber): boolean {
    return this.#since.has(promise);
  }

  end(hash: string): void {
    this.all.add(hash);
    for (const promise of this.#since) this.states[promise].add(hash);
  }

  /** One line a promise, as a table. */
  rows(): string[] {
    const count = (n: number): string => n.toLocaleString('en').replaceAll(',', ' ');
    return [
      '| promise | distinct states | checks |',
      '|---|---:|---:|',
      ...PROMISES.map((one) => `| ${one} | ${count(this.states[one].size)} | ${count(this.checks[one])} |`),
      `| all | ${count(this.all.size)} | ${count(PROMISES.reduce((sum, one) => sum + this.checks[one], 0))} |`,
    ];
  }
}
