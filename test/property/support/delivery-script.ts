/** Scripts for a delivery: what is pushed, what handlers do with it, and what befalls the machine meanwhile. */
import * as fc from 'fast-check';

/** What a handler does with a record, at one time that it has it. */
export type Deed =
  | 'ok'
  | 'fail'
  /** `RetryLater`, not counted, and counted. */
  | 'later'
  | 'laterCounted'
  /** `DeadLetterError`. */
  | 'deadError'
  /** By `classify`. */
  | 'dead'
  | 'drop'
  | 'unavailable'
  /** Beyond its time, and then it fails; or it succeeds, when that is too late. */
  | 'hang'
  | 'hangOk'
  /** Longer than a stop waits for it, and then it fails. */
  | 'hangLong'
  /** The process dies. */
  | 'kill'
  /** It removes its record itself, and succeeds. */
  | 'removeOwn';

export type DeliveryStep =
  | {
      readonly op: 'push';
      readonly count: number;
      readonly keys: number;
      readonly delayMs: number;
      readonly deeds: readonly Deed[];
    }
  | { readonly op: 'wait'; readonly ms: number }
  | { readonly op: 'remove' | 'removeThrough' | 'pop'; readonly nth: number }
  | { readonly op: 'pause' | 'resume' | 'second' | 'reopen' | 'kill' | 'drained' }
  /** And another delivery begins at once, whatever the handlers of this one do. */
  | { readonly op: 'stop'; readonly graceMs: number }
  | {
      readonly op: 'fault';
      readonly on: 'read' | 'open' | 'write' | 'sync';
      readonly at: 'records' | 'log';
      readonly times: number;
    }
  | { readonly op: 'powerCut'; readonly draw: number };

export interface DeliveryScript {
  readonly seed: number;
  readonly timing: 'wild' | 'steady';
  readonly durability: 'sync' | 'os';
  readonly order: 'none' | 'fifo' | 'key';
  /** How a batch handler says what failed; `single`: one record each. */
  readonly shape: 'single' | 'named' | 'words' | 'whole';
  readonly concurrency: number;
  readonly maxAttempts: number;
  readonly maxCrashes: number;
  readonly breaker: number | false;
  readonly rate: boolean;
  readonly steps: readonly DeliveryStep[];
}

const aDeed = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Deed>('ok') },
  { weight: 8, arbitrary: fc.constant<Deed>('fail') },
  {
    weight: 8,
    arbitrary: fc.constantFrom<Deed>(
      'later',
      'laterCounted',
      'deadError',
      'dead',
      'drop',
      'unavailable',
      'unavailable',
      'hang',
      'hangOk',
      'hangLong',
      'kill',
      'removeOwn',
    ),
  },
);

const aPush: fc.Arbitrary<DeliveryStep> = fc.record({
  op: fc.constant('push' as const),
  count: fc.integer({ min: 1, max: 12 }),
  keys: fc.constantFrom(1, 2, 5),
  delayMs: fc.constantFrom(0, 0, 0, 0, 40, 700),
  deeds: fc.oneof(fc.constant<Deed[]>([]), fc.array(aDeed, { maxLength: 6 })),
});

const aStep: fc.Arbitrary<DeliveryStep> = fc.oneof(
  { weight: 8, arbitrary: aPush },
  { weight: 8, arbitrary: fc.record({ op: fc.constant('wait' as const), ms: fc.constantFrom(1, 5, 30, 150, 800) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constantFrom('remove' as const, 'removeThrough' as const, 'pop' as const),
      nth: fc.nat(12),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.constantFrom<DeliveryStep>(
      { op: 'pause' },
      { op: 'resume' },
      { op: 'second' },
      { op: 'reopen' },
      { op: 'kill' },
      { op: 'kill' },
      { op: 'drained' },
    ),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('stop' as const), graceMs: fc.constantFrom(0, 20, 5000) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('fault' as const),
      on: fc.constantFrom('read' as const, 'open' as const, 'write' as const, 'sync' as const),
      at: fc.constantFrom('records' as const, 'log' as const),
      times: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('powerCut' as const), draw: fc.nat(1_000_000) }) },
);

export const deliveryScript: fc.Arbitrary<DeliveryScript> = fc.record({
  seed: fc.nat(1_000_000),
  timing: fc.constantFrom('wild' as const, 'steady' as const),
  durability: fc.constantFrom('sync' as const, 'sync' as const, 'os' as const),
  order: fc.constantFrom('none' as const, 'none' as const, 'fifo' as const, 'key' as const),
  shape: fc.constantFrom('single' as const, 'single' as const, 'named' as const, 'words' as const, 'whole' as const),
  concurrency: fc.constantFrom(1, 2, 4, 16),
  maxAttempts: fc.integer({ min: 1, max: 4 }),
  maxCrashes: fc.integer({ min: 1, max: 3 }),
  breaker: fc.constantFrom<number | false>(false, false, 3, 5),
  rate: fc.constantFrom(false, false, false, true),
  steps: fc.array(aStep, { minLength: 2, maxLength: 24, size: 'max' }),
});
