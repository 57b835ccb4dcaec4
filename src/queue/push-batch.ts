/**
 * The pushes that will become one commit: their frames, and who waits for them.
 *
 * A push costs its promise and nothing else: the two functions of the promise are kept in parallel columns, and ID and
 * outcome are worked out from the position in the batch.
 */
import { assert } from '../assert.js';
import type { CommitBuilder } from '../frame/commit-builder.js';
import { COMMIT_HEADER_BYTES } from '../frame/commit-header.js';
import type { IdSpan } from '../ids.js';
import { giveBuilder, takeBuilder } from './spare-builders.js';

export type BatchState =
  /** Takes pushes. */
  | 'open'
  /** Closed, without a place in a file. */
  | 'taken'
  /** Its bytes are being written at `offset`. */
  | 'placed'
  /** Committed; or its waiters have been told that it failed. */
  | 'settled';

/** Told what became of records that were pushed together, once, in the stretch in which they are committed: before those who wait for them. */
export interface Admission {
  readonly committed: (firstId: number, timestamp: number) => void;
  /** Nothing happens where it was told something before. */
  readonly failed: () => void;
}

/** Whether its waiters have been told. */
export function isSettled(batch: { readonly state: BatchState }): boolean {
  return batch.state === 'settled';
}

interface Admitted {
  readonly index: number;
  readonly admission: Admission;
}

type ResolveId = (id: number) => void;
type ResolveGroup = (ids: IdSpan) => void;
type Reject = (error: unknown) => void;

interface Group {
  readonly index: number;
  readonly count: number;
  readonly resolve: ResolveGroup;
  readonly reject: Reject;
}

let capturedResolve: ResolveId = () => undefined;
let capturedReject: Reject = () => undefined;
/** Shared by all pushes: a promise made with it costs no closure of ours. */
function capture(resolve: ResolveId, reject: Reject): void {
  capturedResolve = resolve;
  capturedReject = reject;
}

/** Metadata of records that are pushed together, each at the place of its payload; undefined where none has any. */
export type Metas = readonly (Uint8Array | undefined)[] | undefined;

export class PushBatch {
  /** From the first push on. */
  #builder: CommitBuilder | undefined;
  state: BatchState = 'open';
  /** Set when it is placed. */
  offset = 0;
  firstId = 0;
  /** What the clock said at its first push: the time of all its records. */
  timestamp = 0;
  payloadBytes = 0;
  /** What it counts for among the pushes that are pending. */
  pendingBytes = 0;
  /** Index entries made while it was placed. */
  readonly markIds: number[] = [];
  readonly markOffsets: number[] = [];
  /** Positions in the batch of the single pushes, and their promises. */
  readonly #singles: number[] = [];
  readonly #resolves: ResolveId[] = [];
  readonly #rejects: Reject[] = [];
  readonly #groups: Group[] = [];
  readonly #admitted: Admitted[] = [];
  readonly #witnesses: (() => void)[] = [];

  get builder(): CommitBuilder {
    this.#builder ??= takeBuilder();
    return this.#builder;
  }

  get count(): number {
    return this.#builder === undefined ? 0 : this.#builder.count;
  }

  get length(): number {
    return this.#builder === undefined ? COMMIT_HEADER_BYTES : this.#builder.length;
  }

  push(payload: Uint8Array, meta: Uint8Array | undefined, admission?: Admission): Promise<number> {
    const { builder } = this;
    const index = builder.count;
    builder.add(payload, meta);
    if (admission !== undefined) this.#admitted.push({ index, admission });
    this.#singles.push(index);
    this.payloadBytes += payload.length;
    const promise = new Promise<number>(capture);
    this.#resolves.push(capturedResolve);
    this.#rejects.push(capturedReject);
    return promise;
  }

  /** `metas`: of each record, if any has one. `added` is called behind each record. */
  pushMany(
    payloads: readonly Uint8Array[],
    metas: Metas,
    added: (() => void) | undefined,
    admission?: Admission,
  ): Promise<IdSpan> {
    const { builder } = this;
    const index = builder.count;
    const count = payloads.length;
    const before = builder.mark();
    let bytes = 0;
    try {
      for (let i = 0; i < count; i++) {
        const payload = payloads[i];
        if (payload === undefined) continue;
        builder.add(payload, metas === undefined ? undefined : metas[i]);
        bytes += payload.length;
        if (added !== undefined) added();
      }
    } catch (error) {
      // No memory, say: none of it is pushed.
      builder.cutTo(before);
      throw error;
    }
    this.payloadBytes += bytes;
    if (admission !== undefined) this.#admitted.push({ index, admission });
    return new Promise((resolve, reject) => this.#groups.push({ index, count, resolve, reject }));
  }

  /** Adds a record for which nobody waits. */
  add(payload: Uint8Array, meta: Uint8Array | undefined, admission?: Admission): void {
    if (admission !== undefined) this.#admitted.push({ index: this.count, admission });
    this.builder.add(payload, meta);
    this.payloadBytes += payload.length;
  }

  /** Calls `witness` when all its waiters were told what became of them, whatever that is. */
  whenSettled(witness: () => void): void {
    if (this.state === 'settled') witness();
    else this.#witnesses.push(witness);
  }

  /** Tells every waiter its IDs, in the order of the pushes. */
  resolve(): void {
    this.state = 'settled';
    const { firstId } = this;
    for (const { index, admission } of this.#admitted) admission.committed(firstId + index, this.timestamp);
    for (let i = 0; i < this.#resolves.length; i++) this.#resolves[i]?.(firstId + (this.#singles[i] ?? 0));
    for (const { index, count, resolve } of this.#groups) {
      resolve({ firstId: firstId + index, lastId: firstId + index + count - 1 });
    }
    this.#tellWitnesses();
  }

  reject(error: unknown): void {
    this.state = 'settled';
    for (const { admission } of this.#admitted) admission.failed();
    for (const reject of this.#rejects) reject(error);
    for (const { reject } of this.#groups) reject(error);
    this.#tellWitnesses();
  }

  #tellWitnesses(): void {
    for (const witness of this.#witnesses.splice(0)) witness();
  }

  /** Makes it ready for the next commit. No write of its bytes may be under way. */
  reset(): void {
    assert(this.#witnesses.length === 0, 'a batch is settled before it is used again');
    if (this.#builder !== undefined) giveBuilder(this.#builder);
    this.#builder = undefined;
    this.state = 'open';
    this.payloadBytes = 0;
    this.pendingBytes = 0;
    this.markIds.length = 0;
    this.markOffsets.length = 0;
    this.#singles.length = 0;
    this.#resolves.length = 0;
    this.#rejects.length = 0;
    this.#groups.length = 0;
    this.#admitted.length = 0;
  }
}
