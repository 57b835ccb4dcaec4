/**
 * Simulated time, and the order in which things happen in it. Everything that happens later is an event with a due time; the next
 * one is the earliest, and the clock jumps to it. Real time has no part in it.
 *
 * An event fires only when the program has nothing left to do: after all microtasks and all `soon` actions. The driver gets there by
 * asking for a tick from within a microtask (Node runs ticks when the microtask queue is empty), which is a tenth of the price
 * of a turn of the event loop; now and then, and before a timer where only timers are left, it takes such a turn, so that a program that
 * never stops does not block the process. Events of which no program hears follow each other without either.
 */
import { inTurn, soon } from '../vfs/own-timers.js';

/** Something that is to happen. The scheduler keeps the first three; one object may be due again and again, but only once at a time. */
export interface SimEvent {
  dueUs: number;
  order: number;
  isPending: boolean;
  readonly kind: 'io' | 'timer';
  /** The inode concerned, where it matters (`hasten`). */
  readonly inode: number | undefined;
  /** Asked when the event is due: what nobody wants (its process died) does not move the clock. */
  isWanted(): boolean;
  /** True: no program can have heard of it, so there is nothing that the next event has to wait for. */
  happen(): boolean;
}

export interface EventOptions {
  readonly kind?: 'io' | 'timer';
  readonly isWanted: () => boolean;
}

const TICKS_A_TURN = 64;
/** The first turn comes sooner: where many short runs follow each other, everybody else has turns, too. */
const TICKS_FIRST = 8;
const NOW = Promise.resolve();

export class SimScheduler {
  #nowUs: number;
  #order = 0;
  #armed = false;
  #ticks: number = TICKS_A_TURN - TICKS_FIRST;

  #ioPending = 0;
  /** Latest first, so that the next one is popped from the end. */
  readonly #events: SimEvent[] = [];
  #soon: (() => void)[] = [];
  readonly #go = (): void => this.#turn(false);
  readonly #goFromLoop = (): void => this.#turn(true);
  readonly #goSoon = (): void => soon(this.#go);

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
  at(delayUs: number, action: () => void, { kind = 'io', isWanted }: EventOptions): () => void {
    const happen = (): boolean => {
      action();
      return false;
    };
    const event: SimEvent = { dueUs: 0, order: 0, isPending: false, kind, inode: undefined, isWanted, happen };
    this.add(delayUs, event);
    return () => this.#cancel(event);
  }

  /** `event` happens in `delayUs`. */
  add(delayUs: number, event: SimEvent): void {
    event.dueUs = this.#nowUs + delayUs;
    event.order = ++this.#order;
    event.isPending = true;
    const events = this.#events;
    // A new event has the highest order: among equals it comes last. There are few, and most are due before those that wait.
    let at = events.length;
    events.push(event);
    for (; at > 0; at--) {
      const other = events[at - 1];
      if (other === undefined || other.dueUs > event.dueUs) break;
      events[at] = other;
    }
    events[at] = event;
    if (event.kind === 'io') this.#ioPending++;
    this.#arm();
  }

  soon(action: () => void): void {
    this.#soon.push(action);
    this.#arm();
  }

  /** Lets events of `inode` happen right now where `picks` says so, in their order. */
  hasten(inode: number, picks: () => boolean): void {
    const concerned = this.#events.filter((event) => event.inode === inode).reverse();
    for (const event of concerned) {
      if (!event.isPending || !event.isWanted() || !picks()) continue;
      this.#withdraw(event);
      event.happen();
    }
  }

  /** It stays in the list until it would be due, unless it is to be added again. */
  #cancel(event: SimEvent): void {
    if (!event.isPending) return;
    event.isPending = false;
    if (event.kind === 'io') this.#ioPending--;
  }

  #withdraw(event: SimEvent): void {
    this.#cancel(event);
    this.#events.splice(this.#events.indexOf(event), 1);
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    if (++this.#ticks % TICKS_A_TURN === 0) inTurn(this.#goFromLoop);
    else void NOW.then(this.#goSoon);
  }

  #turn(isTurnOfLoop: boolean): void {
    let isWaiting = false;
    try {
      if (this.#soon.length > 0) {
        const actions = this.#soon;
        this.#soon = [];
        for (const action of actions) action();
        return;
      }
      for (;;) {
        const event = this.#events.at(-1);
        if (event === undefined) return;
        if (event.isPending && event.kind === 'timer' && this.#ioPending === 0 && !isTurnOfLoop) {
          isWaiting = true;
          inTurn(this.#goFromLoop);
          return;
        }
        this.#events.pop();
        if (!event.isPending) continue;
        this.#cancel(event);
        if (!event.isWanted()) continue;
        this.#nowUs = Math.max(this.#nowUs, event.dueUs);
        if (!event.happen()) return;
      }
    } finally {
      this.#armed = isWaiting;
      if (this.#soon.length > 0 || this.#events.length > 0) this.#arm();
    }
  }
}
