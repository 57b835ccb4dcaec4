/**
 * Waits for changes in the folders of a store by what the system tells of them, so that following a store where nothing happens takes no processor time.
 *
 * Behind it there is a look now and then, for what nobody tells of (a folder that was replaced, a file system that another machine writes to). Where the
 * system cannot tell, or has turned out not to, the looks are frequent: so the promise of `tail -f` does not depend on it.
 */
import { type FSWatcher, statSync, watch } from 'node:fs';
import { pause } from '../interrupt.js';

/** Between two looks at a store that is being written, and where nothing is told. */
const POLL_MS = 100;
/** Between two looks where all is told. */
const LOOK_MS = 1000;
/** What is told belongs to a change that was seen at most so long before. */
const LATE_MS = 100;

interface Watched {
  readonly watcher: FSWatcher;
  /** Of the folder: another one may get its name. */
  readonly identity: string;
}

export class StoreWatch {
  readonly #watched = new Map<string, Watched>();
  readonly #told = new Set<string>();
  #wake: () => void = () => undefined;
  /** Something changed that was not told of. */
  #isDeaf = false;
  #wasTold = true;
  #lookedMs = performance.now();

  /**
   * To be called before a look at all of `folders`: what changes from then on ends the next `wait`. Returns those of which something was told since the
   * look before. One that is watched from now on is told of once: what happened before that is seen by the look after this one.
   */
  looking(folders: readonly string[]): ReadonlySet<string> {
    const told = new Set(this.#told);
    this.#told.clear();
    for (const folder of folders) this.#watch(folder);
    for (const [folder, { watcher }] of this.#watched) {
      if (folders.includes(folder)) continue;
      watcher.close();
      this.#watched.delete(folder);
    }
    this.#lookedMs = performance.now();
    return told;
  }

  /** Resolves when it is time for a look, or when `signal` is aborted. `hasFound`: whether the look before found anything. */
  async wait(folders: readonly string[], hasFound: boolean, signal: AbortSignal): Promise<void> {
    const isTold = !this.#isDeaf && folders.every((folder) => this.#watched.has(folder));
    if (isTold && hasFound && !this.#wasTold) {
      await this.#untilTold(LATE_MS, signal);
      this.#isDeaf = this.#told.size === 0 && !signal.aborted;
    }
    await this.#untilTold(isTold && !this.#isDeaf ? LOOK_MS : POLL_MS, signal);
    this.#wasTold = this.#told.size > 0;
    const leftMs = this.#lookedMs + POLL_MS - performance.now();
    if (leftMs > 0) await pause(leftMs, signal);
  }

  close(): void {
    for (const { watcher } of this.#watched.values()) watcher.close();
    this.#watched.clear();
  }

  #untilTold(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#told.size > 0 || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        this.#wake = () => undefined;
        resolve();
      };
      const timer = setTimeout(end, ms);
      signal.addEventListener('abort', end);
      this.#wake = end;
    });
  }

  #watch(folder: string): void {
    // Elsewhere a file that is kept open may be told of when it is closed, or late.
    if (process.platform !== 'linux') return;
    const identity = identityOf(folder);
    const known = this.#watched.get(folder);
    if (known !== undefined && known.identity === identity) return;
    known?.watcher.close();
    this.#watched.delete(folder);
    if (identity === undefined || this.#isDeaf) return;
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#tell(folder));
      watcher.on('error', () => {
        watcher.close();
        if (this.#watched.get(folder)?.watcher === watcher) this.#watched.delete(folder);
        this.#tell(folder);
      });
      this.#watched.set(folder, { watcher, identity });
      this.#told.add(folder);
    } catch {
      // All that the system has for that is in use (ENOSPC, EMFILE), or it has none: looks do.
    }
  }

  #tell(folder: string): void {
    this.#told.add(folder);
    this.#wake();
  }
}

function identityOf(folder: string): string | undefined {
  try {
    const stat = statSync(folder, { throwIfNoEntry: false, bigint: true });
    return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`;
  } catch {
    return undefined;
  }
}
