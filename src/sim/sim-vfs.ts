/** The file system as one process on a simulated disk sees it. */
import type {
  Vfs,
  VfsAnchor,
  VfsEnds,
  VfsEntry,
  VfsFile,
  VfsIdentities,
  VfsLock,
  VfsLockResult,
  VfsStat,
} from '../vfs/vfs.js';
import { type SimErrorName, SimSystemError } from './sim-error.js';
import { identityOf, SimFile } from './sim-file.js';
import type { SimImage } from './sim-image.js';
import type { Incarnation, SimMachine } from './sim-machine.js';
import { ROOT } from './sim-names.js';
import type { Prng } from './sim-prng.js';

// Microseconds, in proportion to what a disk takes.
const LOOKUP_US = 5;
const NAME_US = 30;
const SYNC_DIR_US = 250;
/** What a disk without a capacity claims to have free. */
const PLENTY_BYTES = 2 ** 50;

export class SimVfs implements Vfs {
  readonly #machine: SimMachine;
  readonly #image: SimImage;
  readonly #process: Incarnation;

  constructor(machine: SimMachine, process: Incarnation) {
    this.#machine = machine;
    this.#image = machine.image;
    this.#process = process;
  }

  get identities(): VfsIdentities {
    return { of: (path) => this.#identity(path), ofBlocking: (path) => this.#identityBlocking(path) };
  }

  list(dir: string): Promise<VfsEntry[]> {
    return this.#machine.perform(this.#process, {
      name: 'list',
      path: dir,
      syscall: 'scandir',
      errorPaths: [dir],
      costUs: LOOKUP_US,
      effect: () => {
        this.#machine.requireDescriptor(this.#process, 'scandir', dir);
        const folder = this.#image.names.folders.get(this.#folderAt(dir, 'scandir'));
        const entries = [...(folder?.visible ?? [])].map(([name, inode]): VfsEntry => {
          return { name, kind: this.#image.names.isFolder(inode) ? 'directory' : 'file' };
        });
        // No file system promises an order, so none is kept.
        if (this.#machine.timing === 'wild') shuffle(entries, this.#machine.prng);
        return entries;
      },
    });
  }

  stat(path: string): Promise<VfsStat | undefined> {
    return this.#machine.perform(this.#process, {
      name: 'stat',
      path,
      syscall: 'lstat',
      errorPaths: [path],
      costUs: LOOKUP_US,
      effect: () => {
        const inode = this.#image.names.lookup(path);
        if (typeof inode === 'string') return undefined;
        if (this.#image.names.isFolder(inode)) return { kind: 'directory', size: 0 };
        return { kind: 'file', size: this.#image.file(inode)?.size ?? 0 };
      },
    });
  }

  #identity(path: string): Promise<string | undefined> {
    return this.#machine.perform(this.#process, {
      name: 'identity',
      path,
      syscall: 'stat',
      errorPaths: [path],
      costUs: LOOKUP_US,
      effect: () => this.#identityOf(path),
    });
  }

  /** Changes nothing, so it is no step of the history. A fault hits it like the other. */
  #identityBlocking(path: string): string | undefined {
    const machine = this.#machine;
    // The dead hear of no errors; whatever comes next never ends.
    if (!this.#process.alive) return this.#identityOf(path);
    const call = machine.begin(this.#process, 'identity', path, 'blocking');
    const fault = machine.faults.hit('identity', call);
    machine.end(call, fault === undefined ? 'ok' : (fault.error ?? 'EIO'));
    if (fault !== undefined) throw new SimSystemError(fault.error ?? 'EIO', 'stat', path);
    return this.#identityOf(path);
  }

  makeDir(dir: string, anchor?: VfsAnchor): Promise<boolean> {
    return this.#machine.perform(this.#process, {
      name: 'makeDir',
      path: dir,
      syscall: 'mkdir',
      errorPaths: [dir],
      costUs: NAME_US,
      effect: () => {
        this.#requireAnchor(anchor, 'mkdir', dir);
        if (this.#image.names.lookup(dir) === ROOT) return false;
        const slot = this.#image.names.slotOf(dir, 'mkdir');
        if (this.#image.names.at(slot) !== undefined) return false;
        this.#image.names.create('mkdir', slot, this.#image.nextInode(), this.#image.nextSerial(), dir);
        return true;
      },
    });
  }

  create(path: string, anchor?: VfsAnchor): Promise<VfsFile> {
    const createFile = (): number => {
      this.#requireAnchor(anchor, 'open', path);
      const slot = this.#image.names.slotOf(path, 'open');
      if (this.#image.names.at(slot) !== undefined) throw new SimSystemError('EEXIST', 'open', path);
      this.#machine.requireDescriptor(this.#process, 'open', path);
      return this.#createFile(path);
    };
    return this.#machine.perform(this.#process, {
      name: 'create',
      path,
      syscall: 'open',
      errorPaths: [path],
      costUs: NAME_US,
      effect: () => this.#handle(path, createFile(), true),
      // The file may be there; a descriptor that nobody was given is not.
      whenFaulty: ({ alsoDone }) => {
        if (alsoDone === true) createFile();
      },
    });
  }

  open(path: string, access: 'read' | 'write', anchor?: VfsAnchor): Promise<VfsFile> {
    return this.#machine.perform(this.#process, {
      name: 'open',
      path,
      detail: access,
      syscall: 'open',
      errorPaths: [path],
      costUs: LOOKUP_US,
      effect: () => {
        this.#requireAnchor(anchor, 'open', path);
        return this.#open(path, access === 'write');
      },
      whenFaulty: () => undefined,
    });
  }

  readonly openBlocking = (path: string): SimFile => {
    const machine = this.#machine;
    if (!this.#process.alive) throw new Error('this simulated process is dead');
    const call = machine.begin(this.#process, 'open', path, 'write, blocking');
    machine.scheduler.spend(LOOKUP_US);
    const fault = machine.faults.hit('open', call);
    try {
      if (fault !== undefined) throw new SimSystemError(fault.error ?? 'EIO', 'open', path);
      const file = this.#open(path, true);
      machine.step('effect', call);
      machine.end(call, 'ok');
      return file;
    } catch (error) {
      machine.end(call, error instanceof SimSystemError ? error.code : 'failed');
      throw error;
    }
  };

  /** Changes nothing, so it is no step of the history. Where faults are to hit it leaves them to the calls that tell of them. */
  readonly endsBlocking = (path: string, head: Uint8Array, tail: Uint8Array): VfsEnds | undefined => {
    const machine = this.#machine;
    if (!this.#process.alive || !machine.faults.isEmpty) return undefined;
    const call = machine.begin(this.#process, 'read', path, `ends, blocking, 0+${head.length + tail.length}`);
    machine.scheduler.spend(LOOKUP_US);
    try {
      const file = machine.image.file(this.#fileAt(path, 'open'));
      machine.requireDescriptor(this.#process, 'open', path);
      const size = file?.size ?? 0;
      const tailAt = Math.max(0, size - tail.length);
      if (file === undefined || file.isUnreadable(0, head.length) || file.isUnreadable(tailAt, tail.length))
        throw new SimSystemError('EIO', 'read');
      const front = file.read(head, 0, head.length, 0);
      const ends = { size, head: front, tail: front < head.length ? 0 : file.read(tail, 0, tail.length, tailAt) };
      machine.end(call, 'ok');
      return ends;
    } catch (error) {
      machine.end(call, error instanceof SimSystemError ? error.code : 'failed');
      if (error instanceof SimSystemError) return undefined;
      throw error;
    }
  };

  rename(from: string, to: string, anchor?: VfsAnchor): Promise<void> {
    return this.#machine.perform(this.#process, {
      name: 'rename',
      path: from,
      detail: `-> ${to}`,
      syscall: 'rename',
      errorPaths: [from, to],
      costUs: NAME_US,
      effect: () => {
        this.#requireAnchor(anchor, 'rename', from);
        return this.#rename(from, to);
      },
    });
  }

  remove(path: string, anchor?: VfsAnchor): Promise<void> {
    return this.#machine.perform(this.#process, {
      name: 'remove',
      path,
      syscall: 'unlink',
      errorPaths: [path],
      costUs: NAME_US,
      effect: () => {
        this.#requireAnchor(anchor, 'unlink', path);
        const inode = this.#fileAt(path, 'unlink');
        this.#image.names.remove(this.#image.names.slotOf(path, 'unlink'), inode, this.#image.nextSerial(), path);
        this.#image.unlink(inode);
      },
    });
  }

  syncDir(dir: string, anchor?: VfsAnchor): Promise<void> {
    const mark = this.#image.serial;
    return this.#machine.perform(this.#process, {
      name: 'syncDir',
      path: dir,
      syscall: 'fsync',
      costUs: SYNC_DIR_US,
      effect: () => {
        this.#requireAnchor(anchor, 'open', dir);
        const folder = this.#folderAt(dir, 'open');
        this.#machine.requireDescriptor(this.#process, 'open', dir);
        this.#image.nextSerial();
        this.#image.names.sync(folder, mark);
        this.#machine.sweep();
      },
      // A failed sync of a folder promises nothing; a later one that succeeds does.
      whenFaulty: () => undefined,
    });
  }

  freeBytes(path: string): Promise<number> {
    return this.#machine.perform(this.#process, {
      name: 'freeBytes',
      path,
      syscall: 'statfs',
      errorPaths: [path],
      costUs: LOOKUP_US,
      effect: () => {
        const inode = this.#image.names.lookup(path);
        if (typeof inode === 'string') throw new SimSystemError(inode, 'statfs', path);
        return Math.min(PLENTY_BYTES, this.#machine.freeBytes());
      },
    });
  }

  lock(path: string, note: string, also: readonly string[] = []): Promise<VfsLockResult> {
    return this.#machine.perform(this.#process, {
      name: 'lock',
      path,
      syscall: 'open',
      errorPaths: [path],
      costUs: NAME_US,
      effect: () => this.#lock(path, note, also),
      whenFaulty: () => undefined,
    });
  }

  #requireAnchor(anchor: VfsAnchor | undefined, syscall: string, path: string): void {
    if (anchor === undefined) return;
    const found = this.#identityOf(anchor.dir);
    if (found !== anchor.identity) throw new SimSystemError(found === undefined ? 'ENOENT' : 'ESTALE', syscall, path);
  }

  #identityOf(path: string): string | undefined {
    const inode = this.#image.names.lookup(path);
    return typeof inode === 'string' ? undefined : identityOf(inode);
  }

  #open(path: string, isWritable: boolean): SimFile {
    const inode = this.#fileAt(path, 'open');
    this.#machine.requireDescriptor(this.#process, 'open', path);
    return this.#handle(path, inode, isWritable);
  }

  #handle(path: string, inode: number, isWritable: boolean): SimFile {
    const close = this.#process.opened(inode, isWritable);
    return new SimFile(path, inode, this.#machine, this.#process, isWritable, close);
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

  /**
   * Files are locked, by what they are and not by their names; folders are not: in a worker thread, or without `fs-ext`, Linux has no such lock.
   */
  #lock(path: string, note: string, also: readonly string[]): VfsLockResult {
    const machine = this.#machine;
    const { image } = machine;
    const slot = image.names.slotOf(path, 'open');
    const inode = image.names.at(slot) === undefined ? this.#createFile(path) : this.#fileAt(path, 'open');
    const others = also.flatMap((one) => this.#fileIfThere(one));
    const holders = [inode, ...others].flatMap((one) => machine.locks.get(one) ?? []);
    if (holders.length > 0) {
      const file = image.file(inode);
      const bytes = Buffer.alloc(machine.locks.has(inode) ? (file?.size ?? 0) : 0);
      file?.read(bytes, 0, bytes.length, 0);
      return { kind: 'held', note: bytes.toString(), ours: holders.includes(this.#process) };
    }
    const held = new Set([inode, ...others]);
    for (const locked of held) machine.locks.set(locked, this.#process);
    const bytes = Buffer.from(note);
    image.own(inode).truncate(0, image.nextSerial());
    try {
      machine.write(inode, bytes, 0, bytes.length, 0);
    } catch {
      // The note is for people; a full disk must not keep a store shut.
    }
    return { kind: 'locked', lock: this.#lockOn(path, identityOf(inode), held) };
  }

  #lockOn(path: string, identity: string, held: Set<number>): VfsLock {
    const machine = this.#machine;
    return {
      identity,
      addBlocking: (other) => {
        const [inode] = this.#fileIfThere(other);
        // Nothing comes of what the dead do.
        if (inode === undefined || !this.#process.alive || held.has(inode)) return true;
        if (machine.locks.has(inode)) return false;
        held.add(inode);
        machine.locks.set(inode, this.#process);
        return true;
      },
      release: () => {
        if (held.size === 0) return Promise.resolve();
        return machine.perform(this.#process, {
          name: 'release',
          path,
          syscall: 'close',
          costUs: LOOKUP_US,
          effect: () => {
            machine.requireNothingWritten(path, this.#process);
            for (const one of held) machine.locks.delete(one);
            held.clear();
          },
        });
      },
    };
  }

  #fileIfThere(path: string): number[] {
    const { names } = this.#machine.image;
    const inode = names.lookup(path);
    return typeof inode === 'string' || names.isFolder(inode) ? [] : [inode];
  }
}

/** Fisher and Yates. */
function shuffle<T>(items: T[], prng: Prng): void {
  for (let i = items.length - 1; i > 0; i--) {
    const [moved] = items.splice(prng.below(i + 1), 1);
    if (moved !== undefined) items.push(moved);
  }
}
