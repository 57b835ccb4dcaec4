/** Damage that a command which reads has to tell of, beside that which ends it. */
import { isOfRemovals } from '../log/damage.js';
import type { ReadOnlyEvaq, ReadOnlyQueue } from '../raw.js';
import { EXIT_CORRUPT, say } from './exit-code.js';
import { formatCount } from './record-format.js';

/**
 * The queue of that name. Where it is known that removals are lost, records that were removed are read like all others: that is said in a line, and the
 * program exits with 3, whatever it does then. @throws EVAQ_QUEUE_NAME, EVAQ_IO; EVAQ_CORRUPT where no log can be made of its files
 */
export async function queueToRead(store: ReadOnlyEvaq, name: string): Promise<ReadOnlyQueue> {
  const queue = await store.queue(name);
  const { damage } = await queue.stats();
  if (damage.some((one) => !one.lossless && isOfRemovals(one))) {
    say(`removals of queue '${name}' are lost: what was removed may be among its records; evaq verify tells more`);
    process.exitCode = EXIT_CORRUPT;
  }
  return queue;
}

/** How many places of a queue are known to be damaged so that something is lost: by loading it, and by what was read of it. */
export async function damagedPlaces(queue: ReadOnlyQueue): Promise<number> {
  const { damage } = await queue.stats();
  return damage.filter(({ lossless }) => !lossless).length;
}

/** Of places that were passed over: a line, and the program exits with 3. None: nothing. */
export function sayPassedOver(places: number): void {
  if (places === 0) return;
  say(`passed over ${formatCount(places, 'damaged place')}; evaq verify tells more`);
  process.exitCode = EXIT_CORRUPT;
}
