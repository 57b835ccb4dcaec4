/**
 * Delivery end to end: a process delivers by HTTP to a destination that fails, hangs, answers late, hangs up and is restarted, and is killed again and
 * again on the way. Whatever it had acknowledged arrives; of each key in order; what arrives twice is known by its `deliveryId`.
 *
 * The seed decides what the destination does, and after how many of its answers a kill comes; where it strikes is the machine's choice.
 */
import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Prng } from '../../src/sim/sim-prng.js';
import { bundle, projectRoot } from '../cli/support/bundle.js';
import { DeliveringProcess } from './delivering-process.js';
import { HttpDestination, type Taken } from './http-destination.js';

const KILLS = Number(process.env['EVAQ_DELIVERY_KILLS'] ?? 8);
const SEED = Number(process.env['EVAQ_DELIVERY_SEED'] ?? randomInt(2 ** 31));
const PUSHES_A_LIFE = 60;

const scratch = mkdtempSync(join(tmpdir(), 'evaq-delivery-'));
const living = new Set<DeliveringProcess>();
let program = '';
let destination: HttpDestination | undefined;

beforeAll(async () => {
  program = await bundle(join(projectRoot, 'test/delivery/delivery-process.ts'));
});
afterEach(async () => {
  for (const one of living) await one.kill();
  living.clear();
  await destination?.stop();
});
afterAll(() => rmSync(scratch, { recursive: true }));

/** Of each key the numbers in the order of their first arrival. */
function firstArrivals(taken: readonly Taken[]): Map<string, number[]> {
  const seen = new Set<string>();
  const byKey = new Map<string, number[]>();
  for (const { payload } of taken) {
    if (seen.has(payload)) continue;
    seen.add(payload);
    const [key = '', number] = payload.split('/');
    byKey.set(key, [...(byKey.get(key) ?? []), Number(number)]);
  }
  return byKey;
}

test(`P1, P16: through ${KILLS} kills and whatever the destination does (seed ${SEED})`, {
  timeout: 600_000,
}, async () => {
  const random = new Prng(SEED);
  const store = join(scratch, 'store');
  const there = new HttpDestination(random);
  destination = there;
  await there.start();
  const acknowledged: string[] = [];
  for (let life = 0; life <= KILLS; life++) {
    const isLast = life === KILLS;
    // The last one finds a destination that works again.
    if (isLast) there.fails = false;
    const first = life * PUSHES_A_LIFE;
    const one = new DeliveringProcess(program, [store, there.url, String(PUSHES_A_LIFE), String(first)]);
    living.add(one);
    one.begin();
    const enough = there.taken.length + 20 + random.below(80);
    const restartAt = there.taken.length + random.below(60);
    let hasRestarted = false;
    while (!isLast && there.taken.length < enough && !one.hasEnded && !one.saidOf('drained')) {
      await new Promise((resolve) => setImmediate(resolve));
      if (hasRestarted || there.taken.length < restartAt) continue;
      hasRestarted = true;
      await there.restart();
    }
    if (isLast) await one.ended;
    else await one.kill();
    living.delete(one);
    for (const { event, payload } of one.said)
      if (event === 'pushed' && payload !== undefined) acknowledged.push(payload);
    if (isLast) expect(one.stderr).toBe('');
    if (isLast) expect(one.said.at(-1)).toEqual({ event: 'drained', deadLetters: 0 });
  }

  const arrived = new Set(there.taken.map(({ payload }) => payload));
  expect(acknowledged.filter((payload) => !arrived.has(payload))).toEqual([]);
  for (const [key, numbers] of firstArrivals(there.taken)) {
    expect(numbers, key).toEqual(numbers.toSorted((a, b) => a - b));
  }
  // One ID for each record, and one record for each ID.
  const pairs = new Set(there.taken.map(({ payload, deliveryId }) => `${payload} ${deliveryId}`));
  const ids = new Set(there.taken.map(({ deliveryId }) => deliveryId));
  expect(pairs.size).toBe(arrived.size);
  expect(ids.size).toBe(arrived.size);
  expect(there.taken.length, 'some arrive twice').toBeGreaterThan(arrived.size);
  const { restarted, ...did } = there.did;
  expect(restarted).toBeGreaterThan(0);
  for (const [what, times] of Object.entries(did)) expect(times, what).toBeGreaterThan(0);
});
