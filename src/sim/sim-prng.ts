/**
 * Chance that can be repeated: xoshiro128** (Blackman and Vigna, https://prng.di.unimi.it/xoshiro128starstar.c, public
 * domain), its state filled by splitmix32. One seed gives one sequence on every machine and every version of Node.
 */
export class Prng {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(seed: number) {
    // The high half counts too, so that seeds from a clock or a counter all differ.
    let state = (seed ^ Math.imul(Math.floor(seed / 0x1_0000_0000), 0x85ebca6b)) | 0;
    const split = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let z = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return (z ^ (z >>> 15)) >>> 0;
    };
    this.#a = split();
    this.#b = split();
    this.#c = split();
    this.#d = split() | 1; // all zero is the one state that never leaves itself
  }

  /** 32 uniform bits. */
  next(): number {
    const five = Math.imul(this.#b, 5);
    const result = Math.imul((five << 7) | (five >>> 25), 9) >>> 0;
    const t = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** A whole number from 0 to `bound - 1`. The bias of the multiplication is far below what any test could see. */
  below(bound: number): number {
    return Math.floor((this.next() / 0x1_0000_0000) * bound);
  }

  chance(probability: number): boolean {
    return this.next() < probability * 0x1_0000_0000;
  }

  fill(target: Uint8Array): void {
    for (let i = 0; i < target.length; i++) target[i] = this.next() >>> 11;
  }
}
