/** What calls cost, counted on the simulated disk: calls of the port and bytes, never time. */
import type { SimCall, SimCallName } from '../../../../src/sim/sim-call.js';
import type { SimDisk } from '../../../../src/sim/sim-disk.js';
import type { Host } from '../../../../src/vfs/host.js';

export interface Cost {
  readonly calls: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

/**
 * What `work` costs, calls that it leaves under way included as far as they have begun. Looks at the ground are left out: they go by the clock, and
 * are counted in store-ground.test.ts.
 */
export async function costOf(disk: SimDisk, work: () => Promise<unknown>): Promise<Cost> {
  const before = disk.calls.length;
  await work();
  const calls = disk.calls.slice(before).filter(({ name }) => name !== 'identity');
  const bytes = (...names: readonly SimCallName[]): number =>
    calls.filter(({ name }) => names.includes(name)).reduce((sum, call) => sum + bytesOf(call), 0);
  return {
    calls: calls.length,
    bytesRead: bytes('read'),
    bytesWritten: bytes('write', 'writeBlocking'),
  };
}

/** The detail of a call reads `512+100`. Of a blocking push it is not known beforehand, and left out. */
function bytesOf({ detail }: SimCall): number {
  const found = /\+(\d+)$/.exec(detail);
  if (found === null) throw new Error(`no length in '${detail}'`);
  return Number(found[1]);
}

/** By how much more it grows from the second to the third than from the first to the second; sizes are to double. 2 is linear, 4 quadratic. */
export function growth([first = 0, second = 0, third = 0]: readonly number[]): number {
  return (third - second) / (second - first);
}

/** What process 1 has opened and not closed. */
export function openFiles(disk: SimDisk, process = 1): number {
  const count = (...names: readonly SimCallName[]): number =>
    disk.calls.filter((call) => call.process === process && call.outcome === 'ok' && names.includes(call.name)).length;
  return count('create', 'open') - count('close');
}

/** A host that counts what is waiting for it. */
export class CountingHost implements Host {
  readonly #host: Host;
  /** Timers that neither fired nor were taken back. */
  timers = 0;
  /** Turns of the event loop that were left to others. */
  yields = 0;
  /** Who keeps the process alive. */
  holders = 0;

  constructor(host: Host) {
    this.#host = host;
  }

  now(): number {
    return this.#host.now();
  }

  elapsed(): number {
    return this.#host.elapsed();
  }

  soon(action: () => void): void {
    this.#host.soon(action);
  }

  yield(): Promise<void> {
    this.yields++;
    return this.#host.yield();
  }

  random(target: Uint8Array): void {
    this.#host.random(target);
  }

  after(ms: number, action: () => void): () => void {
    this.timers++;
    let isDue = true;
    const done = (): void => {
      if (isDue) this.timers--;
      isDue = false;
    };
    const cancel = this.#host.after(ms, () => {
      done();
      action();
    });
    return () => {
      done();
      cancel();
    };
  }

  hold(): () => void {
    this.holders++;
    let isHolding = true;
    return () => {
      if (isHolding) this.holders--;
      isHolding = false;
    };
  }
}
