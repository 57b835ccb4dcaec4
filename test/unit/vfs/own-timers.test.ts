import { createRequire } from 'node:module';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { nodeHost } from '../../../src/vfs/node-host.js';
import { inPieces, TIMER_MS_MAX } from '../../../src/vfs/own-timers.js';

/** All but `process.nextTick`, which vitest does not replace in a child process. */
const EVERYTHING = {
  toFake: [
    'setTimeout',
    'setInterval',
    'setImmediate',
    'clearTimeout',
    'clearInterval',
    'clearImmediate',
    'queueMicrotask',
    'performance',
    'hrtime',
    'Date',
  ],
} satisfies Parameters<typeof vi.useFakeTimers>[0];

afterEach(() => {
  vi.useRealTimers();
  vi.resetModules();
});

/** What a timer would do, by hand. */
class Pieces {
  readonly started: number[] = [];
  fire: () => void = () => undefined;
  cancelled = 0;

  readonly start = (ms: number, action: () => void): (() => void) => {
    this.started.push(ms);
    this.fire = action;
    return () => {
      this.cancelled++;
    };
  };
}

describe('a span longer than a timer takes', () => {
  test('is waited for in pieces, which come to exactly as much', () => {
    const pieces = new Pieces();
    let fired = 0;
    inPieces(3 * TIMER_MS_MAX + 5, () => fired++, pieces.start);
    for (let left = 3; left > 0; left--) pieces.fire();
    expect(fired).toBe(0);
    pieces.fire();
    expect(fired).toBe(1);
    expect(pieces.started).toEqual([TIMER_MS_MAX, TIMER_MS_MAX, TIMER_MS_MAX, 5]);
  });

  test.each([0, 1, TIMER_MS_MAX])('%i ms is one piece', (ms) => {
    const pieces = new Pieces();
    let fired = 0;
    inPieces(ms, () => fired++, pieces.start);
    pieces.fire();
    expect([fired, pieces.started]).toEqual([1, [ms]]);
  });

  test('can be cancelled in its second piece', () => {
    const pieces = new Pieces();
    const cancel = inPieces(2 ** 40, () => expect.fail('it was cancelled'), pieces.start);
    pieces.fire();
    cancel();
    expect(pieces.cancelled).toBe(1);
  });

  test.each([2 ** 31, Number.MAX_SAFE_INTEGER, Infinity])('%d ms: Node has nothing to warn of', async (ms) => {
    const warnings: string[] = [];
    const note = ({ name }: Error): void => void warnings.push(name);
    process.on('warning', note);
    const cancel = nodeHost.after(ms, () => expect.fail('it is not due'));
    // A warning is emitted at the next tick, an hour before the turn after that.
    await nodeHost.yield();
    await nodeHost.yield();
    process.off('warning', note);
    cancel();
    expect(warnings).toEqual([]);
  });
});

describe('under a clock that stands still', () => {
  async function requireMoving(host: typeof nodeHost): Promise<void> {
    const before = host.elapsed();
    await host.yield();
    await new Promise<void>((resolve) => host.soon(resolve));
    const release = host.hold?.();
    await new Promise<void>((resolve) => host.after(1, resolve));
    release?.();
    expect(host.elapsed()).toBeGreaterThan(before);
  }

  test('turns, timers and the running time go on', async () => {
    vi.useFakeTimers(EVERYTHING);
    await requireMoving(nodeHost);
  });

  test('they go on if the library is loaded only then', async () => {
    vi.useFakeTimers(EVERYTHING);
    // As fake-timers leaves it where it may.
    const clock = { _nextTick: Reflect.get(process, 'nextTick') };
    Object.assign(
      vi.spyOn(process, 'nextTick').mockImplementation(() => undefined),
      { clock },
    );
    vi.resetModules();
    try {
      const { nodeHost: late } = await import('../../../src/vfs/node-host.js');
      expect(late).not.toBe(nodeHost);
      await requireMoving(late);
    } finally {
      vi.restoreAllMocks();
    }
  });

  test('they go on if the methods of the modules are replaced, and their exports with them', async () => {
    const require = createRequire(import.meta.url);
    const timers = require('node:timers');
    vi.spyOn(timers, 'setImmediate').mockImplementation(() => undefined);
    vi.spyOn(timers, 'setTimeout').mockImplementation(() => undefined);
    vi.spyOn(process, 'nextTick').mockImplementation(() => undefined);
    vi.spyOn(performance, 'now').mockImplementation(() => 0);
    vi.spyOn(process, 'hrtime').mockImplementation(() => [0, 0]);
    require('node:module').syncBuiltinESMExports();
    try {
      await requireMoving(nodeHost);
    } finally {
      vi.restoreAllMocks();
      require('node:module').syncBuiltinESMExports();
    }
  });

  test('the date is that of the program', () => {
    vi.useFakeTimers(EVERYTHING);
    vi.setSystemTime(1_000_000);
    expect(nodeHost.now()).toBe(1_000_000);
  });
});
