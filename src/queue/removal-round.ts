/**
 * The removals that will become one round of tombstones: what they name, and who waits for them.
 *
 * A removal costs its promise and little else: what it names and the two functions of its promise are kept in parallel columns.
 */
import type { IdRange } from '../ids.js';
import type { LogSegment } from '../log/log-segment.js';
import { joinRanges, mergeRanges } from '../tombstone/id-ranges.js';
import type { Claim } from './claims.js';

/** From so many ranges on, a round lets others have their turn between its steps. */
export const MANY_RANGES = 65_536;

type Resolve = (removed: boolean) => void;
type Reject = (error: unknown) => void;

let capturedResolve: Resolve = () => undefined;
let capturedReject: Reject = () => undefined;
function capture(resolve: Resolve, reject: Reject): void {
  capturedResolve = resolve;
  capturedReject = reject;
}

export class RemovalRound {
  /** Single IDs, as they came. */
  readonly #ids: number[] = [];
  readonly #ranges: IdRange[] = [];
  /** Runs of IDs, each list ascending: first and last of one after those of the other. */
  readonly #runs: (readonly number[])[] = [];
  /** Records that go back if the round is not written. They hold their segments by themselves. */
  readonly #claims: Claim[] = [];
  readonly #touched = new Map<LogSegment, number>();
  readonly #resolves: Resolve[] = [];
  readonly #rejects: Reject[] = [];
  /** Who wants to know when it is over, however it ends. */
  readonly #tickets: (() => void)[] = [];

  /** Nobody waits for it. */
  get isEmpty(): boolean {
    return this.#resolves.length === 0 && this.#claims.length === 0;
  }

  get hasClaims(): boolean {
    return this.#claims.length > 0;
  }

  get hasRuns(): boolean {
    return this.#runs.length > 0;
  }

  /** By segment: how many records of it the round removes, but for those that are claimed. */
  get touched(): ReadonlyMap<LogSegment, number> {
    return this.#touched;
  }

  addRanges(ranges: readonly IdRange[], touched: ReadonlyMap<LogSegment, number>): void {
    for (const range of ranges) this.#ranges.push(range);
    for (const [segment, count] of touched) this.#touch(segment, count);
  }

  addRuns(runs: readonly number[]): void {
    this.#runs.push(runs);
  }

  addOne(id: number, segment: LogSegment): void {
    this.#ids.push(id);
    this.#touch(segment, 1);
  }

  addClaim(claim: Claim): void {
    this.#claims.push(claim);
  }

  /** Settles with the round: true when it is durable in the mode in force. */
  wait(): Promise<boolean> {
    const promise = new Promise<boolean>(capture);
    this.#resolves.push(capturedResolve);
    this.#rejects.push(capturedReject);
    return promise;
  }

  /** Calls `tell` when it is over, however it ends. */
  whenOver(tell: () => void): void {
    this.#tickets.push(tell);
  }

  /** What it removes for good, but for its runs, and what is owed: sorted and merged. */
  ownRanges(owed: readonly IdRange[]): readonly IdRange[] {
    // Each part ascends: joining them costs their length, however much is owed.
    return joinRanges(owed, joinRanges(mergeRanges(this.#ranges), rangesOfIds(this.#ids)));
  }

  /** Merged. Many are made in several turns of the event loop. */
  async rangesOfRuns(pause: () => Promise<void>): Promise<readonly IdRange[]> {
    let all: readonly IdRange[] = [];
    let made = 0;
    for (const list of this.#runs) {
      const ranges: IdRange[] = [];
      for (let i = 0; i < list.length; i += 2) {
        ranges.push({ first: list[i] ?? 0, last: list[i + 1] ?? 0 });
        if (++made % MANY_RANGES === 0) await pause();
      }
      all = joinRanges(all, ranges);
    }
    return all;
  }

  claimedRanges(): readonly IdRange[] {
    return rangesOfIds(this.#claims.map(({ id }) => id));
  }

  /** It is durable in the mode in force: tells everybody, once. */
  resolve(): void {
    // In this very stretch: a snapshot that is taken later must not miss what the log it replaces has said.
    for (const claim of this.#claims) claim.end('removed');
    for (const resolve of this.#resolves) resolve(true);
    for (const tell of this.#tickets) tell();
  }

  /** It was not written, or cannot be vouched for: tells everybody. The second time nobody. */
  reject(error: unknown, outcome: 'given back' | 'unknown'): void {
    for (const claim of this.#claims.splice(0)) claim.end(outcome);
    for (const reject of this.#rejects.splice(0)) reject(error);
    this.#resolves.length = 0;
    for (const tell of this.#tickets.splice(0)) tell();
  }

  #touch(segment: LogSegment, count: number): void {
    this.#touched.set(segment, (this.#touched.get(segment) ?? 0) + count);
  }
}

function rangesOfIds(ids: readonly number[]): IdRange[] {
  if (ids.length === 0) return [];
  const ranges: IdRange[] = [];
  const sorted = Float64Array.from(ids).sort();
  let first = sorted[0] ?? 0;
  let last = first;
  for (let i = 1; i < sorted.length; i++) {
    const id = sorted[i] ?? 0;
    if (id > last + 1) {
      ranges.push({ first, last });
      first = id;
    }
    last = id;
  }
  ranges.push({ first, last });
  return ranges;
}
