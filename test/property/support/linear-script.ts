/** Scripts of several clients at one store, as values that shrink and read like a program. */
import * as fc from 'fast-check';
import type { SimCallName } from '../../../src/sim/sim-call.js';
import type { SimErrorName } from '../../../src/sim/sim-error.js';
import type { Deed, End, QueueName } from './history.js';

/** One call of a client. A pick is a record, by its place among those the run knows of: the lower, the older. */
export type Act =
  | { readonly act: 'push' | 'pushSync'; readonly queue: QueueName; readonly bytes: number }
  | { readonly act: 'pushMany'; readonly queue: QueueName; readonly sizes: readonly number[] }
  | { readonly act: 'get' | 'pop' | 'remove' | 'removeThrough'; readonly queue: QueueName; readonly pick: number }
  | { readonly act: 'removeMany'; readonly queue: QueueName; readonly picks: readonly number[] }
  | { readonly act: 'read'; readonly queue: QueueName; readonly pick: number; readonly records: number }
  | { readonly act: 'records'; readonly queue: QueueName; readonly take: number; readonly pauseMs: number }
  | { readonly act: 'deadLetter'; readonly pick: number }
  | { readonly act: 'redrive'; readonly picks: readonly number[] }
  | { readonly act: 'redriveAll' | 'redriveOdd' }
  | { readonly act: 'flush' | 'compact'; readonly queue: QueueName }
  /** Of few messages, each with a name and a payload of its own. */
  | { readonly act: 'message'; readonly message: number }
  /** Together with how far their source has come. */
  | { readonly act: 'batch'; readonly records: number }
  | { readonly act: 'checkpoint' }
  | {
      readonly act: 'deliver';
      readonly queue: QueueName;
      readonly ms: number;
      readonly deeds: readonly Deed[];
      readonly slowMs: number;
    }
  | { readonly act: 'idle'; readonly ms: number };

export interface Fault {
  readonly on: SimCallName;
  readonly path: '' | '.seg' | '.tomb' | '.free';
  readonly nth: number;
  readonly times: number;
  readonly error: SimErrorName;
}

/** From an open to the next. */
export interface Part {
  readonly clients: readonly (readonly Act[])[];
  readonly tails: readonly QueueName[];
  readonly faults: readonly Fault[];
  /** Bytes that are left on the disk while it lasts; undefined: plenty. */
  readonly roomBytes: number | undefined;
  readonly end: End;
  /** It ends after so many steps, whatever is under way then, and at the latest when all clients are done. */
  readonly endAfterSteps: number;
  /** Which state a power cut leaves. */
  readonly draw: number;
}

export interface LinearScript {
  readonly seed: number;
  readonly timing: 'wild' | 'steady';
  readonly names: 'ordered' | 'adversarial';
  readonly mode: 'sync' | 'interval' | 'os';
  /** What is there when the clients begin. */
  readonly wal: readonly number[];
  readonly dead: readonly number[];
  readonly parts: readonly Part[];
  /** So many records the WAL queue may hold. */
  readonly limit?: number | undefined;
}

function describeAct(act: Act): string {
  switch (act.act) {
    case 'push':
    case 'pushSync':
      return `${act.act}(${act.queue}, ${act.bytes}B)`;
    case 'pushMany':
      return `pushMany(${act.queue}, ${act.sizes.map((size) => `${size}B`).join(' ')})`;
    case 'removeMany':
      return `removeMany(${act.queue}, ${act.picks.join(' ')})`;
    case 'read':
      return `read(${act.queue}, from ${act.pick}, ${act.records} records)`;
    case 'records':
      return `records(${act.queue}, take ${act.take}, ${act.pauseMs}ms each)`;
    case 'deadLetter':
      return `deadLetter(${act.pick})`;
    case 'redrive':
      return `redrive(${act.picks.join(' ')})`;
    case 'redriveAll':
    case 'redriveOdd':
      return act.act;
    case 'flush':
    case 'compact':
      return `${act.act}(${act.queue})`;
    case 'message':
      return `message(m${act.message})`;
    case 'batch':
      return `batch(${act.records} records)`;
    case 'checkpoint':
      return 'checkpoint()';
    case 'deliver':
      return `deliver(${act.queue}, for ${act.ms}ms, ${act.deeds.join(' ')}, ${act.slowMs}ms each)`;
    case 'idle':
      return `idle(${act.ms}ms)`;
    default:
      return `${act.act}(${act.queue}, ${act.pick})`;
  }
}

function describePart(part: Part): string {
  const lines: string[] = [];
  for (const { on, path, nth, times, error } of part.faults) {
    lines.push(
      `fault: ${error} at ${on}${path === '' ? '' : ` of *${path}*`} #${nth}${times === 1 ? '' : `, ${times} times`}`,
    );
  }
  if (part.roomBytes !== undefined) lines.push(`full: ${part.roomBytes}B left`);
  for (const [i, acts] of part.clients.entries()) {
    if (acts.length > 0) lines.push(`client ${'abcdef'[i] ?? i}: ${acts.map(describeAct).join(', ')}`);
  }
  if (part.tails.length > 0) lines.push(`tails: ${part.tails.join(' ')}`);
  const when = part.endAfterSteps === Infinity ? 'at the end' : `after ${part.endAfterSteps} steps`;
  lines.push(`${part.end} ${when}${part.end === 'power' ? `, draw ${part.draw}` : ''}`);
  return lines.join('\n  ');
}

export function describeLinear(script: LinearScript): string {
  const { seed, timing, names, mode, wal, dead, parts, limit } = script;
  return [
    `seed ${seed}, ${timing}, ${names}, mode ${mode}, wal [${wal.join(' ')}], dead letters [${dead.join(' ')}]${limit === undefined ? '' : `, ${limit} records at most`}`,
    ...parts.map(describePart),
  ].join('\n  ');
}

const queue: fc.Arbitrary<QueueName> = fc.oneof(
  { weight: 7, arbitrary: fc.constant('wal' as const) },
  { weight: 3, arbitrary: fc.constant('dead-letters' as const) },
);
const size: fc.Arbitrary<number> = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 3, max: 60 }) },
  { weight: 2, arbitrary: fc.constantFrom(3000, 9000) },
);
// Few, so that clients meet.
const pick: fc.Arbitrary<number> = fc.oneof({ weight: 5, arbitrary: fc.nat(3) }, { weight: 2, arbitrary: fc.nat(12) });
const picks: fc.Arbitrary<number[]> = fc.uniqueArray(pick, { minLength: 1, maxLength: 5 });

const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ act: fc.constant('push' as const), queue, bytes: size }) },
  {
    weight: 2,
    arbitrary: fc.record({
      act: fc.constant('pushMany' as const),
      queue,
      sizes: fc.array(size, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('pushSync' as const), queue, bytes: size }) },
  {
    weight: 10,
    arbitrary: fc.record({
      act: fc.constantFrom('get', 'pop', 'pop', 'remove', 'remove', 'removeThrough'),
      queue,
      pick,
    }),
  },
  { weight: 3, arbitrary: fc.record({ act: fc.constant('removeMany' as const), queue, picks }) },
  {
    weight: 5,
    arbitrary: fc.record({ act: fc.constant('read' as const), queue, pick, records: fc.integer({ min: 1, max: 6 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      act: fc.constant('records' as const),
      queue,
      take: fc.integer({ min: 1, max: 20 }),
      pauseMs: fc.constantFrom(0, 1),
    }),
  },
  { weight: 3, arbitrary: fc.record({ act: fc.constant('deadLetter' as const), pick }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('redrive' as const), picks }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constantFrom('redriveAll' as const, 'redriveOdd' as const) }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constantFrom('flush', 'flush', 'compact'), queue }) },
  { weight: 3, arbitrary: fc.record({ act: fc.constant('message' as const), message: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('batch' as const), records: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('checkpoint' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      act: fc.constant('deliver' as const),
      queue,
      ms: fc.constantFrom(1, 3, 10),
      deeds: fc.array(fc.constantFrom<Deed>('ok', 'ok', 'fail', 'later', 'dead'), { minLength: 1, maxLength: 4 }),
      slowMs: fc.constantFrom(0, 0, 1, 3),
    }),
  },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('idle' as const), ms: fc.constantFrom(1, 1, 3, 3000) }) },
);

const EVERYWHERE: readonly SimErrorName[] = ['EIO', 'ENOSPC', 'EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EDQUOT'];
/** No sync of a file answers that there are too many open ones. */
const OF_SYNCS: readonly SimErrorName[] = ['EIO', 'ENOSPC', 'EDQUOT'];

const fault: fc.Arbitrary<Fault> = fc
  .constantFrom<SimCallName[]>(
    'read',
    'write',
    'write',
    'sync',
    'rename',
    'remove',
    'syncDir',
    'create',
    'truncate',
    'open',
    'list',
    'stat',
    'size',
    'freeBytes',
    'close',
  )
  .chain((on) =>
    fc.record({
      on: fc.constant(on),
      path: fc.constantFrom('' as const, '.seg' as const, '.tomb' as const, '.tomb' as const, '.free' as const),
      nth: fc.integer({ min: 1, max: 5 }),
      times: fc.constantFrom(1, 1, 2),
      error: fc.constantFrom(...(on === 'sync' ? OF_SYNCS : EVERYWHERE)),
    }),
  );

/** What happens beside the clients. */
export type LinearTrouble = 'calm' | 'faults' | 'crashes' | 'weak';

function part(trouble: LinearTrouble): fc.Arbitrary<Part> {
  const isCalm = trouble === 'calm' || trouble === 'faults';
  return fc.record({
    clients: fc.array(fc.array(act, { minLength: 1, maxLength: 8 }), { minLength: 2, maxLength: 4 }),
    tails: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.constant(['wal' as const]) }),
    faults: trouble === 'faults' ? fc.array(fault, { maxLength: 3 }) : fc.constant([]),
    roomBytes:
      trouble === 'faults'
        ? fc.option(fc.constantFrom(0, 100, 600, 4000, 20_000), { nil: undefined, freq: 2 })
        : fc.constant(undefined),
    end: isCalm
      ? fc.constantFrom('close' as const, 'kill' as const)
      : fc.constantFrom('power', 'power', 'power', 'kill'),
    endAfterSteps: isCalm
      ? fc.oneof(
          { weight: 4, arbitrary: fc.constant(Infinity) },
          { weight: 1, arbitrary: fc.integer({ min: 1, max: 60 }) },
        )
      : fc.oneof(
          { weight: 1, arbitrary: fc.constant(Infinity) },
          { weight: 4, arbitrary: fc.integer({ min: 1, max: 90 }) },
        ),
    draw: fc.nat(999),
  });
}

export function linearScript(trouble: LinearTrouble, partsMax: number = 2): fc.Arbitrary<LinearScript> {
  const sizes = fc.array(size, { maxLength: 10 });
  return fc
    .record({
      seed: fc.nat(1_000_000),
      timing: fc.constantFrom('wild' as const, 'wild' as const, 'steady' as const),
      names: fc.constantFrom('adversarial' as const, 'ordered' as const),
      mode:
        trouble === 'weak'
          ? fc.constantFrom('os' as const, 'interval' as const)
          : fc.oneof(
              { weight: 5, arbitrary: fc.constant('sync' as const) },
              { weight: 1, arbitrary: fc.constantFrom('os' as const, 'interval' as const) },
            ),
      wal: sizes,
      dead: fc.array(size, { maxLength: 4 }),
      parts: fc.array(part(trouble), { minLength: 1, maxLength: partsMax }),
      limit: fc.option(fc.integer({ min: 5, max: 14 }), { nil: undefined, freq: 3 }),
    })
    .map((value) => ({ ...value, [fc.toStringMethod]: () => describeLinear(value) }));
}
