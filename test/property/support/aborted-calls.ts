/**
 * Calls whose signals are aborted, beside others and faults, on the simulated machine: whatever a signal does to the waiting, a record has one owner or
 * is in the queue, and what was withdrawn is nowhere. Told by what each caller heard, and by what is there after the next open.
 */
import * as fc from 'fast-check';
import { Evaq, EvaqError } from '../../../src/evaq.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { closeWhole } from './closed-store.js';
import { BrokenPromise, payloadOf } from './store-model.js';

/** When a caller loses his patience: never, in the very stretch in which he called, or after so many microseconds of simulated time. */
type Patience = 'endless' | 'none' | number;

export interface AbortedScript {
  readonly seed: number;
  readonly mode: 'sync' | 'os';
  /** Bytes of pushes that find room. */
  readonly roomBytes: number;
  /** Records that are there when the callers begin. */
  readonly records: number;
  /** Which of them each caller takes, and how patient he is. */
  readonly pops: readonly { readonly pick: number; readonly patience: Patience; readonly laterUs: number }[];
  readonly pushes: readonly { readonly bytes: number; readonly patience: Patience; readonly many: boolean }[];
  /** A round of removals that fails, by number. */
  readonly fault: number | undefined;
  readonly end: 'close' | 'kill';
}

const patience: fc.Arbitrary<Patience> = fc.oneof(
  { weight: 2, arbitrary: fc.constant('endless' as const) },
  { weight: 1, arbitrary: fc.constant('none' as const) },
  { weight: 5, arbitrary: fc.integer({ min: 1, max: 2500 }) },
);

export const abortedScript: fc.Arbitrary<AbortedScript> = fc.record({
  seed: fc.nat(1_000_000),
  mode: fc.constantFrom('sync', 'os'),
  roomBytes: fc.constantFrom(300, 1000),
  records: fc.integer({ min: 1, max: 5 }),
  pops: fc.array(fc.record({ pick: fc.nat(4), patience, laterUs: fc.constantFrom(0, 0, 150, 600) }), {
    minLength: 1,
    maxLength: 9,
  }),
  pushes: fc.array(fc.record({ bytes: fc.integer({ min: 3, max: 900 }), patience, many: fc.boolean() }), {
    maxLength: 8,
  }),
  fault: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
  end: fc.constantFrom('close', 'kill'),
});

/** How often each came about, so that a test can see that it tested something. */
export interface AbortedStats {
  poppedAll: number;
  givenBack: number;
  withdrawn: number;
  wentOn: number;
}

export function newAbortedStats(): AbortedStats {
  return { poppedAll: 0, givenBack: 0, withdrawn: 0, wentOn: 0 };
}

const STORE = '/store';
/** Tokens of what is pushed while calls are aborted begin here. */
const FIRST_PUSHED = 1000;

/** What became of a call, as its caller heard it. */
type Heard = 'resolved' | 'aborted' | 'not found' | 'failed';

export async function runAborted(script: AbortedScript, stats: AbortedStats): Promise<void> {
  const { seed, mode, records } = script;
  const disk = new SimDisk({ seed, timing: 'wild', fill: 'zeros' });
  const open = (): Promise<Evaq> =>
    Evaq.open(STORE, {
      durability: mode,
      maxPendingBytes: script.roomBytes,
      ports: { vfs: disk.vfs, host: disk.host },
    });
  const evaq = await open();
  const { wal } = evaq;
  const tokens = Array.from({ length: records }, (_, i) => i + 1);
  for (const token of tokens) await wal.push(payloadOf(token, 20));
  await wal.flush();
  const heal =
    script.fault === undefined
      ? undefined
      : disk.fault({ on: ['write', 'writeBlocking'], path: '.tomb', nth: script.fault, error: 'EIO' });

  const owners = new Map<number, number>();
  const pushed = new Map<number, Heard>();
  const neverIn = new Set<number>();
  const calls: Promise<void>[] = [];
  for (const { pick, patience, laterUs } of script.pops) {
    const id = (pick % records) + 1;
    const pop = async (): Promise<void> => {
      if (laterUs > 0) await after(disk, laterUs);
      const { heard, value } = await call(disk, patience, (signal) => wal.pop(id, signal));
      if (heard === 'aborted') stats.givenBack++;
      if (value === undefined) return;
      stats.poppedAll++;
      if (!payloadOf(id, 20).equals(value.payload)) throw new BrokenPromise('P3', `pop ${id} is something else`);
      owners.set(id, (owners.get(id) ?? 0) + 1);
    };
    calls.push(pop());
  }
  for (const [i, { bytes, patience, many }] of script.pushes.entries()) {
    const token = FIRST_PUSHED + i;
    const payload = payloadOf(token, bytes);
    // Who is told to wait, and is aborted in the same stretch, cannot have been let in.
    const waits = wal.stats().pendingBytes > 0 && wal.stats().pendingBytes + bytes > script.roomBytes;
    if (waits && patience === 'none') neverIn.add(token);
    const push = async (): Promise<void> => {
      const { heard } = await call<unknown>(disk, patience, (signal) =>
        many ? wal.pushMany([payload], signal) : wal.push(payload, signal),
      );
      pushed.set(token, heard);
    };
    calls.push(push());
  }
  await Promise.all(calls);
  heal?.();
  // What goes on by itself has an end, and leaves nothing pending.
  await wal.flush();
  if (wal.stats().pendingBytes !== 0) throw new BrokenPromise('P14', `${wal.stats().pendingBytes} bytes stay pending`);
  if (script.end === 'close') await closeWhole(evaq, disk);
  else disk.kill();

  const again = await open();
  const there: number[] = [];
  for await (const { payload } of again.wal.records()) there.push(payload.readUIntBE(0, 3));
  await again.close();
  for (const token of tokens) {
    const owned = owners.get(token) ?? 0;
    const live = there.filter((one) => one === token).length;
    if (owned + live !== 1) {
      throw new BrokenPromise('P2, P16', `record ${token} has ${owned} owners, and is ${live} times in the queue`);
    }
  }
  for (const [token, heard] of pushed) {
    const live = there.filter((one) => one === token).length;
    if (live > 1) throw new BrokenPromise('P3', `push ${token} is there ${live} times`);
    if (heard === 'resolved' && live === 0) throw new BrokenPromise('P1', `push ${token} resolved and is lost`);
    if (neverIn.has(token) && live > 0) throw new BrokenPromise('P3', `push ${token} was withdrawn and is there`);
    if (heard === 'aborted') stats[live > 0 ? 'wentOn' : 'withdrawn']++;
  }
}

interface Outcome<T> {
  readonly heard: Heard;
  readonly value?: T;
}

async function call<T>(
  disk: SimDisk,
  patience: Patience,
  begin: (options: { readonly signal: AbortSignal }) => Promise<T>,
): Promise<Outcome<T>> {
  const controller = new AbortController();
  const { signal } = controller;
  const reason = new Error('patience is over');
  const called = begin({ signal });
  if (patience === 'none') controller.abort(reason);
  const cancel =
    typeof patience === 'number' ? disk.host.after(patience / 1000, () => controller.abort(reason)) : undefined;
  try {
    return { heard: 'resolved', value: await called };
  } catch (error) {
    if (error === reason) return { heard: 'aborted' };
    if (!(error instanceof EvaqError)) throw error;
    return { heard: error.code === 'EVAQ_RECORD_NOT_FOUND' ? 'not found' : 'failed' };
  } finally {
    cancel?.();
  }
}

function after(disk: SimDisk, us: number): Promise<void> {
  return new Promise((resolve) => disk.host.after(us / 1000, resolve));
}
