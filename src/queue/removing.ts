/**
 * The calls that take records out of a queue, over claims and rounds of removals.
 *
 * Each answer that says "it is gone" (true, a count, but also false, 0 and "no such record") resolves when that is durable in the mode in force (P2):
 * what somebody else is removing is waited for, and where the store stops meanwhile nothing is said to be gone (P7). A removal of a record that is claimed waits for the claim's outcome, and removes it if it is given
 * back. Each of these calls waits for the claims that are there at the call and for at most two rounds, whatever others do meanwhile (P14).
 */
import type { FailStop } from '../fail-stop.js';
import type { LogSegment } from '../log/log-segment.js';
import type { SegmentLog } from '../log/segment-log.js';
import type { Host } from '../vfs/host.js';
import { Claim, type Claims } from './claims.js';
import type { RemovalPipeline } from './removal-pipeline.js';

/** From so many IDs on, a call lets others have their turn between its steps. */
export const MANY_IDS = 65_536;

const NOT_REMOVED: Promise<boolean> = Promise.resolve(false);

export interface RemovingOptions {
  readonly host: Host;
  readonly log: SegmentLog;
  readonly failStop: FailStop;
  readonly claims: Claims;
  readonly rounds: RemovalPipeline;
  /**
   * A round names what it removes and nothing else: where rounds resolve before they are durable, a power cut may take one and leave a later one,
   * which must not then remove a part of it.
   */
  readonly exactly: boolean;
}

export class Removing {
  readonly #options: RemovingOptions;
  /** Owed removals that a call is trying again: of two such calls one is told that it removed the record. */
  readonly #retried = new Set<number>();
  /** Moved, and their tombstones are not written: whoever tries them again has removed nothing. */
  readonly #moved = new Set<number>();
  /** Calls that wait for a claim, or for what they need before they can take one. None of these rejects. */
  readonly #waiting = new Set<Promise<unknown>>();

  constructor(options: RemovingOptions) {
    this.#options = options;
  }

  /** Resolves with whether it was this call that removed it. */
  remove(id: number): Promise<boolean> {
    const { failStop, log, claims, rounds } = this.#options;
    if (failStop.error !== undefined) return Promise.reject(failStop.error);
    const segment = log.find(id);
    if (segment === undefined) return NOT_REMOVED;
    if (log.killIn(segment, id)) {
      segment.hold(1);
      return rounds.submitOne(id, segment);
    }
    const claim = claims.at(id);
    if (claim !== undefined) return this.waiting(claim.outcome.then(() => this.remove(id)));
    return this.#settle(segment, id);
  }

  /** What is not live any more: waits until that is for good. True if this call brought a removal to disk that had been rejected before. */
  async #settle(segment: LogSegment, id: number): Promise<boolean> {
    const { rounds } = this.#options;
    await this.settled(segment);
    this.throwIfFailed();
    if (!rounds.owes(id)) return false;
    const isMine = !this.#retried.has(id) && !this.#moved.has(id);
    if (isMine) this.#retried.add(id);
    try {
      await rounds.join();
      return isMine;
    } finally {
      if (isMine) this.#retried.delete(id);
    }
  }

  /** Passes a promise on. Until it settles `claimsOver` waits for it. */
  waiting<T>(call: Promise<T>): Promise<T> {
    const over = call.then(
      () => undefined,
      () => undefined,
    );
    this.#waiting.add(over);
    void over.then(() => this.#waiting.delete(over));
    return call;
  }

  /**
   * Resolves when the claims that there are at the call have ended, and what waited for them by then has asked for its removal, or is over. What comes
   * later is not waited for (P14).
   */
  async claimsOver(): Promise<void> {
    const waiting = [...this.#waiting];
    for (const claim of this.#options.claims.all()) await claim.outcome;
    for (const one of waiting) await one;
  }

  /** Removes all of `ids` that are live, in one atomic round; how many there were. */
  async removeMany(ids: ArrayLike<number>): Promise<number> {
    const { failStop, host, claims, rounds } = this.#options;
    failStop.throwIfFailed();
    const many = ids.length >= MANY_IDS;
    // In ascending order each bitmap is walked once, and the ranges come out merged.
    const sorted = Float64Array.from(ids);
    if (many) await host.yield();
    if (!isAscending(sorted)) sorted.sort();
    if (many) await host.yield();
    const first = sorted[0];
    const last = sorted.at(-1);
    if (first === undefined || last === undefined) return 0;
    // In one stretch: who finds them dead waits for the rounds that there are.
    const take = (): Taken => {
      failStop.throwIfFailed();
      const { removed, runs, touched, isHeld } = this.#kill(sorted);
      return taken(removed, isHeld, () => rounds.submitRuns(runs, touched));
    };
    const isNamed = (id: number): boolean => sorted[lowerBound(sorted, id)] === id;
    const waits = claims.within(first, last).some(({ id }) => isNamed(id));
    const { removed, isHeld, written } = waits
      ? await this.waiting(claims.whenFree(first, last, isNamed, take))
      : take();
    if (written !== undefined) {
      // What others are removing goes with this one or the one before.
      await written;
    } else if (isHeld) {
      await rounds.written();
      failStop.throwIfFailed();
      if (sorted.some((id) => rounds.owes(id))) await rounds.join();
    }
    return removed;
  }

  /** Removes all live records up to `id`; how many there were. */
  async removeThrough(id: number): Promise<number> {
    const { failStop, log, claims, rounds, exactly } = this.#options;
    failStop.throwIfFailed();
    // What comes later is not meant.
    const last = Math.min(id, log.lastVisibleId);
    const take = (): Taken => {
      failStop.throwIfFailed();
      const touched = new Map<LogSegment, number>();
      const first = log.firstLive(0);
      if (first === undefined || first > last) return { removed: 0, isHeld: last > 0, written: undefined };
      const ranges = exactly ? log.liveRanges(first, last) : [{ first, last }];
      const removed = log.killRange(first, last, (segment, killed) => {
        segment.hold(killed);
        touched.set(segment, killed);
      });
      return taken(removed, true, () => rounds.submit(ranges, touched));
    };
    const waits = claims.touches(0, last);
    const { removed, isHeld, written } = waits
      ? await this.waiting(claims.whenFree(0, last, () => true, take))
      : take();
    if (written !== undefined) {
      await written;
    } else if (isHeld) {
      await rounds.written();
      failStop.throwIfFailed();
      if (rounds.owesUpTo(last)) await rounds.join();
    }
    return removed;
  }

  /** Throws once the store has stopped: what is claimed then is hidden for nothing. */
  throwIfFailed(): void {
    this.#options.failStop.throwIfFailed();
  }

  /** Takes a live record; `undefined` where there is none, and then it is gone for good: its removal is durable. */
  async claim(id: number): Promise<Claim | undefined> {
    const { failStop, log, claims } = this.#options;
    failStop.throwIfFailed();
    // Nearly always it is free: tens of thousands asked for together are then spared a promise each.
    const free = claims.takeIfFree(id);
    if (free instanceof Claim) return free;
    const claim = await this.claimIfLive(id);
    if (claim === undefined) await this.#gone(log.find(id), id);
    return claim;
  }

  /** The same; but `undefined` says only that it is not live: its removal may be under way, or owed. */
  async claimIfLive(id: number): Promise<Claim | undefined> {
    const { failStop, claims } = this.#options;
    const taking = claims.take(id);
    // Who waits for this wants to know what becomes of the record.
    void this.waiting(taking.then((taken) => taken?.outcome)).catch(() => undefined);
    const claim = await taking;
    if (failStop.error === undefined) return claim;
    claim?.end('given back');
    throw failStop.error;
  }

  /** Makes a claim final: resolves when the removal is durable. Where it cannot be written this rejects, and the record is live again. */
  async removeClaimed(claim: Claim): Promise<void> {
    await this.#options.rounds.submitClaim(claim);
  }

  /**
   * The record of a claim lives elsewhere from now on: its removal is past recall. Where it cannot be written this rejects, and the removal is owed.
   */
  async removeMoved(claim: Claim): Promise<void> {
    const { log, rounds } = this.#options;
    const segment = log.find(claim.id);
    if (segment === undefined) return;
    // The hold of the claim goes over to the removal.
    segment.hold(1);
    claim.end('removed');
    this.#moved.add(claim.id);
    try {
      await rounds.submitOne(claim.id, segment);
    } finally {
      rounds.whenNothingOwed(() => this.#moved.delete(claim.id));
    }
  }

  /** Resolves when no removal is under way that may be that of a record of this segment. What is owed stays so. */
  async settled(segment: LogSegment | undefined): Promise<void> {
    if (segment !== undefined && segment.pendingRemovals > 0) await this.#options.rounds.written();
  }

  /** The same, and what is owed of this record is tried again: rejects if it cannot be written. */
  async #gone(segment: LogSegment | undefined, id: number): Promise<void> {
    const { rounds } = this.#options;
    await this.settled(segment);
    this.throwIfFailed();
    // One that was moved is gone for good, whenever its tombstone is written: the copy is durable, and says so.
    if (rounds.owes(id) && !this.#moved.has(id)) await rounds.join();
  }

  /** Synchronous. */
  #kill(sorted: Float64Array): Killed {
    const { log } = this.#options;
    const runs: number[] = [];
    const touched = new Map<LogSegment, number>();
    let removed = 0;
    let first = -1;
    let last = -2;
    let segment: LogSegment | undefined;
    let killed = 0;
    let isHeld = false;
    const leave = (): void => {
      if (segment === undefined || killed === 0) return;
      segment.hold(killed);
      touched.set(segment, (touched.get(segment) ?? 0) + killed);
      removed += killed;
      killed = 0;
    };
    for (let i = 0; i < sorted.length; i++) {
      const id = sorted[i] ?? 0;
      if (segment === undefined || id > segment.lastId || id < segment.firstId) {
        leave();
        segment = log.find(id);
      }
      if (segment === undefined) continue;
      if (!log.killIn(segment, id)) {
        isHeld ||= segment.pendingRemovals > 0;
        continue;
      }
      killed++;
      if (id !== last + 1) {
        if (first >= 0) runs.push(first, last);
        first = id;
      }
      last = id;
    }
    leave();
    if (first >= 0) runs.push(first, last);
    return { removed, runs, touched, isHeld };
  }
}

interface Killed {
  readonly removed: number;
  /** First and last of each, ascending. An object for each of half a million would hold the loop longer than killing them. */
  readonly runs: readonly number[];
  readonly touched: ReadonlyMap<LogSegment, number>;
  /** Some of what was named and not live may be on its way out. */
  readonly isHeld: boolean;
}

/** What a call has taken out, and its round. */
interface Taken extends Pick<Killed, 'removed' | 'isHeld'> {
  /** Undefined where it is none. */
  readonly written: Promise<unknown> | undefined;
}

function taken(removed: number, isHeld: boolean, submit: () => Promise<unknown>): Taken {
  const written = removed > 0 ? submit() : undefined;
  // Whoever gets this awaits it, some turns of the microtasks later.
  written?.catch(() => undefined);
  return { removed, isHeld, written };
}

/** Mostly IDs come as they were read, and of a million that are in order sorting costs ten times as much as to see it. */
function isAscending(ids: Float64Array): boolean {
  for (let i = 1; i < ids.length; i++) if ((ids[i] ?? 0) < (ids[i - 1] ?? 0)) return false;
  return true;
}

function lowerBound(sorted: Float64Array, id: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0) < id) low = middle + 1;
    else high = middle;
  }
  return low;
}
