/** Handlers that throw or return what nobody should, and arguments of a delivery that are not what they ought to be: each is a failed try, or an error at the call. */
import { describe, expect, it } from 'vitest';
import { DeadLetterError, RetryLater } from '../../../src/evaq.js';
import { callUntyped, contentOf, newDisk, openSim } from '../store/store-fixture.js';

/** By a name that is none to linters, which take such objects for mistakes. */
const THEN: string = `th${'en'}`;

function throwing(): never {
  throw new Error('no');
}

const THROWING: ProxyHandler<object> = {
  get() {
    throw new Error('a trap');
  },
  has() {
    throw new Error('a trap');
  },
};

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

const ODD: readonly (readonly [string, () => unknown])[] = [
  [
    'throws a proxy that throws',
    () => {
      throw new Proxy({}, THROWING);
    },
  ],
  [
    'throws a proxy that was revoked',
    () => {
      throw revoked();
    },
  ],
  ['rejects with a proxy that throws', () => Promise.reject(new Proxy({}, THROWING))],
  ['returns something whose then cannot be read', () => Object.defineProperty({}, THEN, { get: throwing })],
  ['returns something whose then throws', () => Object.defineProperty({}, THEN, { value: throwing })],
];

describe('a handler', () => {
  it.each(ODD)('that %s has failed, and no more', async (_what, handler) => {
    const evaq = await openSim(newDisk());
    await evaq.wal.push('x');
    const delivery = evaq.evacuate(handler, { retry: { maxAttempts: 2, backoff: { baseMs: 1 } }, breaker: false });
    await delivery.drained();
    expect(delivery.stats()).toMatchObject({ failed: 2, deadLettered: 1, inFlight: 0 });
    await delivery.stop();
    expect(await contentOf(evaq.deadLetters)).toEqual({ 1: 'x' });
    await evaq.close();
  });
});

describe('arguments', () => {
  it('of a delivery are looked at', async () => {
    const evaq = await openSim(newDisk());
    const delivery = evaq.evacuate(() => undefined);
    await expect(callUntyped(delivery, 'stop', { grace: 1 })).rejects.toThrow(/graceMs/);
    await expect(callUntyped(delivery, 'stop', { graceMs: '1' })).rejects.toThrow(TypeError);
    await expect(callUntyped(delivery, 'stop', { graceMs: -1 })).rejects.toThrow(RangeError);
    await expect(callUntyped(delivery, 'pause', 1)).rejects.toThrow(TypeError);
    await expect(callUntyped(delivery, 'stats', 1)).rejects.toThrow(TypeError);
    expect(delivery.stats().state).toBe('running');
    await delivery.stop();
    await evaq.close();
  });

  it('of what a handler throws are looked at', () => {
    const later = (options: object): unknown => Reflect.construct(RetryLater, [options]);
    expect(() => later({})).toThrow(TypeError);
    expect(() => later({ delayMs: Infinity })).toThrow(RangeError);
    expect(() => later({ delayMs: 1, scope: 'everything' })).toThrow(/scope/);
    expect(() => later({ delayMs: 1, countAttempt: 1 })).toThrow(/countAttempt/);
    expect(() => new DeadLetterError('')).toThrow(RangeError);
  });
});
