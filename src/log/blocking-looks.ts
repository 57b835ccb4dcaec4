/**
 * When the ends of a file may be read in the calling thread.
 *
 * Of a file in the page cache that takes some 10 microseconds, where the same by trips to the thread pool takes ten times that; with ten thousand
 * segments it is what an open waits for. But it holds the event loop while it lasts. So there are turns in between, and where one look takes longer
 * than SLOW_MS (the file comes from the disk, where the pool waits for several at a time) the next go through the pool.
 */
import type { Host } from '../vfs/host.js';
import type { Vfs, VfsEnds } from '../vfs/vfs.js';
import type { EndsLook } from './opened-ahead.js';

type LookHost = Pick<Host, 'elapsed' | 'yield'>;

/** Between two turns of the event loop. */
const TURN_MS = 1;
const SLOW_MS = 0.1;
/** For so long after a slow one none is made. */
const PAUSE_MS = 5;

export class BlockingLooks implements EndsLook {
  readonly #vfs: Vfs;
  readonly #host: LookHost;
  #turnAt: number;
  #pausedUntil = -Infinity;

  /** One for all that is looked at in one go, so that the turns are those of all together. */
  constructor(vfs: Vfs, host: LookHost) {
    this.#vfs = vfs;
    this.#host = host;
    this.#turnAt = host.elapsed();
  }

  get mayLook(): boolean {
    return this.#vfs.endsBlocking !== undefined && this.#host.elapsed() >= this.#pausedUntil;
  }

  ends(path: string, head: Uint8Array, tail: Uint8Array): VfsEnds | undefined {
    const started = this.#host.elapsed();
    const ends = this.#vfs.endsBlocking?.(path, head, tail);
    const ended = this.#host.elapsed();
    if (ended - started > SLOW_MS) this.#pausedUntil = ended + PAUSE_MS;
    return ends;
  }

  async turn(): Promise<void> {
    if (this.#host.elapsed() - this.#turnAt < TURN_MS) return;
    await this.#host.yield();
    this.#turnAt = this.#host.elapsed();
  }
}
