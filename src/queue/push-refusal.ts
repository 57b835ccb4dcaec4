/**
 * Why a push is refused before anything is done for it: a record that is too large, IDs that have run out, and what only a push that cannot wait is
 * refused for.
 */
import { EvaqError } from '../errors.js';
import type { FailStop } from '../fail-stop.js';
import { COMMIT_HEADER_BYTES } from '../frame/commit-header.js';
import { DENSE_FRAME_BYTES } from '../frame/record-frame.js';
import type { CommitLoop, CommitParts } from './commit-loop.js';
import type { LogEnd } from './log-end.js';
import { BODY_BYTES_MAX, tooLarge } from './record-size.js';

/** Offsets have 32 bits, and the footer needs some too. */
const SEGMENT_BYTES_LIMIT = 0xe000_0000;

/** Below it nobody has to count which IDs are spoken for. */
const IDS_AMPLE = Number.MAX_SAFE_INTEGER - 2 ** 40;

/** A blocking push writes what is in hand, what is full, what is open, and its own. */
const BLOCKING_COMMITS = 3;

export interface PushRefusalsOptions {
  readonly queue: string;
  readonly failStop: FailStop;
}

export class PushRefusals {
  readonly #options: PushRefusalsOptions;
  readonly #parts: CommitParts;
  readonly #loop: CommitLoop;
  readonly #end: LogEnd;

  constructor(options: PushRefusalsOptions, parts: CommitParts, loop: CommitLoop) {
    this.#options = options;
    this.#parts = parts;
    this.#loop = loop;
    this.#end = parts.end;
  }

  /** Why a record with a frame of `bytes` cannot be taken; not looking at IDs. */
  ofBytes(bytes: number): EvaqError | undefined {
    const bodyBytes = bytes - DENSE_FRAME_BYTES;
    if (bodyBytes > BODY_BYTES_MAX) return tooLarge(bodyBytes, BODY_BYTES_MAX, 'the record');
    return this.#options.failStop.error;
  }

  /** Why there are no IDs for `count` more records, behind those that have been accepted. */
  ofIds(count: number): EvaqError | undefined {
    let next = this.#end.nextId + count;
    if (next <= IDS_AMPLE) return undefined;
    next += this.#parts.batches.count;
    const { inHand } = this.#loop;
    if (inHand?.state === 'taken') next += inHand.count;
    if (next <= Number.MAX_SAFE_INTEGER) return undefined;
    const { queue } = this.#options;
    return new EvaqError('EVAQ_QUEUE_FULL', `queue '${queue}' has given out all its IDs`, {
      details: { queue, limit: Number.MAX_SAFE_INTEGER },
      hint: 'Records can be read and removed. Push to a queue of another name.',
    });
  }

  /** Why a blocking push of `bytes` in `count` records cannot be made now. */
  ofBlocking(bytes: number, count: number): EvaqError | undefined {
    return (
      this.ofBytes(bytes) ?? this.#loop.cutUnderWay ?? this.ofIds(count) ?? this.#ofOffsets(bytes) ?? this.#ofReserve()
    );
  }

  /** A segment is left asynchronously, so a loop of blocking pushes makes it grow: up to what its 32-bit offsets can say. */
  #ofOffsets(bytes: number): EvaqError | undefined {
    const { batches, room } = this.#parts;
    const headers = (batches.fullCount + BLOCKING_COMMITS) * COMMIT_HEADER_BYTES;
    if (this.#end.active.writtenEnd + room.pendingBytes + bytes + headers <= SEGMENT_BYTES_LIMIT) return undefined;
    const { queue } = this.#options;
    return new EvaqError('EVAQ_QUEUE_FULL', `queue '${queue}': the segment has no room for more blocking pushes`, {
      details: { queue, limit: SEGMENT_BYTES_LIMIT },
      hint: 'Let the event loop run, so that the next segment can be started.',
    });
  }

  /** A blocking push cannot wait until space is kept: it is refused where the last try found none, and there is another try. */
  #ofReserve(): EvaqError | undefined {
    if (!this.#parts.cover.refuses()) return undefined;
    const { queue } = this.#options;
    return new EvaqError('EVAQ_NO_SPACE', `no space left for removals from queue '${queue}', which is kept first`, {
      details: { queue },
      hint: 'Free some space or remove records (removals work on a full disk), let the event loop run, and try again.',
    });
  }
}
