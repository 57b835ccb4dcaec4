/**
 * How many handlers of a delivery may begin now: by its concurrency, its rate, the breaker, and whoever said that it is not the time.
 */
import { Breaker, type BreakerState } from './breaker.js';
import { randomOf } from './chance.js';
import type { Addressing } from './delivery-context.js';
import type { DeliveryParts } from './delivery-parts.js';
import { tellBreaker } from './delivery-trace.js';
import { TokenBucket } from './token-bucket.js';

/** Whose fault a failure was taken for. */
export interface Blame {
  /** It costs the record an attempt. */
  readonly counts: boolean;
  /** This failure opened the breaker: these records get back so many attempts, this one's among them. */
  readonly forgiven: ReadonlyMap<number, number> | undefined;
}

export class Pace {
  readonly #parts: DeliveryParts;
  readonly #lookAgain: (inMs: number) => void;
  readonly #breaker: Breaker | undefined;
  readonly #bucket: TokenBucket | undefined;
  #pausedUntil = -Infinity;
  /** Failures in a row for which nobody is to blame. */
  #downStreak = 0;

  /** `lookAgain`: there may be room by then. */
  constructor(parts: DeliveryParts, address: Addressing, lookAgain: (inMs: number) => void) {
    const { source, options } = parts;
    this.#parts = parts;
    this.#lookAgain = lookAgain;
    this.#bucket = options.rate === undefined ? undefined : new TokenBucket(options.rate, source.host.elapsed());
    const told = (breaker: Breaker): void => tellBreaker(address, source.host, breaker);
    this.#breaker =
      options.breaker === undefined ? undefined : new Breaker(options.breaker, () => randomOf(source.host), told);
  }

  get breaker(): BreakerState['kind'] {
    return this.#breaker?.state.kind ?? 'closed';
  }

  /**
   * Failures in a row for which nobody is to blame, of which there was at least one: by that a record waits that has met them. Where a breaker says when the
   * next is tried, the first counts alone: a record that waited longer would still wait when the destination is back.
   */
  get downStreak(): number {
    return this.#breaker === undefined ? Math.max(1, this.#downStreak) : 1;
  }

  begin(startsDoubtful: boolean, startDelayMs: number): void {
    if (startsDoubtful) this.#breaker?.doubt();
    this.pauseFor(startDelayMs);
  }

  pauseFor(ms: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#parts.source.host.elapsed() + ms);
  }

  /** Jobs that may begin beside so many; where that is none for a time, it is looked again when the time is over. */
  room(busy: number): number {
    const { source, options } = this.#parts;
    const now = source.host.elapsed();
    if (now < this.#pausedUntil) return this.#waitFor(this.#pausedUntil - now);
    let room = options.concurrency - busy;
    if (this.#breaker !== undefined) {
      const wait = this.#breaker.waitMs(now);
      if (wait > 0) return this.#waitFor(wait);
      const { state } = this.#breaker;
      if (state.kind === 'half-open') {
        if (state.probing) return 0;
        if (options.breaker?.probe !== undefined) {
          void this.#probe(this.#breaker, options.breaker.probe);
          return 0;
        }
      }
      // A probe waits for nobody: who is still at it began before.
      room = state.kind === 'half-open' ? 1 : Math.min(room, this.#breaker.concurrencyMax - busy);
    }
    if (room > 0 && this.#bucket !== undefined && this.#bucket.available(now) < 1) {
      return this.#waitFor(this.#bucket.waitMs(now));
    }
    return Math.max(0, room);
  }

  /** Records that the rate allows now. */
  get tokens(): number {
    return this.#bucket?.available(this.#parts.source.host.elapsed()) ?? Infinity;
  }

  took(records: number): void {
    this.#bucket?.take(records);
  }

  /** Handlers are to begin: the probe, if it is half open. */
  began(): void {
    if (this.#breaker?.state.kind === 'half-open') this.#breaker.beginProbe();
  }

  /** The destination took something. */
  arrived(): void {
    this.#downStreak = 0;
    if (this.#breaker?.succeeded() === true) this.#parts.noteStreak(0);
  }

  /** What was tried ended without a word on the destination. */
  saidNothing(): void {
    this.#breaker?.endProbe();
  }

  failed(id: number, isUnavailable: boolean): Blame {
    const breaker = this.#breaker;
    // The only one that can be tried: if it is its fault, it must be found out.
    const isOnlyProbe = this.#parts.options.order === 'fifo' && breaker?.state.kind === 'half-open';
    const counted = !isUnavailable && (breaker === undefined || breaker.blamesRecords || isOnlyProbe);
    const forgiven = breaker?.failed(id, isUnavailable, counted, this.#parts.source.host.elapsed());
    if (breaker !== undefined) this.#parts.noteStreak(breaker.streak);
    const counts = counted && forgiven === undefined;
    if (!counts) this.#downStreak++;
    return { counts, forgiven };
  }

  #waitFor(ms: number): 0 {
    this.#lookAgain(ms);
    return 0;
  }

  async #probe(breaker: Breaker, probe: () => Promise<void>): Promise<void> {
    breaker.beginProbe();
    try {
      await probe();
      breaker.succeeded();
      this.#downStreak = 0;
    } catch {
      breaker.failed(0, true, false, this.#parts.source.host.elapsed());
    }
    this.#parts.noteStreak(breaker.streak);
    this.#lookAgain(0);
  }
}
