/**
 * One process on a simulated disk: the ports that it sees the machine through. It dies at `kill()`: what is under way then stops where
 * it is, its locks are free, and none of its promises, timers or turns ever comes.
 */
import type { Host } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';
import type { Incarnation, SimMachine } from './sim-machine.js';
import { Prng } from './sim-prng.js';
import { SimVfs } from './sim-vfs.js';

export class SimProcess implements Incarnation {
  /** From 1 up, in the order in which they were started. */
  readonly id: number;
  readonly vfs: Vfs;
  readonly host: Host;
  readonly #machine: SimMachine;
  readonly #open: Map<number, number> = new Map();
  readonly #written: number[] = [];
  #openCount = 0;
  #alive = true;
  #timers = 0;
  #holds = 0;

  constructor(id: number, machine: SimMachine, epochMs: number) {
    this.id = id;
    this.#machine = machine;
    this.vfs = new SimVfs(machine, this);
    this.host = this.#makeHost(epochMs);
    machine.processes.add(this);
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** As `kill -9`: nothing that was written is lost, and what was being written may be there in part. */
  kill(): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#open.clear();
    this.#written.length = 0;
    this.#openCount = 0;
    const { locks, processes } = this.#machine;
    for (const [inode, holder] of locks) if (holder === this) locks.delete(inode);
    processes.delete(this);
    this.#machine.sweep();
  }

  opened(inode: number, isWritable: boolean): () => void {
    if (isWritable) this.#written.push(inode);
    this.#open.set(inode, (this.#open.get(inode) ?? 0) + 1);
    this.#openCount++;
    return () => {
      this.#openCount = Math.max(0, this.#openCount - 1);
      const at = isWritable ? this.#written.indexOf(inode) : -1;
      if (at >= 0) this.#written.splice(at, 1);
      const left = (this.#open.get(inode) ?? 1) - 1;
      if (left > 0) this.#open.set(inode, left);
      else this.#open.delete(inode);
      this.#machine.sweep();
    };
  }

  isOpen(inode: number): boolean {
    return this.#open.has(inode);
  }

  get openCount(): number {
    return this.#openCount;
  }

  get handles(): ReadonlyMap<number, number> {
    return this.#open;
  }

  get written(): readonly number[] {
    return this.#written;
  }

  get timers(): number {
    return this.#timers;
  }

  get holds(): number {
    return this.#holds;
  }

  #hold(): () => void {
    let isHolding = true;
    this.#holds++;
    return () => {
      if (isHolding) this.#holds--;
      isHolding = false;
    };
  }

  #after(delayUs: number, action: () => void, isWanted: () => boolean): () => void {
    if (!this.#alive) return () => undefined;
    let isPending = true;
    const settle = (): void => {
      if (isPending) this.#timers--;
      isPending = false;
    };
    this.#timers++;
    const fire = (): void => {
      settle();
      action();
    };
    const cancel = this.#machine.scheduler.at(delayUs, fire, { kind: 'timer', isWanted });
    return () => {
      settle();
      cancel();
    };
  }

  #makeHost(epochMs: number): Host {
    const { scheduler, prng } = this.#machine;
    // A sequence of its own: how much of it the program draws does not change what the disk does.
    const random = new Prng(prng.next());
    const isWanted = (): boolean => this.#alive;
    return {
      now: () => epochMs + Math.floor(scheduler.nowUs / 1000),
      elapsed: () => scheduler.nowUs / 1000,
      after: (ms, action) => this.#after(Math.max(0, ms) * 1000, action, isWanted),
      hold: () => this.#hold(),
      soon: (action) => {
        const unlessKilled = (): void => {
          if (this.#alive) action();
        };
        if (this.#alive) scheduler.soon(unlessKilled);
      },
      yield: () =>
        new Promise((resolve) => {
          if (this.#alive) scheduler.at(1, resolve, { isWanted });
        }),
      random: (target) => random.fill(target),
      // Nothing of the real one: one seed is one history, byte for byte. Each on a machine of its own, so that nobody asks the system for it.
      holder: () => ({ pid: this.id, host: `simulated-${this.id}`, bootId: '', script: '' }),
    };
  }
}
