/**
 * When a small write may be made in the calling thread.
 *
 * It is a copy into the page cache: some microseconds, where a trip to the thread pool costs several times that (measured: a small durable
 * commit takes 0.85 of the time with one trip instead of two). But it holds the event loop while it lasts. So:
 * - where no sync follows, such writes take TURN_MS at most between two turns of the loop, counted from the last one that went through the
 *   pool, whose completion is a turn: timers and sockets get theirs, whatever the load. A sync is a turn anyway;
 * - one that takes longer than SLOW_MS (the kernel makes writers wait when too much is dirty) sends all through the pool for a while.
 */
import type { WriteVia } from '../tombstone/tombstone-log.js';
import type { Host } from '../vfs/host.js';

const BYTES_MAX = 128 * 1024;
const TURN_MS = 1;
const SLOW_MS = 2;
const PAUSE_MS = 500;

export class BlockingBudget {
  readonly #host: Host;
  #turnAt = -Infinity;
  #pausedUntil = -Infinity;

  /** `syncFollows`: every write is followed by a sync through the pool before the next. */
  constructor(host: Host, syncFollows: boolean) {
    this.#host = host;
    if (syncFollows) this.#turnAt = Infinity;
  }

  /** Makes the write by `blocking` if it may block, else by `pooled`. Throws or rejects as they do. */
  readonly write: WriteVia = async (
    bytes: number,
    blocking: () => void,
    pooled: () => Promise<void>,
  ): Promise<void> => {
    const started = this.#host.elapsed();
    if (bytes > BYTES_MAX || started - this.#turnAt > TURN_MS || started < this.#pausedUntil) {
      await pooled();
      this.#turnAt = Math.max(this.#turnAt, this.#host.elapsed());
      return;
    }
    blocking();
    const ended = this.#host.elapsed();
    if (ended - started > SLOW_MS) this.#pausedUntil = ended + PAUSE_MS;
  };
}
