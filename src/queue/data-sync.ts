/**
 * What of a queue's records is durable, and making it so.
 *
 * In mode 'sync' a commit waits for its own sync. In the weaker modes records are committed before, so segments may be left before their data is
 * durable (`unsynced-segments.ts`), and what a sync has covered is known by IDs.
 *
 * Concurrency: any number of syncs of one file at a time; a file is closed when none is under way.
 */
import { bothOver } from '../all-over.js';
import { type FailStop, syncFileBlocking } from '../fail-stop.js';
import type { Host } from '../vfs/host.js';
import type { ActiveSegment } from './active-segment.js';
import { UnsyncedSegments } from './unsynced-segments.js';

export type PipelineDurability = 'sync' | 'interval' | 'os';

export interface DataSyncOptions {
  readonly host: Host;
  readonly failStop: FailStop;
  readonly durability: PipelineDurability;
  /** The ID that the next record gets. */
  readonly nextId: number;
  /**
   * Makes the removals that have resolved durable, blocking; does nothing if they are. Throws a system error where the file could not be opened for
   * it, a `SyncFailure` where the sync failed.
   */
  readonly syncRemovalsBlocking: () => void;
  /** Milliseconds that a sync took. */
  readonly onSync: (ms: number) => void;
}

export class DataSync {
  readonly #options: DataSyncOptions;
  readonly #unsynced: UnsyncedSegments;
  #durableBelow: number;

  constructor(options: DataSyncOptions) {
    this.#options = options;
    this.#unsynced = new UnsyncedSegments(options.failStop, (left) => this.timedSync(left));
    this.#durableBelow = options.nextId;
  }

  /** In the weaker modes: every ID below it is durable, or was given back. */
  get durableBelow(): number {
    return this.#durableBelow;
  }

  /** Somebody has made all below it durable. */
  noteDurableBelow(id: number): void {
    this.#durableBelow = id;
  }

  /** Records are committed before they are durable. */
  get isRelaxed(): boolean {
    return this.#options.durability !== 'sync';
  }

  /** In the weaker modes: resolves when so little is unsynced that another segment may be left. Rejects with EVAQ_FAILED. */
  makeRoom(): Promise<void> {
    return this.#unsynced.makeRoom();
  }

  /** The active segment was left. */
  noteLeft(left: ActiveSegment): void {
    if (this.isRelaxed) this.#unsynced.add(left, this.#options.durability === 'interval');
  }

  /** Makes what is written to the file durable. Rejects with what the system says. */
  async timedSync(active: ActiveSegment): Promise<void> {
    const { host, onSync } = this.#options;
    const started = host.elapsed();
    const syncing = active.file.sync();
    active.syncing = bothOver(active.syncing, syncing);
    await syncing;
    onSync(host.elapsed() - started);
  }

  /**
   * Makes durable what was written up to the call (weaker modes); `settledBelow`: the IDs that were settled then. Rejects with EVAQ_FAILED; then the
   * store has stopped.
   */
  async syncNow(active: ActiveSegment, settledBelow: number): Promise<void> {
    // What is placed and still being written is not covered by a sync that starts now.
    const { segment } = active;
    const { end } = segment;
    await this.#unsynced.sync();
    // It may have been left meanwhile: one that is sealed is durable, or nothing in it is live, and its file is closed.
    if (active.durableEnd < end && segment.phase !== 'sealed' && segment.phase !== 'dropped') {
      try {
        await this.timedSync(active);
      } catch (cause) {
        throw this.#options.failStop.fail(cause, 'a sync', active.file.path);
      }
      active.durableEnd = Math.max(active.durableEnd, end);
    }
    this.#durableBelow = Math.max(this.#durableBelow, settledBelow);
  }

  /** In the weaker modes: data before removals. Throws as `syncFileBlocking`. */
  syncLeftBlocking(active: ActiveSegment): void {
    if (!this.isRelaxed) return;
    const { end } = active.segment;
    this.#unsynced.syncBlocking();
    if (active.durableEnd < end) {
      syncFileBlocking(active.file);
      active.durableEnd = Math.max(active.durableEnd, end);
    }
    this.#options.syncRemovalsBlocking();
  }

  /** Resolves when no segment that was left is being synced. */
  settled(): Promise<void> {
    return this.#unsynced.settled();
  }
}
