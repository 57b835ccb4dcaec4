/** A file system that keeps to a number of descriptors (`descriptor-budget.ts`): what it opens is closed while there is no room for it. */
import { BudgetedFile, type ReopenGuard } from './budgeted-file.js';
import { DescriptorBudget } from './descriptor-budget.js';
import { DescriptorRest } from './descriptor-rest.js';
import type { Host } from './host.js';
import type { Vfs, VfsAnchor, VfsEntry, VfsFile, VfsIdentities, VfsLockResult, VfsStat } from './vfs.js';

/** One for all who use the same file system: descriptors are the process's. */
const budgets = new WeakMap<Vfs, DescriptorBudget>();

function budgetOf(vfs: Vfs): DescriptorBudget {
  let budget = budgets.get(vfs);
  if (budget === undefined) {
    budget = new DescriptorBudget();
    budgets.set(vfs, budget);
  }
  return budget;
}

export class BudgetedVfs implements Vfs {
  readonly budget: DescriptorBudget;
  readonly #vfs: Vfs;
  readonly #leave: () => void;
  readonly #locks: (() => void)[] = [];
  /** What is open for writing, by the name that leads to it. */
  readonly #files = new Map<string, BudgetedFile>();
  readonly #forget = (file: BudgetedFile): void => {
    for (const name of file.names) if (this.#files.get(name) === file) this.#files.delete(name);
  };
  readonly #rest: DescriptorRest | undefined;
  #guard: ReopenGuard | undefined;

  /** `max` descriptors, if nobody with more uses the same file system. Until `leave`. `after`: what nobody has used for a while is closed. */
  constructor(vfs: Vfs, max: number, after?: Host['after']) {
    this.#vfs = vfs;
    this.budget = budgetOf(vfs);
    this.#leave = this.budget.join(max);
    this.#rest = after === undefined ? undefined : new DescriptorRest(after, () => this.budget.tick);
  }

  /** For what is opened from now on. */
  guard(guard: ReopenGuard): void {
    this.#guard = guard;
  }

  /** Nothing is open any more, and the lock is free. */
  leave(): void {
    for (const give of this.#locks.splice(0)) give();
    this.#leave();
  }

  get identities(): VfsIdentities | undefined {
    return this.#vfs.identities;
  }

  get watch(): Vfs['watch'] {
    return this.#vfs.watch;
  }

  list(dir: string): Promise<VfsEntry[]> {
    return this.#passing(() => this.#vfs.list(dir));
  }

  stat(path: string): Promise<VfsStat | undefined> {
    return this.#vfs.stat(path);
  }

  makeDir(dir: string, anchor?: VfsAnchor): Promise<boolean> {
    return this.#passing(() => this.#vfs.makeDir(dir, anchor));
  }

  create(path: string, anchor?: VfsAnchor): Promise<VfsFile> {
    return this.#opened('write', anchor, () => this.#vfs.create(path, anchor));
  }

  open(path: string, access: 'read' | 'write', anchor?: VfsAnchor): Promise<VfsFile> {
    return this.#opened(access, anchor, () => this.#vfs.open(path, access, anchor));
  }

  get endsBlocking(): Vfs['endsBlocking'] {
    return this.#vfs.endsBlocking;
  }

  async rename(from: string, to: string, anchor?: VfsAnchor): Promise<void> {
    const rename = (): Promise<void> => this.#passing(() => this.#vfs.rename(from, to, anchor));
    const file = this.#files.get(from);
    this.#files.get(to)?.removed();
    this.#files.delete(to);
    if (file === undefined) return rename();
    this.#files.set(to, file);
    await file.moved(to, rename);
    if (this.#files.get(from) === file) this.#files.delete(from);
  }

  remove(path: string, anchor?: VfsAnchor): Promise<void> {
    this.#files.get(path)?.removed();
    this.#files.delete(path);
    return this.#passing(() => this.#vfs.remove(path, anchor));
  }

  async syncDir(dir: string, anchor?: VfsAnchor): Promise<void> {
    const { budget } = this;
    await budget.take();
    try {
      await this.#passing(() => this.#vfs.syncDir(dir, anchor));
    } finally {
      budget.give();
    }
  }

  freeBytes(path: string): Promise<number> {
    return this.#vfs.freeBytes(path);
  }

  /** Its descriptors count until `leave`. */
  async lock(path: string, note: string, also?: readonly string[]): Promise<VfsLockResult> {
    const give = this.budget.takeForLock();
    try {
      const result = await this.budget.opening(() => this.#vfs.lock(path, note, also));
      if (result.kind === 'locked') this.#locks.push(give);
      else give();
      return result;
    } catch (error) {
      give();
      throw error;
    }
  }

  async #opened(
    access: 'read' | 'write',
    anchor: VfsAnchor | undefined,
    open: () => Promise<VfsFile>,
  ): Promise<VfsFile> {
    const { budget } = this;
    await budget.take();
    try {
      const handle = await (anchor === undefined ? budget.opening(open) : this.#passing(open));
      const file = new BudgetedFile({
        vfs: this.#vfs,
        budget,
        guard: this.#guard,
        access,
        handle,
        onClosed: this.#forget,
        rest: this.#rest,
      });
      if (access === 'write') this.#files.set(handle.path, file);
      return file;
    } catch (error) {
      budget.give();
      throw error;
    }
  }

  /** A folder is open for the time of the call. */
  #passing<T>(call: () => Promise<T>): Promise<T> {
    return this.budget.passing(() => this.budget.opening(call));
  }
}
