/**
 * Segments that were left before their data was durable: only in the modes that do not wait for the disk.
 *
 * They are synced in the order in which they were left, one at a time; but the kernel may write out any part of any of them before. A power cut
 * may therefore leave holes: recovery finds each of these segments unsealed, and cuts it where it is torn.
 *
 * The sealer syncs them too, in the same order, since a footer vouches for the data in front of it.
 */
import { type FailStop, syncFileBlocking } from '../fail-stop.js';
import type { ActiveSegment } from './active-segment.js';

/** The most that is left to the kernel. Past it a roll waits for the disk, so that what a power cut takes stays bounded. */
const UNSYNCED_BYTES_MAX = 512 * 1024 * 1024;

export class UnsyncedSegments {
  readonly #failStop: FailStop;
  readonly #sync: (left: ActiveSegment) => Promise<void>;
  #left: ActiveSegment[] = [];
  #syncing: Promise<void> = Promise.resolve();

  /** `sync` makes the data of a segment durable. */
  constructor(failStop: FailStop, sync: (left: ActiveSegment) => Promise<void>) {
    this.#failStop = failStop;
    this.#sync = sync;
  }

  /** A segment was left. `soon`: it is to be made durable at once, in the background. */
  add(left: ActiveSegment, soon: boolean): void {
    this.#left.push(left);
    // A failure has thrown the switch; it shows at the next call.
    if (soon) this.sync().catch(() => undefined);
  }

  /** Resolves when so little is unsynced that another segment may be left. Rejects as `sync`. */
  async makeRoom(): Promise<void> {
    if (this.#pending().reduce((sum, left) => sum + left.writtenEnd - left.durableEnd, 0) >= UNSYNCED_BYTES_MAX)
      await this.sync();
  }

  /**
   * Makes durable all that was left up to the call; what is left meanwhile is not waited for. Rejects with EVAQ_FAILED; then the store has
   * stopped.
   */
  sync(): Promise<void> {
    const due = [...this.#pending()];
    const syncing = this.#syncing.then(async () => {
      for (const left of due) if (isUnsynced(left)) await this.#syncOne(left);
    });
    this.#syncing = syncing.catch(() => undefined);
    return syncing;
  }

  /** The same in one blocking stretch. Throws a system error where a file could not be opened for it, a `SyncFailure` where a sync failed. */
  syncBlocking(): void {
    for (const left of this.#pending()) {
      syncFileBlocking(left.file);
      left.durableEnd = left.writtenEnd;
    }
  }

  /** Resolves when nothing is being synced. */
  settled(): Promise<void> {
    return this.#syncing;
  }

  async #syncOne(left: ActiveSegment): Promise<void> {
    const end = left.writtenEnd;
    try {
      await this.#sync(left);
    } catch (cause) {
      throw this.#failStop.fail(cause, 'a sync', left.file.path);
    }
    left.durableEnd = Math.max(left.durableEnd, end);
  }

  /** Those that nobody made durable yet. */
  #pending(): readonly ActiveSegment[] {
    this.#left = this.#left.filter(isUnsynced);
    return this.#left;
  }
}

/** One that is sealed is durable, or nothing in it is live. */
function isUnsynced({ segment, durableEnd, writtenEnd }: ActiveSegment): boolean {
  return segment.phase === 'rolled' && durableEnd < writtenEnd;
}
