/** Changes in a folder as the operating system tells of them (inotify(7)). */
import { type FSWatcher, statSync, watch } from 'node:fs';
import { identityOf } from './node-lock.js';
import type { VfsWatch } from './vfs.js';

export class NodeWatch implements VfsWatch {
  readonly #dir: string;
  /** Of the folder: another one may get its name. */
  readonly #identity: string | undefined;
  readonly #watcher: FSWatcher;
  #failed = false;

  /** @throws a system error where nothing is told */
  constructor(dir: string, tell: () => void) {
    this.#dir = dir;
    this.#identity = identityAt(dir);
    this.#watcher = watch(dir, { persistent: false }, tell);
    this.#watcher.on('error', () => {
      this.#failed = true;
      tell();
    });
  }

  holds(): boolean {
    return !this.#failed && this.#identity !== undefined && identityAt(this.#dir) === this.#identity;
  }

  close(): void {
    this.#watcher.close();
  }
}

/** With its birth: who removes a folder and makes it again may get the number of the old one. */
function identityAt(dir: string): string | undefined {
  try {
    const stat = statSync(dir, { bigint: true });
    return `${identityOf(stat)}:${stat.birthtimeNs}`;
  } catch {
    return undefined;
  }
}
