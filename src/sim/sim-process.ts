/**
 * One process on a simulated disk: the ports that it sees the machine through. It dies at `kill()`: what is under way then stops where
 * it is, its locks are free, and none of its promises, timers or turns ever comes.
 */
import type { Host } from '../vfs/host.js';
import type { Vfs, VfsEntry, VfsFile, VfsLockResult, VfsStat } from '../vfs/vfs.js';
import { type SimErrorName, SimSystemError } from './sim-error.js';
import { SimFile } from './sim-file.js';
import type { Incarnation, SimMachine } from './sim-machine.js';
import { ROOT } from './sim-names.js';
import { Prng } from './sim-prng.js';

const LOOKUP_US = 5;
const NAME_US = 30;
const SYNC_DIR_US = 250;
/** What a disk without a capacity claims to have free. */
const PLENTY_BYTES = 2 ** 50;

export class SimProcess implements Incarnation {
  /** From 1 up, in the order in which they were started. */
  readonly id: number;
  readonly vfs: Vfs;
  readonly host: Host;
  readonly #machine: SimMachine;
  readonly #open: Map<number, number> = new Map();
  #alive = true;

  constructor(id: number, machine: SimMachine, epochMs: number) {
    this.id = id;
    this.#machine = machine;
    this.vfs = this.#makeVfs();
    this.host = this.#makeHost(epochMs);
    machine.processes.add(this);
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** As `kill -9`: nothing that was written is lost, and what was being written may be there in part. */
  kill(): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#open.clear();
    const { locks, processes } = this.#machine;
    for (const [inode, holder] of locks) if (holder === this) locks.delete(inode);
    processes.delete(this);
    this.#machine.sweep();
  }

  isOpen(inode: number): boolean {
    return this.#open.has(inode);
  }

  #makeVfs(): Vfs {
    const machine = this.#machine;
    const { image } = machine;
    const { names } = image;

    const list = (dir: string): Promise<VfsEntry[]> =>
      machine.perform(this, {
        name: 'list',
        path: dir,
        syscall: 'scandir',
        errorPaths: [dir],
        costUs: LOOKUP_US,
        effect: () => {
          const folder = names.folders.get(this.#folderAt(dir, 'scandir'));
          return [...(folder?.visible ?? [])].map(([name, inode]) => ({
            name,
            kind: names.isFolder(inode) ? 'directory' : 'file',
          }));
        },
      });

    const stat = (path: string): Promise<VfsStat | undefined> =>
      machine.perform(this, {
        name: 'stat',
        path,
        syscall: 'lstat',
        errorPaths: [path],
        costUs: LOOKUP_US,
        effect: () => {
          const inode = names.lookup(path);
          if (typeof inode === 'string') return undefined;
          if (names.isFolder(inode)) return { kind: 'directory', size: 0 };
          return { kind: 'file', size: image.file(inode)?.size ?? 0 };
        },
      });

    const makeDir = (dir: string): Promise<boolean> =>
      machine.perform(this, {
        name: 'makeDir',
        path: dir,
        syscall: 'mkdir',
        errorPaths: [dir],
        costUs: NAME_US,
        effect: () => {
          if (names.lookup(dir) === ROOT) return false;
          const slot = names.slotOf(dir, 'mkdir');
          if (names.at(slot) !== undefined) return false;
          names.create('mkdir', slot, image.nextInode(), image.nextSerial(), dir);
          return true;
        },
      });

    const create = (path: string): Promise<VfsFile> =>
      machine.perform(this, {
        name: 'create',
        path,
        syscall: 'open',
        errorPaths: [path],
        costUs: NAME_US,
        effect: () => {
          const slot = names.slotOf(path, 'open');
          if (names.at(slot) !== undefined) throw new SimSystemError('EEXIST', 'open', path);
          return this.#handle(path, this.#createFile(path), true);
        },
      });

    const open = (path: string, access: 'read' | 'write'): Promise<VfsFile> =>
      machine.perform(this, {
        name: 'open',
        path,
        detail: access,
        syscall: 'open',
        errorPaths: [path],
        costUs: LOOKUP_US,
        effect: () => this.#handle(path, this.#fileAt(path, 'open'), access === 'write'),
      });

    const rename = (from: string, to: string): Promise<void> =>
      machine.perform(this, {
        name: 'rename',
        path: from,
        detail: `-> ${to}`,
        syscall: 'rename',
        errorPaths: [from, to],
        costUs: NAME_US,
        effect: () => this.#rename(from, to),
      });

    const remove = (path: string): Promise<void> =>
      machine.perform(this, {
        name: 'remove',
        path,
        syscall: 'unlink',
        errorPaths: [path],
        costUs: NAME_US,
        effect: () => {
          const inode = this.#fileAt(path, 'unlink');
          names.remove(names.slotOf(path, 'unlink'), inode, image.nextSerial(), path);
          image.unlink(inode);
        },
      });

    const syncDir = (dir: string): Promise<void> => {
      const mark = image.serial;
      return machine.perform(this, {
        name: 'syncDir',
        path: dir,
        syscall: 'fsync',
        costUs: SYNC_DIR_US,
        effect: () => {
          const folder = this.#folderAt(dir, 'open');
          image.nextSerial();
          names.sync(folder, mark);
          machine.sweep();
        },
        // A failed sync of a folder promises nothing; a later one that succeeds does.
        whenFaulty: () => undefined,
      });
    };

    const freeBytes = (path: string): Promise<number> =>
      machine.perform(this, {
        name: 'freeBytes',
        path,
        syscall: 'statfs',
        errorPaths: [path],
        costUs: LOOKUP_US,
        effect: () => {
          const inode = names.lookup(path);
          if (typeof inode === 'string') throw new SimSystemError(inode, 'statfs', path);
          return Math.min(PLENTY_BYTES, machine.freeBytes());
        },
      });

    const lock = (path: string, note: string): Promise<VfsLockResult> =>
      machine.perform(this, {
        name: 'lock',
        path,
        syscall: 'open',
        errorPaths: [path],
        costUs: NAME_US,
        effect: () => this.#lock(path, note),
      });

    return { list, stat, makeDir, create, open, rename, remove, syncDir, freeBytes, lock };
  }

  #makeHost(epochMs: number): Host {
    const { scheduler, prng } = this.#machine;
    // A sequence of its own: how much of it the program draws does not change what the disk does.
    const random = new Prng(prng.next());
    const isWanted = (): boolean => this.#alive;
    return {
      now: () => epochMs + Math.floor(scheduler.nowUs / 1000),
      elapsed: () => scheduler.nowUs / 1000,
      after: (ms, action) =>
        this.#alive ? scheduler.at(Math.max(0, ms) * 1000, action, { kind: 'timer', isWanted }) : () => undefined,
      soon: (action) => {
        const unlessKilled = (): void => {
          if (this.#alive) action();
        };
        if (this.#alive) scheduler.soon(unlessKilled);
      },
      yield: () =>
        new Promise((resolve) => {
          if (this.#alive) scheduler.at(1, resolve, { isWanted });
        }),
      random: (target) => random.fill(target),
    };
  }

  #handle(path: string, inode: number, isWritable: boolean): SimFile {
    this.#open.set(inode, (this.#open.get(inode) ?? 0) + 1);
    return new SimFile(path, inode, this.#machine, this, isWritable, () => {
      const left = (this.#open.get(inode) ?? 1) - 1;
      if (left > 0) this.#open.set(inode, left);
      else this.#open.delete(inode);
      this.#machine.sweep();
    });
  }

  #createFile(path: string): number {
    const { image } = this.#machine;
    const inode = image.nextInode();
    image.own(inode);
    image.names.create('create', image.names.slotOf(path, 'open'), inode, image.nextSerial(), path);
    return inode;
  }

  #fileAt(path: string, syscall: string): number {
    const { names } = this.#machine.image;
    const inode = names.lookup(path);
    if (typeof inode === 'string') throw new SimSystemError(inode, syscall, path);
    if (names.isFolder(inode)) throw new SimSystemError('EISDIR', syscall, path);
    return inode;
  }

  #folderAt(path: string, syscall: string): number {
    const { names } = this.#machine.image;
    const inode = names.lookup(path);
    if (typeof inode === 'string') throw new SimSystemError(inode, syscall, path);
    if (!names.isFolder(inode)) throw new SimSystemError('ENOTDIR', syscall, path);
    return inode;
  }

  #rename(from: string, to: string): void {
    const { image } = this.#machine;
    const { names } = image;
    const refuse = (code: SimErrorName): never => {
      throw new SimSystemError(code, 'rename', from, to);
    };
    // In the order of Linux: both folders, the source, one within the other, the target.
    const source = names.slotOf(from, 'rename', [from, to]);
    const target = names.slotOf(to, 'rename', [from, to]);
    const inode = names.at(source) ?? refuse('ENOENT');
    const replaced = names.at(target);
    if (names.isFolder(inode) && to.startsWith(`${from}/`)) refuse('EINVAL');
    if (from.startsWith(`${to}/`)) refuse('ENOTEMPTY');
    if (replaced === inode) return;
    const replacedFolder = replaced === undefined ? undefined : names.folders.get(replaced);
    if (names.isFolder(inode)) {
      if (replaced !== undefined && replacedFolder === undefined) refuse('ENOTDIR');
      if (replacedFolder !== undefined && replacedFolder.visible.size > 0) refuse('ENOTEMPTY');
    } else if (replacedFolder !== undefined) {
      refuse('EISDIR');
    }
    names.rename(source, target, inode, image.nextSerial(), `${from} -> ${to}`);
    if (replaced !== undefined) image.unlink(replaced);
  }

  #lock(path: string, note: string): VfsLockResult {
    const machine = this.#machine;
    const { image } = machine;
    const slot = image.names.slotOf(path, 'open');
    const inode = image.names.at(slot) === undefined ? this.#createFile(path) : this.#fileAt(path, 'open');
    if (machine.locks.has(inode)) {
      const file = image.file(inode);
      const bytes = Buffer.alloc(file?.size ?? 0);
      file?.read(bytes, 0, bytes.length, 0);
      return { kind: 'held', note: bytes.toString() };
    }
    machine.locks.set(inode, this);
    const bytes = Buffer.from(note);
    image.own(inode).truncate(0, image.nextSerial());
    try {
      machine.write(inode, bytes, 0, bytes.length, 0);
    } catch {
      // The note is for people; a full disk must not keep a store shut.
    }
    let held = true;
    const release = (): Promise<void> => {
      if (!held) return Promise.resolve();
      held = false;
      return machine.perform(this, {
        name: 'release',
        path,
        syscall: 'close',
        costUs: LOOKUP_US,
        effect: () => {
          machine.locks.delete(inode);
        },
      });
    };
    return { kind: 'locked', lock: { release } };
  }
}
