import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffMs, DEFAULT_BACKOFF } from '../../../src/delivery/backoff.js';
import { Breaker } from '../../../src/delivery/breaker.js';
import { classifyFailure } from '../../../src/delivery/classify.js';
import { KeyOrder } from '../../../src/delivery/key-order.js';
import { type RetryEntry, RetryTable } from '../../../src/delivery/retry-table.js';
import { TokenBucket } from '../../../src/delivery/token-bucket.js';

describe('the table of retries', () => {
  const id = fc.oneof(
    fc.integer({ min: 1, max: 40 }),
    fc.integer({ min: 4090, max: 4100 }),
    fc.maxSafeInteger().filter((n) => n > 0),
  );
  const entry = fc.record({
    attempts: fc.integer({ min: 0, max: 100_000 }),
    crashes: fc.integer({ min: 0, max: 300 }),
    dueMs: fc.oneof(fc.integer({ min: 0, max: 50 }), fc.constant(Infinity)),
    firstFailureMs: fc.integer({ min: 0, max: 2_000_000_000_000 }),
  });
  const step = fc.oneof(
    fc.record({ kind: fc.constant('set' as const), id, entry }),
    fc.record({ kind: fc.constant('delete' as const), id }),
    fc.record({ kind: fc.constant('hold' as const), id }),
    fc.record({
      kind: fc.constant('due' as const),
      now: fc.integer({ min: 0, max: 60 }),
      max: fc.integer({ min: 1, max: 5 }),
    }),
  );

  it('is a map by ID that knows what is due', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const table = new RetryTable();
        const model = new Map<number, RetryEntry>();
        for (const one of steps) {
          if (one.kind === 'set') {
            const { attempts, crashes, dueMs, firstFailureMs } = one.entry;
            table.set(one.id, one.entry);
            model.set(one.id, {
              attempts: Math.min(65_535, attempts),
              crashes: Math.min(255, crashes),
              dueMs,
              firstFailureMs: Math.floor(firstFailureMs / 1000) * 1000,
            });
          } else if (one.kind === 'delete') {
            table.delete(one.id);
            model.delete(one.id);
          } else if (one.kind === 'hold') {
            table.hold(one.id);
            const known = model.get(one.id);
            if (known !== undefined) model.set(one.id, { ...known, dueMs: Infinity });
          } else {
            const due = [...model].filter(([, { dueMs }]) => dueMs <= one.now).map(([key]) => key);
            expect(table.due(one.now, one.max)).toEqual(due.sort((a, b) => a - b).slice(0, one.max));
          }
          table.check();
          expect(table.size).toBe(model.size);
          const least = Math.min(Infinity, ...[...model.values()].map(({ dueMs }) => dueMs));
          expect(table.nextDueMs).toBeLessThanOrEqual(least);
        }
        expect(table.entries(0, 1000)).toEqual([...model].sort(([a], [b]) => a - b));
        for (const [key, value] of model) expect(table.get(key)).toEqual(value);
      }),
    );
  });

  it('P12: a million scattered records take at most 24 bytes each', () => {
    const table = new RetryTable();
    for (let i = 0; i < 1_000_000; i++) table.set(1 + i * 10, { attempts: 1, crashes: 0, dueMs: i, firstFailureMs: 1 });
    expect(table.bytes / 1_000_000).toBeLessThan(24);
    expect(table.due(10, 100)).toHaveLength(11);
  });
});

describe('order by key', () => {
  it('has one head a key, the lowest ID that is there; the others come in order', () => {
    const key = fc.constantFrom('a', 'b', 'c');
    fc.assert(
      fc.property(fc.array(fc.tuple(key, fc.boolean()), { maxLength: 80 }), (steps) => {
        const order = new KeyOrder();
        const lines = new Map<string, number[]>();
        let id = 0;
        for (const [name, enters] of steps) {
          const line = lines.get(name) ?? [];
          lines.set(name, line);
          if (enters) {
            id++;
            expect(order.enter(name, id)).toBe(line.length === 0);
            line.push(id);
          } else if (line[0] !== undefined) {
            expect(order.keyOfHead(line[0])).toBe(name);
            const left = line.shift() ?? 0;
            expect(order.leave(name, left)).toBe(line[0]);
          }
          expect(order.waiting).toBe([...lines.values()].reduce((sum, { length }) => sum + Math.max(0, length - 1), 0));
        }
      }),
    );
  });

  it('gives back its place to one that was delayed', () => {
    const order = new KeyOrder();
    for (const id of [1, 5, 7]) order.enter('k', id);
    order.enter('k', 3);
    expect([order.leave('k', 1), order.leave('k', 3), order.leave('k', 5), order.leave('k', 7)]).toEqual([
      3,
      5,
      7,
      undefined,
    ]);
  });
});

describe('the breaker', () => {
  const make = (): Breaker => new Breaker({ failures: 3, openMs: 100, maxOpenMs: 350 }, () => 1);

  it('opens at so many different records in a row, and says what their attempts were', () => {
    const breaker = make();
    expect(breaker.failed(1, false, true, 0)).toBeUndefined();
    expect(breaker.failed(2, false, true, 0)).toBeUndefined();
    expect(breaker.failed(2, false, true, 0)).toBeUndefined();
    expect(breaker.failed(3, false, true, 0)).toEqual(
      new Map([
        [1, 1],
        [2, 2],
        [3, 1],
      ]),
    );
    expect(breaker.state).toEqual({ kind: 'open', untilMs: 100 });
  });

  it('one record that fails for ever opens nothing, unless the destination is said to be down', () => {
    const breaker = make();
    for (let i = 0; i < 100; i++) expect(breaker.failed(1, false, true, 0)).toBeUndefined();
    expect(breaker.state.kind).toBe('closed');
    for (let i = 0; i < 2; i++) breaker.failed(1, true, false, 0);
    expect(breaker.state.kind).toBe('open');
  });

  it('a success ends the row', () => {
    const breaker = make();
    breaker.failed(1, false, true, 0);
    breaker.failed(2, false, true, 0);
    breaker.succeeded();
    breaker.failed(3, false, true, 0);
    expect(breaker.state.kind).toBe('closed');
  });

  it('stays open twice as long each time, up to a bound, with one probe at a time; a success closes it and ramps up', () => {
    const breaker = make();
    for (const id of [1, 2, 3]) breaker.failed(id, false, true, 0);
    let now = 0;
    for (const openMs of [100, 200, 350, 350]) {
      expect(breaker.concurrencyMax).toBe(0);
      expect(breaker.waitMs(now)).toBe(openMs);
      now += openMs;
      expect(breaker.waitMs(now)).toBe(0);
      expect(breaker.concurrencyMax).toBe(1);
      breaker.beginProbe();
      expect(breaker.blamesRecords).toBe(false);
      expect(breaker.failed(9, false, false, now)).toBeUndefined();
    }
    now += 350;
    breaker.waitMs(now);
    breaker.beginProbe();
    expect(breaker.succeeded()).toBe(true);
    const ramp = [breaker.concurrencyMax];
    for (let i = 0; i < 3; i++) {
      breaker.succeeded();
      ramp.push(breaker.concurrencyMax);
    }
    expect(ramp).toEqual([1, 2, 4, 8]);
    expect(breaker.streak).toBe(0);
  });
});

it('the bucket lets through so many in a time, and a burst after a pause', () => {
  const bucket = new TokenBucket({ limit: 100, perMs: 1000, burst: 20 }, 0);
  expect(bucket.available(0)).toBe(20);
  bucket.take(20);
  expect(bucket.waitMs(0)).toBe(10);
  let passed = 0;
  for (let now = 1; now <= 10_000; now++) {
    const some = bucket.available(now);
    bucket.take(some);
    passed += some;
  }
  expect(passed).toBe(1000);
});

it('back-off grows by its factor up to its bound, with or without jitter', () => {
  const plain = { ...DEFAULT_BACKOFF, jitter: 'none' as const };
  expect([1, 2, 3, 8, 100, 5000].map((attempt) => backoffMs(plain, attempt, () => 0.5))).toEqual([
    500, 1000, 2000, 60_000, 60_000, 60_000,
  ]);
  expect(backoffMs(DEFAULT_BACKOFF, 3, () => 0.25)).toBe(500);
});

it.each<[string, unknown, string]>([
  ['nothing known', new Error('x'), 'retry'],
  ['a word', 'no', 'retry'],
  ['nothing', undefined, 'retry'],
  ['refused', Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), 'unavailable'],
  [
    'what fetch throws',
    new TypeError('fetch failed', { cause: Object.assign(new Error('x'), { code: 'UND_ERR_SOCKET' }) }),
    'unavailable',
  ],
  ['an expired token', { status: 401 }, 'unavailable'],
  ['too many requests', { statusCode: 429 }, 'unavailable'],
  ['a bad request', { status: 400 }, 'dead'],
  ['an error of the server', { status: 500 }, 'retry'],
  [
    'a getter that throws',
    Object.defineProperty({}, 'code', {
      get: () => {
        throw new Error('x');
      },
    }),
    'retry',
  ],
])('by itself a failure is whose fault it says: %s', (_what, error, verdict) => {
  expect(classifyFailure(error)).toBe(verdict);
});
