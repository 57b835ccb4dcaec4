/**
 * No test passes in which evaq broke the contract of the port on any simulated disk: used a closed file, closed one with calls under way, or let go of a
 * lock while a file in its folder was open for writing.
 */
import { afterEach, expect, vi } from 'vitest';
import { SimMachine } from '../src/sim/sim-machine.js';

const violate = vi.spyOn(SimMachine.prototype, 'violate');

/** For a test that breaks it on purpose. */
export function takeBroken(): string[] {
  const sentences = violate.mock.calls.map(([sentence]) => sentence);
  violate.mockClear();
  return sentences;
}

afterEach(() => {
  expect(takeBroken()).toEqual([]);
});
