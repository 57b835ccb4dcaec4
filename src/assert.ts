/**
 * Assertions are for evaq's own bugs: a state that the code above should have made impossible. What the world may do
 * (a full disk, a rotten byte, a wrong argument) is an `EvaqError`, a `TypeError` or a `RangeError` instead.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`evaq: internal invariant broken: ${message}`);
}

/** Marks a branch that the types say cannot be reached. */
export function unreachable(value: never): never {
  throw new Error(`evaq: internal invariant broken: unexpected ${String(value)}`);
}
