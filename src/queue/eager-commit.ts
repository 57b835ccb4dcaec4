/**
 * Commits that begin within a push: a batch so large that it does not wait for the end of the turn, and a `pushMany` that is written while it is framed.
 * Only where nothing is in front of them. The loop takes over what is being written.
 */
import { ioError } from '../errors.js';
import { isSummedByHeads } from '../frame/commit-check.js';
import { COMMIT_HEADER_BYTES } from '../frame/commit-header.js';
import type { IdSpan } from '../ids.js';
import { writeLink } from './active-writer.js';
import { allDone, BatchStream, STREAM_BYTES_MIN } from './batch-writer.js';
import type { CommitLoop, CommitParts } from './commit-loop.js';
import type { Admission, Metas, PushBatch } from './push-batch.js';

const EAGER_BYTES = 1024 * 1024;

/** Whether a batch does not wait for the end of the turn in which it was begun. */
export function isLarge(batch: PushBatch): boolean {
  return batch.length >= EAGER_BYTES;
}

export class EagerCommits {
  readonly #queue: string;
  readonly #parts: CommitParts;
  readonly #loop: CommitLoop;

  constructor(queue: string, parts: CommitParts, loop: CommitLoop) {
    this.#queue = queue;
    this.#parts = parts;
    this.#loop = loop;
  }

  /** Commits the open batch at once if it can: while it is written, what else is pushed in this turn is framed. */
  commitOpen(): void {
    const { batches, end } = this.#parts;
    const { open } = batches;
    if (!this.#canBegin(open.length, open.count)) return;
    const batch = batches.takeOpen();
    try {
      end.place(batch);
    } catch (cause) {
      this.#loop.stop(cause, [batch]);
      return;
    }
    this.#loop.goOnWith(batch, end.write(batch));
  }

  /** Whether a `pushMany` can be given its place before it is framed: nothing may be in front of it, and it has to fit into the segment. */
  canStream(bytes: number, count: number): boolean {
    return bytes >= STREAM_BYTES_MIN && this.#parts.batches.open.count === 0 && this.#canBegin(bytes, count);
  }

  /** A `pushMany` that is written while it is framed: on another core both go on at the same time. */
  stream(
    payloads: readonly Uint8Array[],
    metas: Metas,
    bytes: number,
    admission: Admission | undefined,
  ): Promise<IdSpan> {
    const { batches, end, room } = this.#parts;
    const { active } = end;
    const batch = batches.takeOpen();
    end.beginPlace(batch, payloads.length, isSummedByHeads(payloads.length, bytes));
    room.takeFor(batch, bytes);
    const stream = new BatchStream(active.file, batch, bytes);
    try {
      const promise = batch.pushMany(payloads, metas, () => stream.added(), admission);
      end.endPlace(batch);
      this.#loop.goOnWith(batch, allDone([writeLink(active), stream.finish()]));
      return promise;
    } catch (cause) {
      // No memory, say. What was written already is cut away, as after a failed write; until then no blocking push may come in between.
      const queue = this.#queue;
      this.#loop.goOnWith(
        batch,
        stream.abandon().then(() => Promise.reject(cause)),
        ioError(cause, `appending to queue '${queue}'`, { queue }),
      );
      return Promise.reject(cause);
    }
  }

  /** Nothing is in front of it, and nothing has to be waited for. */
  #canBegin(bytes: number, count: number): boolean {
    const { cover, end } = this.#parts;
    return this.#loop.isAtRest && end.takes(COMMIT_HEADER_BYTES + bytes) && cover.covers(count);
  }
}
