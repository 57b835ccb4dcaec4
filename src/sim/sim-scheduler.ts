/**
 * Simulated time, and the order in which things happen in it. Everything that happens later is an event with a due time; the next
 * one is the earliest, and the clock jumps to it. Real time has no part in it.
 *
 * An event fires only when the program has nothing left to do: after all microtasks and all `soon` actions. The driver gets there by
 * asking for a tick from within a microtask (Node runs ticks when the microtask queue is empty), which is a tenth of the price
 * of a turn of the event loop; now and then, and whenever only timers are left, it takes such a turn, so that a program that never
 * stops does not block the process.
 */
import { inTurn, soon } from '../vfs/own-timers.js';

interface SimEvent {
  readonly dueUs: number;
  readonly order: number;
  readonly action: () => void;
  readonly kind: 'io' | 'timer';
  /** The inode concerned, where it matters (`hasten`). */
  readonly inode: number | undefined;
  readonly isWanted: () => boolean;
  cancelled: boolean;
}

export interface EventOptions {
  readonly kind?: 'io' | 'timer';
  readonly inode?: number | undefined;
  /** Asked when the event is due: what nobody wants (its process died) does not move the clock. */
  readonly isWanted: () => boolean;
}

const TICKS_A_TURN = 256;

export class SimScheduler {
  #nowUs: number;
  #order = 0;
  #armed = false;
  #ticks = 0;
  #ioPending = 0;
  /** Latest first, so that the next one is popped from the end. */
  readonly #events: SimEvent[] = [];
  #soon: (() => void)[] = [];

  constructor(nowUs: number) {
    this.#nowUs = nowUs;
  }

  get nowUs(): number {
    return this.#nowUs;
  }

  /** Something other than timers is to come: calls of the port under way, turns and `soon` actions. */
  get isBusy(): boolean {
    return this.#ioPending > 0 || this.#soon.length > 0;
  }

  /** Time that passes within a blocking call. */
  spend(us: number): void {
    this.#nowUs += us;
  }

  /** Calls `action` in `delayUs`. The result cancels it. */
  at(delayUs: number, action: () => void, options: EventOptions): () => void {
    const event: SimEvent = {
      dueUs: this.#nowUs + delayUs,
      order: ++this.#order,
      action,
      kind: options.kind ?? 'io',
      inode: options.inode,
      isWanted: options.isWanted,
      cancelled: false,
    };
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      // A new event has the highest order: among equals it comes last.
      if ((this.#events[middle]?.dueUs ?? 0) > event.dueUs) low = middle + 1;
      else high = middle;
    }
    this.#events.splice(low, 0, event);
    if (event.kind === 'io') this.#ioPending++;
    this.#arm();
    return () => this.#cancel(event);
  }

  soon(action: () => void): void {
    this.#soon.push(action);
    this.#arm();
  }

  /** Lets events of `inode` happen right now where `picks` says so, in their order. */
  hasten(inode: number, picks: () => boolean): void {
    const concerned = this.#events.filter((event) => event.inode === inode).reverse();
    for (const event of concerned) {
      if (event.cancelled || !event.isWanted() || !picks()) continue;
      this.#cancel(event);
      event.action();
    }
  }

  #cancel(event: SimEvent): void {
    if (event.cancelled) return;
    event.cancelled = true;
    if (event.kind === 'io') this.#ioPending--;
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    const idle = this.#soon.length === 0 && this.#ioPending === 0;
    if (idle || ++this.#ticks % TICKS_A_TURN === 0) inTurn(() => this.#turn());
    else void Promise.resolve().then(() => soon(() => this.#turn()));
  }

  #turn(): void {
    this.#armed = false;
    try {
      if (this.#soon.length > 0) {
        const actions = this.#soon;
        this.#soon = [];
        for (const action of actions) action();
        return;
      }
      for (;;) {
        const event = this.#events.pop();
        if (event === undefined) return;
        if (event.cancelled) continue;
        this.#cancel(event);
        if (!event.isWanted()) continue;
        this.#nowUs = Math.max(this.#nowUs, event.dueUs);
        event.action();
        return;
      }
    } finally {
      if (this.#soon.length > 0 || this.#events.length > 0) this.#arm();
    }
  }
}
