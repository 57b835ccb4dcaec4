/**
 * A file whose descriptor is closed while nobody uses it, if there is no room for it, and opened again by its name when it is needed
 * (`DescriptorBudget`). Whoever holds it does not notice, but for the time that takes.
 *
 * - Before the descriptor of a file that was written to is closed, what was written is synced. Where that fails the store stops, as
 *   after any other sync, and the file is never opened again.
 * - What is opened again for writing has to be the file that was closed: the same identity and size, in folders that have not
 *   changed. If it is another one, or none is there, the store stops.
 *
 * Calls may be made concurrently, as the port has it.
 */
import { assert } from '../assert.js';
import { isNotFound } from '../errors.js';
import type { DescriptorBudget, RestingFile } from './descriptor-budget.js';
import type { DescriptorRest } from './descriptor-rest.js';
import type { Vfs, VfsChunk, VfsFile } from './vfs.js';

/** What a store does about files that are closed and opened again. */
export interface ReopenGuard {
  /** Before a file is opened by its name for writing. Throws where that leads to another place than it did. */
  check(path: string): void;
  /** Another file is there, or none. The error for those who need it. */
  replaced(path: string, found: 'another file' | 'nothing'): Error;
  /** A sync before a close failed. The error for those who come later. */
  syncFailed(cause: unknown, path: string): Error;
}

export interface BudgetedFileInit {
  readonly vfs: Vfs;
  readonly budget: DescriptorBudget;
  readonly guard: ReopenGuard | undefined;
  readonly access: 'read' | 'write';
  /** It has a slot. */
  readonly handle: VfsFile;
  readonly onClosed: (file: BudgetedFile) => void;
  /** Told whenever it gets a descriptor, and when that is to be closed. */
  readonly rest: Pick<DescriptorRest, 'opened' | 'closed'> | undefined;
}

export class BudgetedFile implements VfsFile, RestingFile {
  readonly path: string;
  readonly #init: BudgetedFileInit;
  readonly #identity: string | undefined;
  #handle: VfsFile | undefined;
  /** What leads to it now. Two after a rename of which it is not known whether it was done; none when it was removed. */
  #names: readonly string[];
  #moving: Promise<unknown> | undefined;
  #opening: Promise<VfsFile> | undefined;
  #resting: Promise<void> | undefined;
  #users = 0;
  /** Users that wait for their turn. */
  #queued = 0;
  #usedAt = 0;
  /** Changes that were begun, that have ended, and up to which all are synced. */
  #begun = 0;
  #ended = 0;
  #synced = 0;
  /** Of the file when its descriptor was closed; -1: not known. */
  #size = -1;
  #failure: Error | undefined;
  #closed = false;

  constructor(init: BudgetedFileInit) {
    this.#init = init;
    this.path = init.handle.path;
    this.#names = [this.path];
    this.#identity = init.access === 'write' ? init.handle.identityBlocking?.() : undefined;
    this.#handle = init.handle;
    this.#usedAt = init.budget.tick;
    init.budget.add(this);
    init.rest?.opened(this);
  }

  /** What leads to it, as far as is known. */
  get names(): readonly string[] {
    return this.#names;
  }

  get #name(): string {
    return this.#names[0] ?? this.path;
  }

  get isAtHand(): boolean {
    return this.#handle !== undefined;
  }

  get usedAt(): number {
    return this.#usedAt;
  }

  get isDirty(): boolean {
    return this.#begun > this.#synced;
  }

  get isUsed(): boolean {
    return this.#users > this.#queued && this.#handle !== undefined;
  }

  get mayRest(): boolean {
    const { access, vfs } = this.#init;
    if (access === 'write' && vfs.openBlocking === undefined) return false;
    const isIdle = this.#users === 0 && this.#resting === undefined && this.#moving === undefined;
    return isIdle && this.#handle !== undefined && this.#names.length > 0 && !this.#closed;
  }

  size(): Promise<number> {
    return this.#use((handle) => handle.size());
  }

  readAt(target: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return this.#use((handle) => handle.readAt(target, offset, length, position));
  }

  writeAt(source: Uint8Array, offset: number, length: number, position: number): Promise<void> {
    return this.#change((handle) => handle.writeAt(source, offset, length, position));
  }

  /** Where the system has no descriptor left it rejects at once: who waits for one waits for files that are in use, and this is one of them. */
  extend(length: number): Promise<void> {
    const { budget } = this.#init;
    return this.#change((handle) => {
      this.#queued++;
      return budget.passing(() => {
        this.#queued--;
        return handle.extend(length);
      });
    });
  }

  truncate(size: number): Promise<void> {
    return this.#change((handle) => handle.truncate(size));
  }

  sync(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    // Of two syncs under way on one descriptor only one may hear of a failure.
    if (this.#resting !== undefined) return this.#resting.then(() => this.sync());
    // Closed, and synced before.
    if (this.#handle === undefined && !this.isDirty) return Promise.resolve();
    return this.#use((handle) => this.#sync(handle));
  }

  writeBlocking(chunk: VfsChunk): void {
    if (this.#failure !== undefined) throw this.#failure;
    assert(this.#handle !== undefined, 'what blocks the thread asks whether the file is at hand');
    this.#usedAt = this.#init.budget.tick;
    const handle = this.#handle;
    this.#changeBlocking(() => handle.writeBlocking(chunk));
  }

  truncateBlocking(size: number): void {
    this.#withBlocking((handle) => this.#changeBlocking(() => handle.truncateBlocking(size)));
  }

  writeAndSyncBlocking(chunks: Iterable<VfsChunk>): void {
    const { budget } = this.#init;
    let isBegun = false;
    function* noted(): Generator<VfsChunk> {
      isBegun = true;
      yield* chunks;
    }
    const write = (handle: VfsFile): void => {
      this.#begun++;
      this.#size = -1;
      try {
        budget.openingBlocking(
          () => handle.writeAndSyncBlocking(noted()),
          () => !isBegun,
        );
      } finally {
        this.#ended++;
      }
      if (this.#ended === this.#begun) this.#synced = this.#begun;
    };
    // No other is opened then, so that its name does not matter.
    if (this.#failure === undefined && this.#handle?.isQuiet === true) {
      this.#usedAt = budget.tick;
      write(this.#handle);
    } else this.#withBlocking(write);
  }

  /** As it was when it was opened: no other file is opened in its place. */
  identityBlocking(): string | undefined {
    return this.#identity;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const { budget, onClosed } = this.#init;
    onClosed(this);
    await this.#resting;
    await this.#opening?.catch(() => undefined);
    const handle = this.#take();
    if (handle === undefined) return;
    try {
      await handle.close();
    } finally {
      budget.give();
    }
  }

  closeBlocking(): void {
    const { budget, onClosed } = this.#init;
    if (this.#closed || this.#handle?.closeBlocking === undefined) return;
    this.#closed = true;
    onClosed(this);
    this.#take()?.closeBlocking?.();
    budget.give();
  }

  /** Its name changes by `rename`, during which it is not opened. */
  async moved(to: string, rename: () => Promise<void>): Promise<void> {
    const renaming = rename();
    const settled = renaming.then(
      () => {
        this.#names = [to];
      },
      () => {
        this.#names = [to, ...this.#names];
      },
    );
    this.#moving = settled;
    await settled;
    if (this.#moving === settled) this.#moving = undefined;
    this.#init.budget.noteRest();
    await renaming;
  }

  /** No name leads to it any more. */
  removed(): void {
    this.#names = [];
  }

  rest(): Promise<void> {
    assert(this.mayRest, 'only what nobody uses rests');
    this.#resting = this.#rest().finally(() => {
      this.#resting = undefined;
      this.#init.budget.noteRest();
    });
    return this.#resting;
  }

  restBlocking(): boolean {
    assert(this.mayRest && !this.isDirty, 'only what is synced is closed at once');
    if (this.#handle?.closeBlocking === undefined) return false;
    this.#size = -1;
    this.#take()?.closeBlocking?.();
    this.#init.budget.give();
    return true;
  }

  async #rest(): Promise<void> {
    const { access, budget, guard } = this.#init;
    const handle = this.#handle;
    if (handle === undefined) return;
    try {
      if (this.isDirty) await this.#sync(handle);
    } catch (cause) {
      // Whoever has a call under way is told by that, or by the next.
      this.#failure = guard?.syncFailed(cause, this.#name) ?? new Error(`${this.#name} could not be synced`, { cause });
    }
    // Somebody may have come meanwhile. Used once more it is not the least recently used.
    if (this.#mustStay) return;
    if (access === 'write' && this.#failure === undefined) {
      const begun = this.#begun;
      const size = await handle.size().catch(() => -1);
      if (this.#mustStay || this.#begun !== begun) return;
      this.#size = size;
    }
    this.#take();
    await handle.close().catch(() => undefined);
    budget.give();
  }

  get #mustStay(): boolean {
    const isWanted = this.#users > 0 || this.#closed || this.#moving !== undefined || this.#names.length === 0;
    return isWanted || (this.isDirty && this.#failure === undefined);
  }

  /** The descriptor, which is to be closed. */
  #take(): VfsFile | undefined {
    const handle = this.#handle;
    this.#handle = undefined;
    this.#init.budget.delete(this);
    this.#init.rest?.closed(this);
    return handle;
  }

  #use<T>(call: (handle: VfsFile) => Promise<T>): Promise<T> {
    this.#users++;
    this.#usedAt = this.#init.budget.tick;
    const handle = this.#handle;
    const used = handle === undefined ? this.#atHand().then(call) : call(handle);
    const done = (): void => {
      this.#users--;
      if (!this.isUsed) this.#init.budget.noteRest();
    };
    used.then(done, done);
    return used;
  }

  #change(call: (handle: VfsFile) => Promise<void>): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#begun++;
    const changed = this.#use(call);
    const done = (): void => {
      this.#ended++;
    };
    changed.then(done, done);
    return changed;
  }

  #changeBlocking(change: () => void): void {
    this.#begun++;
    this.#size = -1;
    try {
      change();
    } finally {
      this.#ended++;
    }
  }

  async #sync(handle: VfsFile): Promise<void> {
    // Of what is under way nothing is known: another sync has to come.
    const covered = this.#ended === this.#begun ? this.#begun : this.#synced;
    await handle.sync();
    this.#synced = Math.max(this.#synced, covered);
  }

  /** Runs `use` with the descriptor there is, or with one that is closed when it returns. */
  #withBlocking(use: (handle: VfsFile) => void): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#usedAt = this.#init.budget.tick;
    const name = this.#name;
    // The file opens others like itself by the name that it was opened by.
    if (this.#handle !== undefined && this.#handle.path === name) {
      use(this.#handle);
      return;
    }
    const { vfs, budget, guard } = this.#init;
    guard?.check(name);
    const handle = budget.openingBlocking(() => {
      assert(vfs.openBlocking !== undefined, 'a file rests only where it can be opened again at once');
      return vfs.openBlocking(name);
    });
    try {
      if (!this.#isSame(handle)) throw this.#replaced(name, 'another file');
      use(handle);
    } finally {
      handle.closeBlocking?.();
    }
  }

  #atHand(): Promise<VfsFile> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#handle !== undefined) return Promise.resolve(this.#handle);
    this.#opening ??= this.#reopen().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #reopen(): Promise<VfsFile> {
    const { budget, guard, access } = this.#init;
    await budget.take();
    try {
      await this.#moving;
      const handle = await budget.opening(() => this.#openByName());
      if (access === 'write' && !(this.#isSame(handle) && (await this.#hasItsSize(handle)))) {
        await handle.close().catch(() => undefined);
        throw this.#replaced(handle.path, 'another file');
      }
      this.#handle = handle;
      budget.add(this);
      this.#init.rest?.opened(this);
      return handle;
    } catch (error) {
      budget.give();
      if (access !== 'write' || guard === undefined || !isNotFound(error)) throw error;
      throw this.#replaced(this.#name, 'nothing');
    }
  }

  async #openByName(): Promise<VfsFile> {
    const { vfs, guard, access } = this.#init;
    const [name = this.path, other] = this.#names;
    if (access === 'write') guard?.check(name);
    try {
      return await vfs.open(name, access);
    } catch (error) {
      if (other === undefined || !isNotFound(error)) throw error;
      return await vfs.open(other, access);
    }
  }

  /** The number of a file that is gone may be another's by now. */
  async #hasItsSize(handle: VfsFile): Promise<boolean> {
    if (this.#size < 0) return true;
    const size = await handle.size().catch(() => -1);
    // A blocking write may have come in between.
    return size < 0 || this.#size < 0 || size === this.#size;
  }

  #isSame(handle: VfsFile): boolean {
    return this.#identity === undefined || handle.identityBlocking?.() === this.#identity;
  }

  #replaced(path: string, found: 'another file' | 'nothing'): Error {
    this.#failure = this.#init.guard?.replaced(path, found) ?? new Error(`${path} is not the file that it was`);
    return this.#failure;
  }
}
