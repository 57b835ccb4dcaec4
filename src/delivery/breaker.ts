/**
 * Stands between the queue and a destination that is down: nothing is delivered, nobody's attempts are spent, and now and then one delivery is tried.
 *
 *     closed --(failures in a row)--> open --(after a while)--> half-open --(success)--> closed
 *                                      ^---------------(failure: twice as long)----|
 *
 * Failures in a row are counted by records: one record that fails time after time opens nothing, it is that record. Where the failure says itself that
 * the destination is not there ('unavailable') each counts. A success ends the row. After an outage deliveries come back one, two, four … at a time.
 *
 * Pure: the time comes from the caller, by a clock that never goes back.
 */
import { assert } from '../assert.js';

export interface BreakerOptions {
  /** So many failures in a row open it. Default 5. */
  readonly failures?: number;
  /** How long it stays open at first, in ms; twice as long after each failed probe. Default 1000. */
  readonly openMs?: number;
  /** At most, in ms. Default 60 000. */
  readonly maxOpenMs?: number;
  /** Asks the destination whether it is there, in place of a delivery that is tried. Rejects if it is not. */
  readonly probe?: () => Promise<void>;
}

export type BreakerState =
  | { readonly kind: 'closed' }
  | { readonly kind: 'open'; readonly untilMs: number }
  | { readonly kind: 'half-open'; readonly probing: boolean };

/** Never less of the open time than this share: full jitter alone may be no time at all. */
const OPEN_SHARE_MIN = 0.1;

export class Breaker {
  readonly #failuresMax: number;
  readonly #openMs: number;
  readonly #maxOpenMs: number;
  readonly #random: () => number;
  readonly #onChange: (breaker: Breaker) => void;
  #state: BreakerState = { kind: 'closed' };
  /** Of the row of failures: records whose attempts it has cost, with how many. */
  readonly #row = new Map<number, number>();
  #unavailable = 0;
  /** How often it opened since it was last closed for good. */
  #streak = 0;
  /** How many may be delivered at a time, while it comes back. */
  #ramp = Infinity;

  /** `onChange`: called when it opens, closes, or lets one be tried. */
  constructor(
    options: Omit<Required<BreakerOptions>, 'probe'>,
    random: () => number,
    onChange: (breaker: Breaker) => void = () => undefined,
  ) {
    this.#onChange = onChange;
    this.#failuresMax = options.failures;
    this.#openMs = options.openMs;
    this.#maxOpenMs = options.maxOpenMs;
    this.#random = random;
  }

  /** It was down when it was last heard of: one delivery is tried first. */
  doubt(): void {
    this.#streak = Math.max(1, this.#streak);
    this.#become({ kind: 'half-open', probing: false });
  }

  /** How often in a row it was found down; 0: it was not. */
  get streak(): number {
    return this.#streak;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** How many deliveries may be under way. */
  get concurrencyMax(): number {
    if (this.#state.kind === 'closed') return this.#ramp;
    return this.#state.kind === 'half-open' ? 1 : 0;
  }

  /** Whether failures count for a record's attempts. */
  get blamesRecords(): boolean {
    return this.#state.kind === 'closed';
  }

  /** Until the next delivery may be tried; 0 if it may be now. */
  waitMs(nowMs: number): number {
    if (this.#state.kind !== 'open') return 0;
    if (nowMs < this.#state.untilMs) return Math.ceil(this.#state.untilMs - nowMs);
    this.#become({ kind: 'half-open', probing: false });
    return 0;
  }

  /** A delivery, or the probe, begins while it is half open. */
  beginProbe(): void {
    assert(this.#state.kind === 'half-open' && !this.#state.probing, 'one probe at a time');
    this.#state = { kind: 'half-open', probing: true };
  }

  /** What was tried ended without a word on the destination: it may be tried again. */
  endProbe(): void {
    if (this.#state.kind === 'half-open') this.#state = { kind: 'half-open', probing: false };
  }

  /** True if this closed it. */
  succeeded(): boolean {
    if (this.#row.size > 0) this.#row.clear();
    this.#unavailable = 0;
    const wasClosed = this.#state.kind === 'closed';
    this.#streak = 0;
    if (wasClosed) {
      this.#ramp *= 2;
      if (this.#ramp > 4096) this.#ramp = Infinity;
    } else {
      this.#ramp = 1;
      this.#become({ kind: 'closed' });
    }
    return !wasClosed;
  }

  /**
   * `counted`: whether it has cost the record an attempt. Returns those records, if this opened it, that get their attempts of the row back, with how
   * many.
   */
  failed(id: number, isUnavailable: boolean, counted: boolean, nowMs: number): ReadonlyMap<number, number> | undefined {
    if (this.#state.kind === 'half-open') {
      this.#open(nowMs);
      return undefined;
    }
    if (this.#state.kind === 'open') return undefined;
    if (isUnavailable) this.#unavailable++;
    else this.#row.set(id, (this.#row.get(id) ?? 0) + (counted ? 1 : 0));
    if (this.#row.size + this.#unavailable < this.#failuresMax) return undefined;
    const row = new Map(this.#row);
    this.#row.clear();
    this.#unavailable = 0;
    this.#open(nowMs);
    return row;
  }

  #open(nowMs: number): void {
    const full = Math.min(this.#maxOpenMs, this.#openMs * 2 ** Math.min(this.#streak, 30));
    this.#streak++;
    this.#ramp = 1;
    this.#become({ kind: 'open', untilMs: nowMs + full * Math.max(OPEN_SHARE_MIN, this.#random()) });
  }

  #become(state: BreakerState): void {
    this.#state = state;
    this.#onChange(this);
  }
}
