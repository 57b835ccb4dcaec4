/**
 * Records that a pop or a move has taken and may still give back.
 *
 * A claimed record is dead to readers, live to GC (its segment is held), and in no snapshot of the tombstone log. A claim ends once, with an
 * outcome that others wait for: a read for an exact answer, a second pop, a removal of the same record.
 *
 * Invariants
 * - One claim a record. Its record is dead in the live set and holds its segment by one, until the claim ends.
 * - A claim ends in the same synchronous stretch in which its tombstone became durable: no snapshot may fall in between.
 * - A lease may have no end: a handler may do what it likes. So waits for one are refused when the queue closes, and by nothing else.
 * - Whoever removes a range first waits for the claims that are in it at the call, behind a barrier that keeps new ones out: so it waits for
 *   those alone, and what it removes is removed in one step.
 */
// Under this name everybody unwraps the package alike (see `position-index.ts`).
import { BTreeEx } from 'sorted-btree/extended/index.js';
import { assert } from '../assert.js';
import type { LogSegment } from '../log/log-segment.js';
import type { SegmentLog } from '../log/segment-log.js';

/**
 * removed: by a durable tombstone, or moved to where it is durable. given back: it is live again, as if nothing had been. unknown: the store has
 * stopped; the next open shows what is so.
 */
export type ClaimOutcome = 'removed' | 'given back' | 'unknown';

export class Claim {
  readonly id: number;
  /** Where it was when it was taken. */
  readonly segment: LogSegment;
  readonly #ended: (claim: Claim, outcome: ClaimOutcome) => void;
  #ending: ClaimOutcome | undefined;
  /** Made when somebody waits: of tens of thousands of claims hardly one is waited for. */
  #outcome: Promise<ClaimOutcome> | undefined;
  #tell: ((outcome: ClaimOutcome) => void) | undefined;

  constructor(id: number, segment: LogSegment, ended: (claim: Claim, outcome: ClaimOutcome) => void) {
    this.id = id;
    this.segment = segment;
    this.#ended = ended;
  }

  get outcome(): Promise<ClaimOutcome> {
    this.#outcome ??=
      this.#ending === undefined
        ? new Promise((resolve) => {
            this.#tell = resolve;
          })
        : Promise.resolve(this.#ending);
    return this.#outcome;
  }

  /** Ends it, once. Synchronous: the record is as the outcome says when this returns. */
  end(outcome: ClaimOutcome): void {
    this.#ended(this, outcome);
    this.#ending = outcome;
    this.#tell?.(outcome);
  }
}

/** A delivery has it: it stays live for readers and for removals, but nobody else pops or moves it. */
interface Lease {
  readonly ended: Promise<void>;
  readonly end: () => void;
}

interface Barrier {
  readonly first: number;
  readonly last: number;
  readonly isConcerned: (id: number) => boolean;
  readonly lifted: Promise<void>;
}

export interface ClaimsOptions {
  readonly log: SegmentLog;
  /** A claim on a record of `segment` ended. */
  readonly onEnded: (segment: LogSegment, outcome: ClaimOutcome) => void;
  /** A record is free again: its lease has ended, or it was given back. */
  readonly onFreed: (id: number) => void;
  /** Whether the call under way is made by the handler that has this record: it may claim it, and must not wait for itself. */
  readonly ownsLease: (id: number) => boolean;
}

export class Claims {
  readonly #options: ClaimsOptions;
  readonly #claims: BTreeEx<number, Claim> = new BTreeEx<number, Claim>(undefined, (a, b) => a - b);
  readonly #barriers = new Set<Barrier>();
  /** With what waits for its end, if anybody does. */
  readonly #leases = new Map<number, Lease | undefined>();
  /** Of whoever waits for the end of a lease. */
  readonly #refusals = new Set<(reason: Error) => void>();
  #refusal: (() => Error) | undefined;
  readonly #onEnd = (claim: Claim, outcome: ClaimOutcome): void => this.#ended(claim, outcome);

  constructor(options: ClaimsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#claims.size;
  }

  at(id: number): Claim | undefined {
    return this.#claims.size === 0 ? undefined : this.#claims.get(id);
  }

  /** The lowest claimed ID from `from` on. */
  nextClaimed(from: number): number | undefined {
    if (this.#claims.size === 0) return undefined;
    return this.#claims.has(from) ? from : this.#claims.nextHigherKey(from);
  }

  /** The claims from `first` to `last`, in ID order, as they are now. */
  within(first: number, last: number): Claim[] {
    const claims: Claim[] = [];
    if (this.#claims.size === 0) return claims;
    this.#claims.forRange(first, last, true, (_id, claim) => {
      claims.push(claim);
    });
    return claims;
  }

  /** All that are there now. */
  all(): Claim[] {
    return [...this.#claims.values()];
  }

  /**
   * Takes a live record: nobody else gets it until the claim ends. Waits for a claim that is there already, and for a lease, while that may be waited
   * for. `undefined`: the record is not live; its removal may still be under way.
   */
  async take(id: number): Promise<Claim | undefined> {
    for (;;) {
      const barrier = this.#barrierOver(id);
      if (barrier !== undefined) {
        await barrier.lifted;
        continue;
      }
      const other = this.at(id);
      if (other !== undefined) {
        await other.outcome;
        continue;
      }
      if (this.#isLeasedToOther(id)) {
        await this.#waitForLease(id);
        continue;
      }
      return this.#takeNow(id);
    }
  }

  /**
   * The same without waiting, for those who hold other claims: if they waited, two could wait for each other. 'busy': somebody else has it, or is
   * about to remove it.
   */
  takeIfFree(id: number): Claim | 'gone' | 'busy' {
    if (this.#barrierOver(id) !== undefined || this.at(id) !== undefined || this.#isLeasedToOther(id)) return 'busy';
    return this.#takeNow(id) ?? 'gone';
  }

  /** Nobody else claims the record until `endLease`. Synchronous; it is live and not claimed. */
  lease(id: number): void {
    assert(!this.#leases.has(id), 'a record is leased once at a time');
    this.#leases.set(id, undefined);
  }

  /** The records that are leased, each with its lease's end. */
  leases(): Map<number, Promise<void>> {
    const ends = new Map<number, Promise<void>>();
    for (const id of this.#leases.keys()) ends.set(id, this.#leaseEnd(id));
    return ends;
  }

  endLease(id: number): void {
    const lease = this.#leases.get(id);
    assert(this.#leases.delete(id), 'a lease ends once');
    lease?.end();
    this.#options.onFreed(id);
  }

  /** From now on nobody waits for the end of a lease, which may be never; who does rejects with this. */
  refuseWaits(reason: () => Error): void {
    this.#refusal ??= reason;
    for (const refuse of this.#refusals) refuse(reason());
    this.#refusals.clear();
  }

  isLeased(id: number): boolean {
    return this.#leases.has(id);
  }

  /** Claims a record for whoever has its lease, which goes on; `undefined` where it is gone. */
  takeLeased(id: number): Claim | undefined {
    assert(this.#leases.has(id), 'it is claimed by whoever has its lease');
    // Who is about to remove it will find it live, or it is gone.
    return this.at(id) === undefined && this.#barrierOver(id) === undefined ? this.#takeNow(id) : undefined;
  }

  /**
   * Runs `step`, which is synchronous and removes the records from `first` to `last` that are concerned, when none of them is claimed: when the
   * claims that are there now have ended. Nobody gets a new one meanwhile.
   */
  async whenFree<T>(first: number, last: number, isConcerned: (id: number) => boolean, step: () => T): Promise<T> {
    let lift: () => void = () => undefined;
    const barrier: Barrier = {
      first,
      last,
      isConcerned,
      lifted: new Promise((resolve) => {
        lift = resolve;
      }),
    };
    this.#barriers.add(barrier);
    try {
      for (const claim of this.within(first, last)) if (isConcerned(claim.id)) await claim.outcome;
      return step();
    } finally {
      this.#barriers.delete(barrier);
      lift();
    }
  }

  /** Whether any of these records is claimed; for those who need not wait then. */
  touches(first: number, last: number): boolean {
    const next = this.nextClaimed(first);
    return next !== undefined && next <= last;
  }

  #isLeasedToOther(id: number): boolean {
    return this.#leases.size > 0 && this.#leases.has(id) && !this.#options.ownsLease(id);
  }

  #waitForLease(id: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#refusal !== undefined) {
        reject(this.#refusal());
        return;
      }
      this.#refusals.add(reject);
      void this.#leaseEnd(id).then(() => {
        this.#refusals.delete(reject);
        resolve();
      });
    });
  }

  #leaseEnd(id: number): Promise<void> {
    const known = this.#leases.get(id);
    if (known !== undefined) return known.ended;
    let end: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#leases.set(id, { ended, end });
    return ended;
  }

  #takeNow(id: number): Claim | undefined {
    const { log } = this.#options;
    const segment = log.find(id);
    if (segment === undefined || !log.killIn(segment, id)) return undefined;
    segment.hold(1);
    const claim = new Claim(id, segment, this.#onEnd);
    this.#claims.set(id, claim);
    return claim;
  }

  #ended(claim: Claim, outcome: ClaimOutcome): void {
    const { log, onEnded } = this.#options;
    assert(this.#claims.get(claim.id) === claim, 'a claim ends once');
    this.#claims.delete(claim.id);
    const segment = claim.segment.heir;
    // A record that could not be read is not in the copy by which GC has replaced its segment: it does not come back.
    if (outcome === 'given back' && segment.wasGiven(claim.id)) log.revive(claim.id);
    // What became of it is unknown: it stays held, so that nothing is concluded from it before the next open.
    if (outcome !== 'unknown') segment.release(1);
    onEnded(segment, outcome);
    if (outcome === 'given back') this.#options.onFreed(claim.id);
  }

  #barrierOver(id: number): Barrier | undefined {
    for (const barrier of this.#barriers)
      if (barrier.first <= id && id <= barrier.last && barrier.isConcerned(id)) return barrier;
    return undefined;
  }
}
