/** One replay of a queue: what failed in the run before, and then what is selected, up to the last record that there is when it begins. */
import { deliveryIdOf } from '../../delivery/delivery-context.js';
import type { ReadOnlyQueue } from '../../raw.js';
import { EXIT_SOME_FAILED, Refused, say } from '../exit-code.js';
import { describeIds } from '../id-ranges-text.js';
import { Meter } from '../meter.js';
import { formatCount } from '../record-format.js';
import { selectedRecords } from '../selection/selected-records.js';
import { isSelective, type Selection } from '../selection/selection.js';
import type { FailedRecord, KeptSelection } from './replay-checkpoint.js';
import { ReplayClock, type ReplayPace } from './replay-clock.js';
import type { ReplayProgress } from './replay-progress.js';
import { unread } from './replay-selection.js';
import { isUnauthorized, type ReplayTarget } from './replay-target.js';
import { Replayer, type TakenRecord } from './replayer.js';

export interface ReplayRunOptions {
  /** UUID of the store. */
  readonly store: string;
  readonly queue: ReadOnlyQueue;
  readonly selection: Selection;
  readonly kept: KeptSelection;
  readonly progress: ReplayProgress;
  readonly pace: ReplayPace;
  readonly concurrency: number;
  /** Tries of a record. */
  readonly attempts: number;
  readonly hasCheckpoint: boolean;
}

const SAVE_EVERY_MS = 1000;

export class ReplayRun {
  readonly #options: ReplayRunOptions;
  #savedMs: number = performance.now();
  #meter: Meter | undefined;

  constructor(options: ReplayRunOptions) {
    this.#options = options;
  }

  /** Resolves when all are settled, or it was asked to stop. @throws Refused; what saving its progress rejects with */
  async go(target: ReplayTarget, signal: AbortSignal): Promise<void> {
    const { store, queue, progress, pace, concurrency, attempts } = this.#options;
    // Now, and not behind the first record: what cannot be kept is not begun.
    await progress.save();
    const { live, nextId } = await queue.stats();
    this.#meter = new Meter('replayed', this.#isPlain ? live : undefined);
    const replayer = new Replayer({
      target,
      queue: queue.name,
      deliveryId: (record) => deliveryIdOf({ storeId: store, queue: queue.name }, { record }),
      clock: new ReplayClock(pace),
      concurrency,
      attempts,
      window: progress.window,
      onSettled: (taken, failed) => this.#settle(taken, failed, replayer),
      signal,
    });
    try {
      for await (const taken of this.#records(nextId - 1)) {
        await replayer.take(taken);
        if (!replayer.goesOn) break;
      }
    } finally {
      await replayer.finish().catch((error: unknown) => {
        if (!isUnauthorized(error)) throw error;
        throw new Refused(`${target.name} lets nobody in: ${error.message}`);
      });
    }
  }

  async end(): Promise<void> {
    this.#meter?.end();
    await this.#options.progress.end();
  }

  tell(target: string, isInterrupted: boolean): void {
    const { progress, hasCheckpoint } = this.#options;
    const { delivered, deliveredBefore, window } = progress;
    const before = deliveredBefore === 0 ? '' : `, ${deliveredBefore} before`;
    say(`replayed ${formatCount(delivered, 'record')} to ${target}${before}`);
    if (isInterrupted) {
      const again = hasCheckpoint ? '; the same command goes on from there' : '';
      say(`stopped behind ID ${window.through}${again}`);
    }
    const failed = [...progress.failed.values()];
    const [first] = failed;
    if (first === undefined) return;
    const ids = describeIds(failed.map(({ id }) => id).sort((a, b) => a - b));
    say(`${formatCount(failed.length, 'record')} failed: ${ids} (${first.error})`);
    process.exitCode = EXIT_SOME_FAILED;
  }

  get #isPlain(): boolean {
    const { first, last, left } = this.#options.kept;
    return !isSelective(this.#options.selection) && left === null && first === 0 && last === null;
  }

  /** Those that failed before, and then those behind what is settled: as many as are left. */
  async *#records(end: number): AsyncGenerator<TakenRecord, void, undefined> {
    const { queue, progress, selection, kept } = this.#options;
    // As they are now: those that fail again stay there.
    const owed = Array.from(progress.failed.keys());
    for (const id of owed) {
      const record = await queue.get(id);
      if (record !== undefined) yield { record, isOwed: true };
      else progress.failed.delete(id);
    }
    const { window, done } = progress;
    let left = progress.left;
    if (left <= 0) return;
    for await (const record of selectedRecords(queue, unread(selection, kept, window.through, end))) {
      if (done.has(record.id)) {
        window.begin(record.id);
        window.settle(record.id);
        continue;
      }
      yield { record, isOwed: false };
      if (--left <= 0) return;
    }
  }

  #settle(taken: TakenRecord, failed: FailedRecord | undefined, replayer: Replayer): void {
    const { progress } = this.#options;
    progress.settle(taken, failed);
    this.#meter?.add(1);
    const nowMs = performance.now();
    if (nowMs - this.#savedMs < SAVE_EVERY_MS) return;
    this.#savedMs = nowMs;
    progress.save().catch((error: unknown) => replayer.stop(error));
  }
}
