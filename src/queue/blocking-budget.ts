/**
 * When a small unsynced write may be made in the calling thread (modes that do not wait for the disk only).
 *
 * Such a write is a copy into the page cache: some microseconds, where a trip to the thread pool costs several times that. But it holds the event
 * loop while it lasts. So:
 * - between two turns of the loop such writes take TURN_MS at most, counted from the last one that went through the pool, whose completion is
 *   a turn: timers and sockets get theirs, whatever the load;
 * - one that takes longer than SLOW_MS (the kernel makes writers wait when too much is dirty) sends all through the pool for a while.
 */
import type { WriteVia } from '../tombstone/tombstone-log.js';
import type { Host } from '../vfs/host.js';

const BYTES_MAX = 64 * 1024;
const TURN_MS = 1;
const SLOW_MS = 2;
const PAUSE_MS = 500;

export class BlockingBudget {
  readonly #host: Host;
  #turnAt = -Infinity;
  #pausedUntil = -Infinity;

  constructor(host: Host) {
    this.#host = host;
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
      this.#turnAt = this.#host.elapsed();
      return;
    }
    blocking();
    const ended = this.#host.elapsed();
    if (ended - started > SLOW_MS) this.#pausedUntil = ended + PAUSE_MS;
  };
}
