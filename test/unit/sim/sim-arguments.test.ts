/** A rule with a misspelt field would hit nothing, and the test that it was written for would pass. */
import { describe, expect, it } from 'vitest';
import { explore, SimDisk } from '../../../src/sim.js';
import { callUntyped } from '../store/store-fixture.js';

const newDisk = (): SimDisk => new SimDisk({ seed: 1 });

function onDisk(method: string, ...args: unknown[]): () => unknown {
  const disk = newDisk();
  disk.place('/f', Buffer.from('abc'));
  return () => Reflect.apply(Reflect.get(disk, method), disk, args);
}

it.each<[string, readonly unknown[], RegExp]>([
  ['nothing', [], /SimDisk: options must be an object, got undefined/],
  ['a number', [1], /SimDisk: options must be an object, got 1/],
  ['a seed that is none', [{ seed: '1' }], /seed must be a number, got "1"/],
  ['no seed', [{}], /seed must be a number, got undefined/],
  ['a misspelt option', [{ seed: 1, timings: 'wild' }], /did you mean 'timing'/],
  ['a timing that is none', [{ seed: 1, timing: 'slow' }], /timing must be 'wild' or 'steady', got "slow"/],
  ['a sector that is none', [{ seed: 1, sectorBytes: '512' }], /sectorBytes must be a number, got "512"/],
  ['a capacity that is none', [{ seed: 1, capacityBytes: '1' }], /capacityBytes must be a number, got "1"/],
  ['an argument too many', [{ seed: 1 }, 1], /SimDisk takes at most 1 argument, got 2/],
])('a disk of %s', (_what, args, message) => {
  expect(() => Reflect.construct(SimDisk, args)).toThrow(message);
  expect(() => Reflect.construct(SimDisk, args)).toThrow(TypeError);
});

it('a seed is a whole number', () => {
  for (const seed of [0.5, Number.NaN, Infinity]) expect(() => new SimDisk({ seed })).toThrow(RangeError);
});

describe('a call of a disk', () => {
  it.each<[string, readonly unknown[], RegExp]>([
    ['fault', [], /fault: options must be an object, got undefined/],
    ['fault', [{ on: 'fsync' }], /on must name calls \(list, .*\), got "fsync"/],
    ['fault', [{ on: [] }], /at least one call/],
    ['fault', [{ on: 'sync', error: 'ENOPE' }], /error must be the name of an error/],
    ['fault', [{ on: 'sync', tims: 2 }], /did you mean 'times'/],
    ['fault', [{ on: 'sync', path: 5 }], /path must be a text or a regular expression, got 5/],
    ['fault', [{ on: 'sync', alsoDone: 'yes' }], /alsoDone must be a boolean, got "yes"/],
    ['damage', [{ kind: 'flop', path: '/f' }], /kind must be one of flip, .*, got "flop"/],
    ['damage', [{ kind: 'flip', path: '/f', length: 1, offset: 0 }], /there is no option 'length'/],
    ['damage', [{ kind: 'flip', path: '/f' }], /offset must be a number, got undefined/],
    ['damage', [{ kind: 'zero', path: 7, offset: 0, length: 1 }], /path must be a non-empty string, got 7/],
    ['crash', ['all'], /choice must be an array of numbers, got "all"/],
    ['crash', [['0']], /choice must be a number, got "0"/],
    ['crashStates', [5], /crashStates: options must be an object, got 5/],
    ['crashStates', [{ draw: 1 }], /did you mean 'draws'/],
    ['drawCrash', [], /seed must be a number, got undefined/],
    ['fork', ['x'], /seed must be a number, got "x"/],
    ['place', ['/g', 'text'], /bytes must be a Uint8Array, got "text"/],
    ['observe', ['x'], /observer must be a function, got "x"/],
    ['read', [], /path must be a non-empty string, got undefined/],
    ['remove', ['/f', 1], /remove takes at most 1 argument, got 2/],
  ])('%s(%j) is a TypeError', (method, args, message) => {
    expect(onDisk(method, ...args)).toThrow(message);
    expect(onDisk(method, ...args)).toThrow(TypeError);
  });

  it('counts that are none are a RangeError', () => {
    expect(onDisk('fault', { on: 'sync', nth: 0 })).toThrow(RangeError);
    expect(onDisk('fault', { on: 'sync', times: 1.5 })).toThrow(RangeError);
    expect(onDisk('damage', { kind: 'truncate', path: '/f', size: -1 })).toThrow(RangeError);
    expect(
      onDisk('fault', { on: ['sync', 'write'], path: /f/, nth: 2, times: Infinity, error: 'EDQUOT' }),
    ).not.toThrow();
  });
});

describe('explore', () => {
  const workload = { ops: [], run: (): Promise<void> => Promise.resolve() };
  const check = (): Promise<void> => Promise.resolve();
  it.each<[readonly unknown[], RegExp]>([
    [[], /workload must be an object, got undefined/],
    [[{ run: check }, check], /workload.ops must be an array/],
    [[{ ops: [] }, check], /workload.run must be a function/],
    [[workload, 'check'], /check must be a function, got "check"/],
    [[workload, check, 5], /explore: options must be an object, got 5/],
    [[workload, check, { dept: 1 }], /did you mean 'depth'/],
    [[workload, check, { timing: 'slow' }], /timing must be/],
    [[workload, check, { start: {} }], /start must be a SimDisk/],
    [[workload, check, {}, 1], /explore takes at most 3 arguments, got 4/],
  ])('of what is wrong is a TypeError, and nothing runs: %#', async (args, message) => {
    await expect(callUntyped({ explore }, 'explore', ...args)).rejects.toThrow(message);
    await expect(callUntyped({ explore }, 'explore', ...args)).rejects.toThrow(TypeError);
  });

  it('ends with its signal', async () => {
    const reason = new Error('enough');
    const controller = new AbortController();
    let checks = 0;
    const exploring = explore(
      {
        ops: [1],
        async run({ vfs }) {
          await vfs.makeDir('/d');
        },
      },
      () => {
        checks++;
        controller.abort(reason);
        return Promise.resolve();
      },
      { signal: controller.signal },
    );
    await expect(exploring).rejects.toBe(reason);
    expect(checks).toBe(1);
    await expect(explore(workload, check, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await expect(explore(workload, check, { depth: 4 })).rejects.toThrow(RangeError);
  });
});
