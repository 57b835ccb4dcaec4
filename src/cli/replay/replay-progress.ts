/**
 * How far a replay has come, and what is kept of it. What is delivered is written down as such, with what is to be removed; then it is removed; and the
 * next time it is written down without that. So whatever a crash leaves, a record that was delivered and not removed is known to be both. Saves run one
 * after the other; behind one that failed nothing is written down any more.
 */
import { type Checkpoint, type FailedRecord, type KeptSelection, writeCheckpoint } from './replay-checkpoint.js';
import { ReplayWindow } from './replay-window.js';
import type { TakenRecord } from './replayer.js';

export interface ReplayProgressOptions {
  readonly store: string;
  readonly queue: string;
  /** As the checkpoint has it. */
  readonly to: string;
  readonly selection: KeptSelection;
  readonly before: Checkpoint | undefined;
  /** `undefined`: nothing is written down. */
  readonly path: string | undefined;
  /** `undefined`: nothing is removed. */
  readonly remove: ((ids: readonly number[]) => Promise<unknown>) | undefined;
}

export class ReplayProgress {
  readonly #options: ReplayProgressOptions;
  readonly window: ReplayWindow;
  /** Settled beyond the window by the run before, and so for this one as soon as they come by. */
  readonly done: ReadonlySet<number>;
  readonly failed: Map<number, FailedRecord> = new Map();
  readonly deliveredBefore: number;
  /** By this run. */
  delivered = 0;
  /** Delivered, and not known to be removed. */
  readonly #removing: Set<number>;
  #left: number;
  #saving: Promise<void> = Promise.resolve();

  constructor(options: ReplayProgressOptions) {
    this.#options = options;
    const { through = 0, beyond = [], failed = [], delivered = 0, removing = [] } = options.before ?? {};
    this.window = new ReplayWindow(through);
    this.done = new Set(beyond);
    for (const one of failed) this.failed.set(one.id, one);
    this.deliveredBefore = delivered;
    this.#removing = new Set(removing);
    this.#left = options.selection.left ?? Infinity;
  }

  /** Records that may still be settled. */
  get left(): number {
    return this.#left;
  }

  settle({ record: { id }, isOwed }: TakenRecord, failed: FailedRecord | undefined): void {
    if (!isOwed) this.#left--;
    if (failed !== undefined) {
      this.failed.set(id, failed);
      return;
    }
    this.failed.delete(id);
    this.delivered++;
    if (this.#options.remove !== undefined) this.#removing.add(id);
  }

  /** Writes down what is so when its turn comes, and removes what was delivered by then. @throws Refused; what `remove` rejects with */
  save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#save());
    return this.#saving;
  }

  /** The last save: nothing is under way any more. */
  async end(): Promise<void> {
    const hadToRemove = this.#removing.size > 0;
    await this.save();
    if (hadToRemove) this.#write();
  }

  async #save(): Promise<void> {
    const { remove } = this.#options;
    this.#write();
    const ids = [...this.#removing];
    if (remove === undefined || ids.length === 0) return;
    await remove(ids);
    for (const id of ids) this.#removing.delete(id);
  }

  #write(): void {
    const { path, store, queue, to, selection } = this.#options;
    if (path === undefined) return;
    const { through, beyond } = this.window;
    const settled = new Set([...beyond, ...[...this.done].filter((id) => id > through)]);
    const { given, first, last, sinceMs, untilMs } = selection;
    const left = this.#left === Infinity ? null : this.#left;
    writeCheckpoint(path, {
      v: 1,
      store,
      queue,
      to,
      selection: { given, first, last, sinceMs, untilMs, left },
      through,
      beyond: [...settled].sort((a, b) => a - b),
      failed: [...this.failed.values()],
      delivered: this.deliveredBefore + this.delivered,
      removing: [...this.#removing].sort((a, b) => a - b),
    });
  }
}
