/** Calls beside each other that leave nothing under way behind them. */

/**
 * Resolves with what all of `promises` resolve with, in their order. Rejects with the first failure in that order, but not before all of them are over:
 * so that whoever closes a file or lets go of a lock then does it to none that is in use.
 */
export async function allOver<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const results: T[] = [];
  const failures: unknown[] = [];
  for (const settled of await Promise.allSettled(promises)) {
    if (settled.status === 'fulfilled') results.push(settled.value);
    else failures.push(settled.reason);
  }
  if (failures.length > 0) throw failures[0];
  return results;
}

/**
 * Resolves when both are over, however `next` ends; `before` never rejects. Keeps nothing of them when they are, so that it may be what `next` is added to
 * without end.
 */
export function bothOver(before: Promise<void>, next: Promise<unknown>): Promise<void> {
  const wait = (): Promise<void> => before;
  return next.then(wait, wait);
}
