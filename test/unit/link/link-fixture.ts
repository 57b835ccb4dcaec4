/** Links whose two ends are in one thread. All that is kept is closed after each test, the last one first. */
import { afterEach } from 'vitest';
import { Evaq, type EvaqOptions, type LinkedEvaq } from '../../../src/evaq.js';
import { newDisk, openReal, openSim } from '../store/store-fixture.js';

const kept: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const one of kept.splice(0).reverse()) await one.close().catch(() => undefined);
});

/** It is closed after the test. */
export function keep<T extends { close(): Promise<void> }>(one: T): T {
  kept.push(one);
  return one;
}

/** One more link, and what the death of its thread comes to: its port closes without a word. */
export async function thread(evaq: Evaq): Promise<{ link: LinkedEvaq; die: () => void }> {
  const port = evaq.connect();
  const link = keep(await Evaq.attach(port));
  return { link, die: () => port.close() };
}

/** A store on the simulated disk, and a link to it. */
export async function linked(options: EvaqOptions = {}): Promise<{ evaq: Evaq; link: LinkedEvaq; die: () => void }> {
  const evaq = keep(await openSim(newDisk(), options));
  return { evaq, ...(await thread(evaq)) };
}

/** The same on the real disk, for handlers: there a message takes time, and theirs is not over before their record has come. */
export async function linkedReal(): Promise<{ evaq: Evaq; link: LinkedEvaq; die: () => void }> {
  const evaq = keep(await openReal({ durability: 'os' }));
  return { evaq, ...(await thread(evaq)) };
}
