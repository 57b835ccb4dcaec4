/** What random scripts hardly reach: each of these once needed a hunt of its own. */
import { describe, expect, test } from 'vitest';
import {
  exploreDormantQueues,
  exploreRewriteBesideGc,
  exploreWeakMode,
  rewriteBeforeTheUnlink,
} from './support/narrow-windows.js';

const STATES = Number(process.env['EVAQ_STATES'] ?? 1500);
const TIMEOUT_MS = 600_000;

describe('narrow windows', () => {
  test('P2, P6: segments that die while the tombstone log is rewritten beside them stay dead', {
    timeout: TIMEOUT_MS,
  }, async () => {
    let states = 0;
    for (const seed of [1, 2]) states += await exploreRewriteBesideGc(seed, STATES);
    if (process.env['EVAQ_TABLE'] !== undefined) console.log(`| GC beside rewrites | ${states} |`);
    expect(states).toBeGreaterThan(100);
  });

  test('P2: a tombstone is kept until the unlink of its segment, however late that comes', async () => {
    for (const seed of [1, 2, 3]) await rewriteBeforeTheUnlink(seed);
  });

  test('P1, P5, P9: queues that nobody asks for are recovered and closed, each step durable before the next', {
    timeout: TIMEOUT_MS,
  }, async () => {
    expect(await exploreDormantQueues(1, 2000)).toBeGreaterThan(100);
  });

  for (const durability of ['os', { intervalMs: 1 }] as const) {
    const name = typeof durability === 'object' ? 'interval' : durability;
    test(`P1, P4, P8, P10: in mode ${name} a power cut takes only what was not flushed, and IDs go on`, {
      timeout: TIMEOUT_MS,
    }, async () => {
      let states = 0;
      for (const seed of [1, 2]) states += await exploreWeakMode(seed, durability, STATES);
      if (process.env['EVAQ_TABLE'] !== undefined) console.log(`| power cuts in mode ${name} | ${states} |`);
      expect(states).toBeGreaterThan(100);
    });
  }
});
