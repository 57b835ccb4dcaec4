/** Closing a store in which somebody waits for a record that a handler keeps for ever. */
import { describe, expect, it } from 'vitest';
import type { Evaq } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim.js';
import { newDisk, openSim, passTime } from '../store/store-fixture.js';

const NEVER = new Promise<void>(() => undefined);
/** More, in simulated time, than a stop waits. */
const STEPS_MAX = 1000;
const STEP_MS = 10;

async function settled(disk: SimDisk, one: Promise<unknown>): Promise<string> {
  let outcome = 'pending';
  one.then(
    () => {
      outcome = 'resolved';
    },
    (error: unknown) => {
      outcome = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'rejected';
    },
  );
  for (let step = 0; step < STEPS_MAX && outcome === 'pending'; step++) await passTime(disk, STEP_MS);
  return outcome;
}

async function kept(disk: SimDisk): Promise<Evaq> {
  const evaq = await openSim(disk);
  await evaq.wal.pushMany(['a', 'b']);
  let begun = 0;
  evaq.evacuate(() => {
    begun++;
    return NEVER;
  });
  while (begun < 2) await passTime(disk, 1);
  return evaq;
}

describe('P14: a close ends though a handler does not', () => {
  const waits: Record<string, (evaq: Evaq) => Promise<unknown>> = {
    pop: (evaq) => evaq.wal.pop(1),
    'two pops': (evaq) => Promise.all([evaq.wal.pop(1), evaq.wal.pop(1)]),
    deadLetter: (evaq) => evaq.deadLetter(1, { reason: 'asked for' }),
    move: (evaq) => evaq.move('wal', [2, 1], 'other'),
  };
  for (const [name, wait] of Object.entries(waits)) {
    it(`${name}, which waits for its record, rejects with EVAQ_CLOSED`, async () => {
      const disk = newDisk();
      const evaq = await kept(disk);
      await evaq.queue('other');
      const waiting = settled(disk, wait(evaq));
      await passTime(disk, 50);
      expect(await settled(disk, evaq.close())).toBe('resolved');
      expect(await waiting).toBe('EVAQ_CLOSED');
      expect(disk.openHandles()).toEqual([]);
    });
  }

  it('flush, which waits for a pop that waits', async () => {
    const disk = newDisk();
    const evaq = await kept(disk);
    const popping = settled(disk, evaq.wal.pop(1));
    const flushing = settled(disk, evaq.wal.flush());
    expect(await settled(disk, evaq.close())).toBe('resolved');
    expect(await popping).toBe('EVAQ_CLOSED');
    expect(await flushing).toBe('resolved');
  });

  it('where the delivery was stopped before', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.push('a');
    const delivery = evaq.evacuate(() => NEVER);
    while (delivery.stats().inFlight === 0) await passTime(disk, 1);
    await delivery.stop({ graceMs: 0 });
    const popping = settled(disk, evaq.wal.pop(1));
    await passTime(disk, 50);
    expect(await settled(disk, evaq.close())).toBe('resolved');
    expect(await popping).toBe('EVAQ_CLOSED');
    const again = await openSim(disk);
    expect(again.wal.size).toBe(1);
    await again.close();
  });
});
