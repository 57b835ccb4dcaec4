/**
 * Waits for changes in folders by what the system tells of them, so that following a queue where nothing happens takes no processor time.
 *
 * Behind it there is a look now and then, for what nobody tells of (a folder that was replaced, a file system that another machine writes to). Where the
 * system cannot tell, or has turned out not to, the looks are frequent: so what is promised of following does not depend on it.
 *
 * For one who follows: looks and waits take turns.
 */
import type { Vfs, VfsWatch } from '../vfs/vfs.js';

/** Calls `action` once after `ms`; the result cancels. */
export type Timer = (ms: number, action: () => void) => () => void;

export interface FolderWatchOptions {
  readonly vfs: Pick<Vfs, 'watch'>;
  readonly timer: Timer;
  /** Milliseconds of a clock that only goes forward. */
  readonly elapsed: () => number;
  /** Between two looks where nothing is told, and at least between any two. */
  readonly pollMs: number;
}

/** Between two looks where all is told. */
const LOOK_MS = 1000;
/** What is told belongs to a change that was seen at most so long before. */
const LATE_MS = 100;

export class FolderWatch {
  readonly #options: FolderWatchOptions;
  readonly #watched = new Map<string, VfsWatch>();
  readonly #told = new Set<string>();
  #wake: () => void = () => undefined;
  /** Something changed that was not told of. */
  #isDeaf = false;
  #wasTold = true;
  #lookedMs: number;
  #closed = false;

  constructor(options: FolderWatchOptions) {
    this.#options = options;
    this.#lookedMs = options.elapsed();
  }

  /**
   * To be called before a look at all of `folders`: what changes from then on ends the next `wait`. Returns those of which something was told since the
   * look before. One that is watched from now on is told of once: what happened before that is seen by the look after this one.
   */
  looking(folders: readonly string[]): ReadonlySet<string> {
    const told = new Set(this.#told);
    this.#told.clear();
    if (!this.#closed) for (const folder of folders) this.#watch(folder);
    // There may be thousands.
    const wanted = new Set(folders);
    for (const folder of this.#watched.keys()) if (!wanted.has(folder)) this.#unwatch(folder);
    this.#lookedMs = this.#options.elapsed();
    return told;
  }

  /** Resolves when it is time for a look, or when `signal` is aborted. `hasFound`: whether the look before found anything. */
  async wait(folders: readonly string[], hasFound: boolean, signal: AbortSignal): Promise<void> {
    const { pollMs, elapsed } = this.#options;
    const isTold = !this.#isDeaf && folders.every((folder) => this.#watched.has(folder));
    if (isTold && hasFound && !this.#wasTold) {
      await this.#untilTold(LATE_MS, signal);
      this.#isDeaf = this.#told.size === 0 && !signal.aborted;
    }
    await this.#untilTold(isTold && !this.#isDeaf ? Math.max(LOOK_MS, pollMs) : pollMs, signal);
    this.#wasTold = this.#told.size > 0;
    const leftMs = this.#lookedMs + pollMs - elapsed();
    if (leftMs > 0) await this.#pause(leftMs, signal);
  }

  /** Nothing is watched any more. A wait under way goes on by the clock. */
  close(): void {
    this.#closed = true;
    for (const folder of this.#watched.keys()) this.#unwatch(folder);
  }

  #untilTold(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#told.size > 0) return Promise.resolve();
    return this.#pause(ms, signal, (wake) => {
      this.#wake = wake;
    });
  }

  /** `early`: gets what ends it before its time. */
  #pause(ms: number, signal: AbortSignal, early: (wake: () => void) => void = () => undefined): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        signal.removeEventListener('abort', end);
        early(() => undefined);
        resolve();
      };
      const cancel = this.#options.timer(ms, end);
      signal.addEventListener('abort', end);
      early(end);
    });
  }

  #watch(folder: string): void {
    const known = this.#watched.get(folder);
    if (known?.holds() === true) return;
    this.#unwatch(folder);
    if (this.#isDeaf) return;
    const watch = this.#options.vfs.watch?.(folder, () => {
      this.#told.add(folder);
      this.#wake();
    });
    if (watch === undefined) return;
    this.#watched.set(folder, watch);
    this.#told.add(folder);
  }

  #unwatch(folder: string): void {
    this.#watched.get(folder)?.close();
    this.#watched.delete(folder);
  }
}
