/**
 * Nobody waits for ever: beside callers that never pause every call has its answer after a bounded number of steps, after a fault that passes
 * everything goes on, and what was closed leaves nothing behind.
 */
import { describe, expect, test } from 'vitest';
import { askBeside, LOADS, openStage, PROBES, produce, STEPS_MAX, stepsOf } from './support/liveness.js';

describe('beside a load that never pauses every call has its answer', () => {
  for (const [load, callers] of Object.entries(LOADS)) {
    for (const [name, probe] of Object.entries(PROBES)) {
      test(`${name}, ${load}`, async () => {
        for (const [seed, timing] of [[1, 'steady'], [2, 'wild']] as const) {
          const steps = await askBeside(callers, probe, { seed, timing });
          if (process.env['EVAQ_TABLE'] !== undefined) console.log(`| ${load} | ${name} | ${timing} | ${steps} |`);
          expect(steps).toBeTypeOf('number');
        }
      });
    }
  }

  test('a push that waits for room, beside pushes that fit', async () => {
    const stage = await openStage({ seed: 3, options: { maxPendingBytes: 16 * 1024 } });
    const running = Promise.all([produce, produce, produce, produce, produce, produce, produce, produce].map((load) => load(stage)));
    await new Promise<void>((resolve) => stage.disk.host.after(20, resolve));
    const steps = await stepsOf(stage.disk, stage.evaq.wal.push(Buffer.alloc(15 * 1024)), STEPS_MAX);
    stage.end();
    await running;
    await stage.evaq.close();
    expect(steps).toBeTypeOf('number');
  });
});
