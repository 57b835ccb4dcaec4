/**
 * A commit that blocks the thread, beside the loop: durable on return is all that was pushed before it, all removals that resolved before it, and a record
 * of its own, if it has one (`push-sync.ts` says in which steps).
 */
import { EvaqError } from '../errors.js';
import type { FailStop } from '../fail-stop.js';
import { type Host, timeOf } from '../vfs/host.js';
import type { CommitLoop, CommitParts } from './commit-loop.js';
import type { Admission, PushBatch } from './push-batch.js';
import type { PushRefusals } from './push-refusal.js';
import { pushBlocking } from './push-sync.js';
import { frameBytesOf } from './record-size.js';

export interface BlockingCommitsOptions {
  readonly queue: string;
  readonly host: Host;
  readonly failStop: FailStop;
  /** Milliseconds that a sync took. */
  readonly onSync: (ms: number) => void;
}

export class BlockingCommits {
  readonly #options: BlockingCommitsOptions;
  readonly #parts: CommitParts;
  readonly #loop: CommitLoop;
  readonly #refusals: PushRefusals;

  constructor(options: BlockingCommitsOptions, parts: CommitParts, loop: CommitLoop, refusals: PushRefusals) {
    this.#options = options;
    this.#parts = parts;
    this.#loop = loop;
    this.#refusals = refusals;
  }

  /** As `CommitPipeline.pushSync`. */
  push(payload: Uint8Array, meta?: Uint8Array, admission?: Admission): number {
    const bytes = frameBytesOf(payload, meta);
    const own = (): PushBatch => {
      const { batches, room } = this.#parts;
      const batch = batches.fresh();
      batch.timestamp = timeOf(this.#options.host);
      batch.add(payload, meta, admission);
      room.takeFor(batch, bytes);
      return batch;
    };
    return this.#commit(bytes, own);
  }

  /** As `CommitPipeline.flushSync`. */
  flush(): void {
    this.#commit(0, undefined);
  }

  /** Returns the ID of the first record of `makeOwn`, which goes behind all that was pushed before. */
  #commit(bytes: number, makeOwn: (() => PushBatch) | undefined): number {
    const { batches, data, end, outcomes, room, traces } = this.#parts;
    const { host, failStop, queue, onSync } = this.#options;
    // Who waits for room was here before; one of them may begin a commit.
    room.grantAll();
    const refusal = this.#refusals.ofBlocking(bytes, makeOwn === undefined ? 0 : 1);
    if (refusal !== undefined) throw refusal;
    const own = makeOwn?.();
    const { inHand } = this.#loop;
    const inFlight = inHand?.state === 'placed' ? inHand : undefined;
    const { active } = end;
    const { markedOffset } = active;
    const placed: PushBatch[] = [];
    const started = host.elapsed();
    try {
      pushBlocking({
        queue,
        failStop,
        active,
        inFlight,
        syncLeft: () => data.syncLeftBlocking(active),
        placeAll: () => {
          placed.push(...this.#unplaced(), ...(own === undefined ? [] : [own]));
          for (const batch of placed) end.place(batch);
          return placed;
        },
        takeBack: (at, error) => {
          const [first] = placed;
          if (first !== undefined) end.takeBack(first, at, markedOffset, error);
          for (const batch of placed) outcomes.fail(batch, error);
        },
      });
      onSync(host.elapsed() - started);
      if (own !== undefined) end.fillAheadBlocking(active, own);
      active.durableEnd = active.writtenEnd;
      const id = own?.firstId ?? 0;
      if (inFlight !== undefined) outcomes.settle(inFlight);
      for (const batch of placed) outcomes.settle(batch);
      data.noteDurableBelow(this.#loop.settledBelow);
      traces.blocking(placed, started);
      return id;
    } catch (cause) {
      if (placed.length === 0 && own !== undefined) outcomes.fail(own, cause);
      const isKnown = cause instanceof EvaqError && cause.code !== 'EVAQ_FAILED';
      const error = isKnown ? cause : this.#loop.stop(cause, placed);
      traces.blocking(placed, started, { error });
      throw error;
    } finally {
      if (own !== undefined) batches.giveBack(own);
    }
  }

  /** Takes all batches that have no place, in order. */
  #unplaced(): PushBatch[] {
    const { inHand } = this.#loop;
    const batches = inHand?.state === 'taken' ? [inHand] : [];
    batches.push(...this.#parts.batches.takeAll());
    return batches;
  }
}
