/**
 * A file system that can only be looked at: what the raw room hands to everything below it, so that reading never writes
 * (P11) whatever that code can do. It may answer `list` of one folder with a listing that was taken before, so that a loader
 * works on names that its caller knows.
 */
import { EvaqError } from '../errors.js';
import type { Vfs, VfsEntry, VfsFile, VfsLockResult, VfsStat } from '../vfs/vfs.js';

export interface KnownListing {
  readonly dir: string;
  readonly entries: readonly VfsEntry[];
}

export class ReadOnlyVfs implements Vfs {
  readonly #vfs: Vfs;
  readonly #known: KnownListing | undefined;

  constructor(vfs: Vfs, known?: KnownListing) {
    this.#vfs = vfs;
    this.#known = known;
  }

  get watch(): Vfs['watch'] {
    return this.#vfs.watch;
  }

  list(dir: string): Promise<VfsEntry[]> {
    if (dir === this.#known?.dir) return Promise.resolve([...this.#known.entries]);
    return this.#vfs.list(dir);
  }

  stat(path: string): Promise<VfsStat | undefined> {
    return this.#vfs.stat(path);
  }

  open(path: string, access: 'read' | 'write'): Promise<VfsFile> {
    return access === 'read' ? this.#vfs.open(path, 'read') : refuse(path);
  }

  get endsBlocking(): Vfs['endsBlocking'] {
    return this.#vfs.endsBlocking;
  }

  freeBytes(path: string): Promise<number> {
    return this.#vfs.freeBytes(path);
  }

  makeDir(dir: string): Promise<boolean> {
    return refuse(dir);
  }

  create(path: string): Promise<VfsFile> {
    return refuse(path);
  }

  rename(from: string): Promise<void> {
    return refuse(from);
  }

  remove(path: string): Promise<void> {
    return refuse(path);
  }

  syncDir(dir: string): Promise<void> {
    return refuse(dir);
  }

  lock(path: string): Promise<VfsLockResult> {
    return refuse(path);
  }
}

function refuse(path: string): Promise<never> {
  return Promise.reject(
    new EvaqError('EVAQ_READ_ONLY', `${path} is open for reading only`, {
      details: { path },
      hint: 'Open the store with Evaq.open to write to it.',
    }),
  );
}
