/** What waits for its turn at one end of a link. */
import { expect, it } from 'vitest';
import { PushLane } from '../../../src/link/push-lane.js';

const LARGE = 1024 * 1024;

it('what leaves the line is not sent, and what stays keeps its order', () => {
  const lane = new PushLane({ sendPack: () => undefined, wake: () => undefined });
  const sent: number[] = [];
  lane.pass(LARGE, () => sent.push(-1));
  lane.pump();
  const leave = Array.from({ length: 300 }, (_, i) => lane.pass(1, () => sent.push(i)));
  // More than half, so that the line is made anew on the way, and a few behind that.
  for (const [i, one] of leave.entries()) if (i % 3 !== 0) expect(one()).toBe(true);
  for (const at of [1, 4]) expect(leave[at]?.()).toBe(false);
  expect(leave[0]?.()).toBe(true);
  expect(lane.isEmpty).toBe(false);
  lane.answered(LARGE);
  lane.pump();
  expect(sent).toEqual([-1, ...Array.from({ length: 99 }, (_, i) => 3 * (i + 1))]);
  expect(leave[3]?.()).toBe(false);
  expect(lane.isEmpty).toBe(true);
});

it('a line that all have left is empty', () => {
  const lane = new PushLane({ sendPack: () => undefined, wake: () => undefined });
  const leave = [1, 2].map(() => lane.pass(1, () => undefined));
  for (const one of leave) one();
  expect(lane.isEmpty).toBe(true);
  lane.pump();
  expect(lane.isEmpty).toBe(true);
});
