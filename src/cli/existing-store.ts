/** A store that is there already, opened for writing by commands that look at it first. What writes is loaded when it comes to that. */
import type { Evaq, EvaqOptions } from '../evaq.js';

/** Rejects as `Evaq.open`, with EVAQ_NOT_A_STORE where there is none: nothing is made. */
export async function openExisting(dir: string, options: Pick<EvaqOptions, 'signal'> = {}): Promise<Evaq> {
  const { Evaq: Store } = await import('../evaq.js');
  return Store.open(dir, { ...options, create: false });
}
