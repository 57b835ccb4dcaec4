import { describe, expect, it } from 'vitest';
import { isDeadLetterError, isRetryLater } from '../../../src/delivery/delivery-errors.js';
import { DeadLetterError, RetryLater } from '../../../src/evaq.js';

describe('what a handler throws to decide by itself', () => {
  it('is known by its class, whatever it is called, and by its name, whoever made it', () => {
    class Refused extends DeadLetterError {
      override readonly name = 'Refused';
    }
    class Busy extends RetryLater {
      override readonly name = 'Busy';
    }
    expect(isDeadLetterError(new Refused('no such customer'))).toBe(true);
    expect(isRetryLater(new Busy({ delayMs: 1 }))).toBe(true);
    expect(isDeadLetterError({ name: 'DeadLetterError', reason: 'of another copy' })).toBe(true);
    expect(isRetryLater({ name: 'RetryLater', delayMs: 1, countAttempt: false, scope: 'all' })).toBe(true);
    expect(isDeadLetterError({ name: 'DeadLetterError' })).toBe(false);
    expect(isRetryLater(new DeadLetterError('x'))).toBe(false);
  });

  it('is refused where it says nothing', () => {
    expect(() => Reflect.construct(DeadLetterError, [])).toThrow(
      new TypeError('reason must be a string, got undefined'),
    );
    expect(() => Reflect.construct(RetryLater, [])).toThrow(TypeError);
    expect(() => Reflect.construct(RetryLater, [5])).toThrow(TypeError);
    expect(() => new RetryLater({ delayMs: -1 })).toThrow(RangeError);
    expect(() => Reflect.construct(RetryLater, [{ delayMs: 1, countAttemps: true }])).toThrow(
      /did you mean 'countAttempt'/,
    );
  });
});
