/**
 * The ground that an open store stands on: its folder, the files LOCK and STORE, `queues/`, the folder of each queue, and the files that are open for
 * writing. Somebody may remove, move or replace any of it. What is open is written to all the same, and synced, and is nowhere: so the ground is
 * looked at, and the store stops where a path no longer leads to what it led to.
 *
 * - Before a file is made, named, removed or opened for writing by its path: nothing is ever changed in a folder that has come to be another's.
 * - At `flush` and `close`, before they resolve: what they vouch for can be found again.
 * - While a file is written to, ten times a second at most; never for each push. By calls that block, before a write, a hundred times.
 *
 * A look that cannot be made (an error of the disk) tells nothing, and stops nothing.
 */
import { EvaqError, reported } from '../errors.js';
import type { FailStop } from '../fail-stop.js';
import { LOCK_FILE, QUEUES_DIR, STORE_FILE } from '../layout/store-file.js';
import type { Host } from '../vfs/host.js';
import type { VfsAnchor, VfsIdentities, VfsLock } from '../vfs/vfs.js';

/** A file that is open for writing. */
export interface HeldFile {
  /** Its path leads to it under another name from now on. */
  renamed(to: string): void;
  identity(): string | undefined;
}

export interface GroundOptions {
  readonly path: string;
  /** Undefined: the file system cannot tell files apart, and nothing is noticed. */
  readonly identities: VfsIdentities | undefined;
  readonly host: Host;
  readonly failStop: FailStop;
}

/** Files looked at in one turn of the event loop: two calls of the operating system each. */
const FILES_A_TURN = 64;

export class Ground {
  readonly #options: GroundOptions;
  readonly #queuesDir: string;
  /** By path: what it has to lead to. */
  readonly #store = new Map<string, string>();
  readonly #queues = new Map<string, string>();
  /** By the folder of their queue, and by the path that leads to them now. What is being renamed or removed has none. */
  readonly #held = new Map<string | undefined, Map<string, HeldFile>>();
  #lock: VfsLock | undefined;
  #changed: EvaqError | undefined;

  constructor(options: GroundOptions) {
    this.#options = options;
    this.#queuesDir = `${options.path}/${QUEUES_DIR}`;
  }

  /** Why the store had to stop, if something was changed. */
  get changed(): EvaqError | undefined {
    return this.#changed;
  }

  /** Remembers the folders of the store, and the files that are locked. */
  noteStore(lock: VfsLock): void {
    const { path } = this.#options;
    for (const place of [path, this.#queuesDir, `${path}/${STORE_FILE}`]) this.#note(this.#store, place);
    if (lock.identity !== undefined) this.#store.set(`${path}/${LOCK_FILE}`, lock.identity);
    this.#lock = lock;
  }

  /** The store itself is about to name `from` as `to`. Where that is a file that is locked, the new one is, before anybody can find it. */
  replacing(from: string, to: string): void {
    if (this.#store.has(to) && this.#lock?.addBlocking(from) === false) this.#stop(from, undefined);
  }

  /** It has: `to` leads to another file from now on. */
  replaced(to: string): void {
    if (this.#store.has(to)) this.#note(this.#store, to);
  }

  /** Remembers the folder of a queue. */
  noteQueue(dir: string): void {
    this.#note(this.#queues, dir);
  }

  /** `path` leads to `file`, until that is renamed, removed or closed. */
  hold(path: string, file: HeldFile): void {
    const dir = this.#queueDirOf(path);
    const held = this.#held.get(dir) ?? new Map<string, HeldFile>();
    held.set(path, file);
    this.#held.set(dir, held);
  }

  letGo(path: string, file: HeldFile): void {
    if (this.#heldAt(path) === file) this.take(path);
  }

  /** The file that `path` leads to, if it is open for writing; from now on nothing is expected of the path. */
  take(path: string): HeldFile | undefined {
    const dir = this.#queueDirOf(path);
    const held = this.#held.get(dir);
    const file = held?.get(path);
    held?.delete(path);
    if (held?.size === 0) this.#held.delete(dir);
    return file;
  }

  /**
   * Looks at all that `path`, in a queue's folder, depends on, and at the files of that folder that are open for writing.
   * @throws EVAQ_FAILED where something was changed: the store has stopped then. EVAQ_IO where that cannot be told.
   */
  async check(path: string): Promise<void> {
    const { identities, host } = this.#options;
    if (identities === undefined) return;
    try {
      await this.#checkFolders(identities, path);
      let looked = 0;
      for (const [name, file] of this.#heldIn(this.#queueDirOf(path))) {
        if (++looked % FILES_A_TURN === 0) await host.yield();
        this.#checkFile(identities, name, file);
      }
    } catch (error) {
      throw reported(error, `looking at ${path}`, { path });
    }
  }

  /** Looks at the folders and one file that is open, and stops the store where they changed. Never rejects. */
  async look(path: string): Promise<void> {
    const { identities } = this.#options;
    if (identities === undefined) return;
    try {
      await this.#checkFolders(identities, path);
      this.#checkFile(identities, path, this.#heldAt(path));
    } catch {
      // The store has stopped, or there is nothing to be said.
    }
  }

  /** The same of the folders alone, before it returns. @throws EVAQ_FAILED */
  checkBlocking(path: string): void {
    const { identities } = this.#options;
    if (identities === undefined) return;
    // Before every change by a path: nothing is put together for it.
    for (const [place, identity] of this.#store) this.#expectBlocking(identities, place, identity);
    const dir = this.#queueDirOf(path);
    const identity = dir === undefined ? undefined : this.#queues.get(dir);
    if (dir !== undefined && identity !== undefined) this.#expectBlocking(identities, dir, identity);
  }

  #expectBlocking(identities: VfsIdentities, place: string, identity: string): void {
    let found: string | undefined;
    try {
      found = identities.ofBlocking(place);
    } catch (error) {
      if (error instanceof EvaqError) throw error;
      return;
    }
    this.#expect(place, identity, found);
  }

  /** The folders that `path` is in, and one file that is open. @throws EVAQ_FAILED */
  checkFileBlocking(path: string): void {
    this.checkBlocking(path);
    const { identities } = this.#options;
    if (identities === undefined) return;
    try {
      this.#checkFile(identities, path, this.#heldAt(path));
    } catch (error) {
      if (error instanceof EvaqError) throw error;
    }
  }

  /** `path` leads to another file than it did, or to none. The error for whoever needs it; the store has stopped. */
  lost(path: string, found: 'another file' | 'nothing'): EvaqError {
    return this.#stopped(path, found === 'nothing');
  }

  /** The innermost folder that `path` is in, or is, and that is known. */
  anchorOf(path: string): VfsAnchor | undefined {
    const dir = this.#queueDirOf(path);
    const ofQueue = dir === undefined ? undefined : this.#queues.get(dir);
    if (dir !== undefined && ofQueue !== undefined) return { dir, identity: ofQueue };
    for (const outer of [this.#queuesDir, this.#options.path]) {
      const identity = this.#store.get(outer);
      if (identity !== undefined && (path === outer || path.startsWith(`${outer}/`))) return { dir: outer, identity };
    }
    return undefined;
  }

  #note(places: Map<string, string>, place: string): void {
    const identity = this.#options.identities?.ofBlocking(place);
    if (identity !== undefined) places.set(place, identity);
    else if (this.#options.identities !== undefined) this.#stop(place, undefined);
  }

  #placesOf(path: string): (readonly [string, string])[] {
    const dir = this.#queueDirOf(path);
    const identity = dir === undefined ? undefined : this.#queues.get(dir);
    return dir === undefined || identity === undefined ? [...this.#store] : [...this.#store, [dir, identity]];
  }

  /** The folder of the queue that `path` is, or is in. */
  #queueDirOf(path: string): string | undefined {
    if (!path.startsWith(`${this.#queuesDir}/`)) return undefined;
    const end = path.indexOf('/', this.#queuesDir.length + 1);
    return end < 0 ? path : path.slice(0, end);
  }

  #heldAt(path: string): HeldFile | undefined {
    return this.#held.get(this.#queueDirOf(path))?.get(path);
  }

  #heldIn(dir: string | undefined): (readonly [string, HeldFile])[] {
    return dir === undefined ? [] : [...(this.#held.get(dir) ?? [])];
  }

  async #checkFolders(identities: VfsIdentities, path: string): Promise<void> {
    const places = this.#placesOf(path);
    const found = await Promise.all(places.map(([place]) => identities.of(place)));
    for (const [i, [place, identity]] of places.entries()) this.#expect(place, identity, found[i]);
  }

  /** Blocking, so that no renaming, removing or closing of our own comes in between. */
  #checkFile(identities: VfsIdentities, path: string, file: HeldFile | undefined): void {
    if (file === undefined || this.#heldAt(path) !== file) return;
    const identity = file.identity();
    if (identity !== undefined) this.#expect(path, identity, identities.ofBlocking(path));
  }

  #expect(path: string, identity: string, found: string | undefined): void {
    if (found !== identity) this.#stop(path, found);
  }

  #stop(path: string, found: string | undefined): never {
    throw this.#stopped(path, found === undefined);
  }

  #stopped(path: string, isGone: boolean): EvaqError {
    this.#changed ??= new EvaqError(
      'EVAQ_FAILED',
      `the store has stopped: ${path} was ${isGone ? 'removed or moved' : 'replaced'} while the store was open`,
      {
        details: { path },
        hint: 'What was acknowledged since may not be there. See that nobody removes, moves or replaces a store that is open; close it and open it again.',
      },
    );
    return this.#options.failStop.stop(this.#changed);
  }
}
