/**
 * Many queues are worked on side by side: each waits for syncs of its own, which the disk makes in one go with those of others. A few are
 * worked on in turn, since they have little to gain; and while one gives space back on a full disk, the next finds it.
 */

/** As many queues as one after the other does for. */
const IN_TURN_MAX = 8;
const WIDTH = 16;

/**
 * Runs `work` for each item, a bounded number at a time, begun in order. Resolves with the results in order. After a failure nothing more is
 * begun; rejects with the first, in the order of the items, when nothing is under way any more.
 */
export async function sideBySide<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const failures: { readonly at: number; readonly error: unknown }[] = [];
  const rest = items.entries();
  const worker = async (): Promise<void> => {
    for (const [at, item] of rest) {
      if (failures.length > 0) return;
      try {
        results[at] = await work(item);
      } catch (error) {
        failures.push({ at, error });
      }
    }
  };
  const width = items.length <= IN_TURN_MAX ? 1 : WIDTH;
  await Promise.all(Array.from({ length: width }, worker));
  const [first] = failures.sort((a, b) => a.at - b.at);
  if (first !== undefined) throw first.error;
  return results;
}
