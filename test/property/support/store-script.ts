/**
 * Scripts: what is done to a store and to the machine under it, as values that shrink and read like a program.
 */
import * as fc from 'fast-check';
import type { QueueName } from './store-model.js';

/** Which state a power cut leaves; 'cache': it was only the process that died. */
export type Loss =
  | { readonly keep: 'nothing' | 'everything' | 'cache' }
  | { readonly draw: number }
  | { readonly choice: readonly number[] };

export type Op =
  | { readonly op: 'push'; readonly queue: QueueName; readonly bytes: number; readonly wait: boolean }
  | { readonly op: 'pushMany'; readonly queue: QueueName; readonly sizes: readonly number[]; readonly wait: boolean }
  | { readonly op: 'pushSync'; readonly queue: QueueName; readonly bytes: number }
  | {
      readonly op: 'remove' | 'pop' | 'removeThrough';
      readonly queue: QueueName;
      readonly pick: number;
      readonly wait: boolean;
    }
  | { readonly op: 'removeMany'; readonly queue: QueueName; readonly picks: readonly number[]; readonly wait: boolean }
  | { readonly op: 'deadLetter'; readonly pick: number; readonly wait: boolean }
  | { readonly op: 'redrive'; readonly picks: readonly number[]; readonly wait: boolean }
  | { readonly op: 'read' }
  | { readonly op: 'get'; readonly queue: QueueName; readonly pick: number }
  | { readonly op: 'compact'; readonly queue: QueueName; readonly wait: boolean }
  | { readonly op: 'idle'; readonly ms: number }
  | { readonly op: 'reopen' }
  | { readonly op: 'kill' }
  /** Power goes after so many more effects and acknowledgements, whatever is under way then. */
  | { readonly op: 'powerCut'; readonly steps: number; readonly loss: Loss; readonly alsoKill?: boolean }
  | { readonly op: 'full'; readonly roomBytes: number; readonly answer?: 'ENOSPC' | 'EDQUOT' }
  | { readonly op: 'freed' }
  | { readonly op: 'evict' }
  | {
      readonly op: 'fault';
      readonly on:
        | 'read'
        | 'write'
        | 'sync'
        | 'rename'
        | 'remove'
        | 'syncDir'
        | 'create'
        | 'truncate'
        | 'open'
        | 'list'
        | 'makeDir'
        | 'stat'
        | 'close'
        | 'size'
        | 'lock'
        | 'freeBytes';
      readonly path: '' | '.seg' | '.tomb' | '.free' | 'STORE';
      readonly nth: number;
      readonly times: number;
      readonly error: 'EIO' | 'ENOSPC' | 'EDQUOT' | 'EFBIG' | 'EMFILE';
      readonly alsoDone: boolean;
    };

export interface Settings {
  readonly seed: number;
  readonly sectorBytes: 512 | 4096;
  readonly names: 'ordered' | 'adversarial';
  readonly timing: 'wild' | 'steady';
  readonly recycleSegments: number;
  readonly indexIntervalBytes: number;
}

export interface Script {
  readonly settings: Settings;
  readonly ops: readonly Op[];
}

export function describeLoss(loss: Loss): string {
  if ('keep' in loss) return `keeps ${loss.keep}`;
  if ('draw' in loss) return `draw ${loss.draw}`;
  return `choice [${loss.choice.join(' ')}]`;
}

export function describeOp(op: Op): string {
  const later = 'wait' in op && !op.wait ? ' &' : '';
  switch (op.op) {
    case 'push':
    case 'pushSync':
      return `${op.op === 'push' ? 'Push' : 'PushSync'}(${op.queue}, ${op.bytes}B)${later}`;
    case 'pushMany':
      return `PushMany(${op.queue}, ${op.sizes.map((size) => `${size}B`).join(' ')})${later}`;
    case 'remove':
      return `Remove(${op.queue}, ${op.pick})${later}`;
    case 'pop':
      return `Pop(${op.queue}, ${op.pick})${later}`;
    case 'removeThrough':
      return `RemoveThrough(${op.queue}, ${op.pick})${later}`;
    case 'removeMany':
      return `RemoveMany(${op.queue}, ${op.picks.join(' ')})${later}`;
    case 'deadLetter':
      return `DeadLetter(${op.pick})${later}`;
    case 'redrive':
      return `Redrive(${op.picks.join(' ')})${later}`;
    case 'read':
      return 'Read';
    case 'get':
      return `Get(${op.queue}, ${op.pick})`;
    case 'compact':
      return `Compact(${op.queue})${later}`;
    case 'idle':
      return `Idle(${op.ms}ms)`;
    case 'reopen':
      return 'Reopen';
    case 'kill':
      return 'Kill Reopen';
    case 'powerCut':
      return `PowerCut(step ${op.steps}, ${describeLoss(op.loss)})`;
    case 'full':
      return `Full(${op.roomBytes}B left${op.answer === 'EDQUOT' ? ' of the quota' : ''})`;
    case 'freed':
      return 'Freed';
    case 'evict':
      return 'Evict';
    case 'fault': {
      const { on, path, nth, times, error, alsoDone } = op;
      const many = times === 1 ? '' : ` ${times} times`;
      return `Fault(${on}${path === '' ? '' : ` of *${path}*`} #${nth}${many}: ${error}${alsoDone ? ', done all the same' : ''})`;
    }
    default:
      return JSON.stringify(op);
  }
}

export function describeScript({ settings, ops }: Script): string {
  return `${JSON.stringify(settings)}\n  ${ops.map(describeOp).join('\n  ')}\n  as data: ${JSON.stringify({ settings, ops })}`;
}

const queue: fc.Arbitrary<QueueName> = fc.oneof(
  { weight: 6, arbitrary: fc.constant('wal' as const) },
  { weight: 2, arbitrary: fc.constant('dead-letters' as const) },
  { weight: 1, arbitrary: fc.constant('extra' as const) },
);
const size: fc.Arbitrary<number> = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 3, max: 200 }) },
  { weight: 4, arbitrary: fc.integer({ min: 1024, max: 20 * 1024 }) },
  { weight: 1, arbitrary: fc.constantFrom(3, 440, 512, 4096, 17_000, 70_000) },
);
const wait: fc.Arbitrary<boolean> = fc.nat(2).map((n) => n !== 2);
const pick: fc.Arbitrary<number> = fc.nat(30);
const picks: fc.Arbitrary<number[]> = fc.array(pick, { minLength: 1, maxLength: 12 });
export const loss: fc.Arbitrary<Loss> = fc.oneof(
  { weight: 2, arbitrary: fc.constant({ keep: 'nothing' as const }) },
  { weight: 1, arbitrary: fc.constant({ keep: 'everything' as const }) },
  { weight: 2, arbitrary: fc.constant({ keep: 'cache' as const }) },
  { weight: 5, arbitrary: fc.nat(99_999).map((draw) => ({ draw })) },
);
// A third right away, the rest within the next calls.
const steps: fc.Arbitrary<number> = fc.oneof(
  { weight: 1, arbitrary: fc.constant(0) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 30 }) },
  { weight: 1, arbitrary: fc.integer({ min: 31, max: 250 }) },
);

const pushes: fc.Arbitrary<Op> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ op: fc.constant('push' as const), queue, bytes: size, wait }) },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('pushMany' as const),
      queue,
      sizes: fc.array(size, { minLength: 1, maxLength: 8 }),
      wait,
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('pushSync' as const), queue, bytes: size }) },
);
const removals: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ op: fc.constantFrom('remove' as const, 'pop' as const), queue, pick, wait }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('removeThrough' as const), queue, pick, wait }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('removeMany' as const), queue, picks, wait }) },
);
const moves: fc.Arbitrary<Op> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ op: fc.constant('deadLetter' as const), pick, wait }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('redrive' as const), picks, wait }) },
);
const reads: fc.Arbitrary<Op> = fc.oneof(
  fc.constant({ op: 'read' as const }),
  fc.record({ op: fc.constant('get' as const), queue, pick }),
);
const tidying: fc.Arbitrary<Op> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ op: fc.constant('compact' as const), queue, wait }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('idle' as const), ms: fc.constantFrom(1, 300, 3000) }) },
);
const deaths: fc.Arbitrary<Op> = fc.oneof(
  { weight: 1, arbitrary: fc.constant({ op: 'reopen' as const }) },
  { weight: 1, arbitrary: fc.constant({ op: 'kill' as const }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('powerCut' as const), steps, loss }) },
);
const space: fc.Arbitrary<Op> = fc.oneof(
  fc.record({
    op: fc.constant('full' as const),
    roomBytes: fc.oneof(fc.constantFrom(0, 100, 1000, 5000, 20_000, 60_000), fc.nat(20_000)),
    answer: fc.constantFrom('ENOSPC' as const, 'EDQUOT' as const),
  }),
  fc.constant({ op: 'freed' as const }),
);
const faults: fc.Arbitrary<Op> = fc.oneof(
  { weight: 1, arbitrary: fc.constant({ op: 'evict' as const }) },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('fault' as const),
      on: fc.constantFrom(
        ...([
          'read',
          'write',
          'sync',
          'sync',
          'rename',
          'remove',
          'syncDir',
          'create',
          'truncate',
          'open',
          'list',
          'makeDir',
          'stat',
          'close',
          'size',
          'lock',
          'freeBytes',
        ] as const),
      ),
      path: fc.constantFrom(...(['', '', '.seg', '.tomb', '.free', 'STORE'] as const)),
      nth: fc.integer({ min: 1, max: 6 }),
      times: fc.constantFrom(1, 1, 2, 5),
      error: fc.constantFrom(...(['EIO', 'EIO', 'EIO', 'ENOSPC', 'EDQUOT', 'EFBIG', 'EMFILE'] as const)),
      alsoDone: fc.boolean(),
    }),
  },
);

export const settings: fc.Arbitrary<Settings> = fc.record({
  seed: fc.nat(1_000_000),
  sectorBytes: fc.constantFrom(512 as const, 4096 as const),
  names: fc.constantFrom('adversarial' as const, 'ordered' as const),
  timing: fc.constantFrom('wild' as const, 'steady' as const),
  recycleSegments: fc.constantFrom(0, 1, 2),
  indexIntervalBytes: fc.constantFrom(0, 512, 4096),
});

/** Each run has one kind of trouble, so that one does not hide the others. */
export type Trouble = 'crashes' | 'collecting' | 'space' | 'errors';

export function script(trouble: Trouble, opsMax: number = 40): fc.Arbitrary<Script> {
  const collecting = trouble === 'collecting';
  const op = fc.oneof(
    { weight: collecting ? 6 : 8, arbitrary: pushes },
    { weight: collecting ? 8 : 5, arbitrary: removals },
    { weight: collecting ? 5 : 2, arbitrary: moves },
    { weight: 1, arbitrary: reads },
    { weight: collecting ? 8 : 2, arbitrary: tidying },
    { weight: collecting ? 1 : 3, arbitrary: deaths },
    { weight: trouble === 'space' ? 3 : 0, arbitrary: space },
    { weight: trouble === 'errors' ? 3 : 0, arbitrary: faults },
  );
  return fc.record({ settings, ops: fc.array(op, { minLength: 1, maxLength: opsMax, size: 'max' }) }).map((value) => {
    // Beside GC everything goes on at once.
    const ops = collecting
      ? value.ops.map((one, i) => ('wait' in one && i % 3 > 0 ? { ...one, wait: false } : one))
      : value.ops;
    const made = { ...value, ops };
    return { ...made, [fc.toStringMethod]: () => describeScript(made) };
  });
}
