/** Draws numbers below `n`, the same for a seed. */
export function chance(seed: number): (n: number) => number {
  let state = seed * 2_654_435_761 + 1;
  return (n) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b_3c6d) + 0x9e37_79b9) | 0;
    return (state >>> 8) % n;
  };
}
