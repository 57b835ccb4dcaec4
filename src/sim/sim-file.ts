/** An open file on a simulated disk: the `VfsFile` of one process. */
import type { VfsChunk, VfsFile } from '../vfs/vfs.js';
import type { SimCall } from './sim-call.js';
import { flipBit } from './sim-damage.js';
import { SimSystemError } from './sim-error.js';
import type { Incarnation, Performance, SimMachine } from './sim-machine.js';

// Microseconds, of the order that the design measured; only their proportions matter.
const STAT_US = 2;
const READ_US = 10;
const WRITE_US = 20;
const SYNC_US = 200;
const BYTES_PER_US = 2000;
/** Where each page is a new one. */
const NEW_BYTES_PER_US = 500;
/**
 * A write may take effect in up to this many pieces, so that it can be seen, or cut, half done. They end at sectors: Linux copies page
 * by page under the page's lock, so no sector ever reaches the disk half written.
 */
const PIECES_MAX = 3;

/** What the port calls it: there is one device. */
export function identityOf(inode: number): string {
  return `0:${inode}`;
}

export class SimFile implements VfsFile {
  readonly path: string;
  readonly inode: number;
  readonly #machine: SimMachine;
  readonly #process: Incarnation;
  readonly #isWritable: boolean;
  readonly #onClose: () => void;
  #underWay = 0;
  #closed = false;
  readonly #told = (): void => {
    this.#underWay--;
  };

  constructor(
    path: string,
    inode: number,
    machine: SimMachine,
    process: Incarnation,
    isWritable: boolean,
    onClose: () => void,
  ) {
    this.path = path;
    this.inode = inode;
    this.#machine = machine;
    this.#process = process;
    this.#isWritable = isWritable;
    this.#onClose = onClose;
  }

  size(): Promise<number> {
    return this.#perform({
      name: 'size',
      path: this.path,
      whenTold: this.#told,
      syscall: 'fstat',
      costUs: STAT_US,
      effect: () => this.#machine.image.file(this.inode)?.size ?? 0,
    });
  }

  readAt(target: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return this.#perform({
      name: 'read',
      path: this.path,
      whenTold: this.#told,
      detail: `${position}+${length}`,
      syscall: 'read',
      costUs: READ_US + length / BYTES_PER_US,
      effect: () => {
        const file = this.#machine.image.file(this.inode);
        if (file === undefined) return 0;
        if (file.isUnreadable(position, length)) throw new SimSystemError('EIO', 'read');
        return file.read(target, offset, length, position);
      },
      whenFaulty: ({ flip }) => {
        if (flip !== true) return;
        const { image, prng } = this.#machine;
        const end = Math.min(image.file(this.inode)?.size ?? 0, position + length);
        if (end <= position) return;
        flipBit(image, this.inode, position + prng.below(end - position), prng.below(8));
        image.file(this.inode)?.read(target, offset, length, position);
      },
    });
  }

  writeAt(source: Uint8Array, offset: number, length: number, position: number): Promise<void> {
    if (!this.#isWritable) return this.#refuse('write');
    const machine = this.#machine;
    const cuts = machine.timing === 'wild' ? this.#pieces(length, position) : [0, length];
    return this.#perform({
      name: 'write',
      path: this.path,
      whenTold: this.#told,
      detail: `${position}+${length}`,
      syscall: 'write',
      costUs: WRITE_US + length / BYTES_PER_US,
      inode: this.inode,
      pieces: Math.max(1, cuts.length - 1),
      // The source is read when the write takes effect: a caller that reuses its buffer too early is found out.
      effect: (piece) => {
        const from = cuts[piece] ?? 0;
        const to = cuts[piece + 1] ?? length;
        machine.write(this.inode, source, offset + from, to - from, position + from);
      },
      whenFaulty: (fault) => machine.writeFaulty(fault, this.inode, source, offset, length, position),
    });
  }

  extend(length: number): Promise<void> {
    if (!this.#isWritable) return this.#refuse('write');
    const machine = this.#machine;
    const pieces = machine.timing === 'wild' ? Math.min(PIECES_MAX, length) : 1;
    const addUpTo = (added: number, from: number): void => {
      const zeros = Buffer.alloc(added - from);
      machine.write(this.inode, zeros, 0, zeros.length, machine.image.own(this.inode).size);
    };
    return this.#perform({
      name: 'extend',
      path: this.path,
      whenTold: this.#told,
      detail: `by ${length}`,
      syscall: 'write',
      costUs: WRITE_US + length / NEW_BYTES_PER_US,
      inode: this.inode,
      pieces,
      // Where the file ends is known only then, and each time.
      effect: (piece) => {
        if (piece === 0) this.#requireOwnName();
        addUpTo(Math.floor((length * (piece + 1)) / pieces), Math.floor((length * piece) / pieces));
      },
      whenFaulty: (fault) => addUpTo(fault.alsoDone === true ? length : machine.prng.below(length + 1), 0),
    });
  }

  /** It is opened once more, by its name. */
  #requireOwnName(): void {
    const machine = this.#machine;
    const found = machine.image.names.lookup(this.path);
    if (typeof found === 'string') throw new SimSystemError(found, 'open', this.path);
    if (found !== this.inode) throw new SimSystemError('ESTALE', 'open', this.path);
    machine.requireDescriptor(this.#process, 'open', this.path);
  }

  sync(): Promise<void> {
    const machine = this.#machine;
    const mark = machine.image.serial;
    let failed = false;
    return this.#perform({
      name: 'sync',
      path: this.path,
      syscall: 'fdatasync',
      costUs: SYNC_US,
      inode: this.inode,
      effect: () => {
        machine.image.nextSerial();
        machine.image.own(this.inode).sync(mark);
      },
      whenFaulty: () => {
        failed = true;
        machine.failSync(this.inode);
      },
      whenTold: () => {
        this.#told();
        if (failed) machine.image.own(this.inode).errorUnreported = false;
      },
    });
  }

  truncate(size: number): Promise<void> {
    if (!this.#isWritable) return this.#refuse('ftruncate');
    return this.#perform({
      name: 'truncate',
      path: this.path,
      whenTold: this.#told,
      detail: `to ${size}`,
      syscall: 'ftruncate',
      costUs: WRITE_US,
      inode: this.inode,
      effect: () => this.#cut(size),
    });
  }

  #cut(size: number): void {
    const { image, limits } = this.#machine;
    if (size > limits.fileBytesMax) throw new SimSystemError('EFBIG', 'ftruncate');
    const file = image.own(this.inode);
    const gone = Math.ceil(size / image.sectorBytes);
    image.free(gone, file.sectors.slice(gone));
    file.truncate(size, image.nextSerial());
  }

  writeAndSyncBlocking(chunks: Iterable<VfsChunk>): void {
    this.#writeBlocking('writeAndSyncBlocking', chunks, true);
  }

  truncateBlocking(size: number): void {
    const machine = this.#machine;
    this.#live();
    const call = machine.begin(this.#process, 'truncateBlocking', this.path, `to ${size}`);
    try {
      machine.scheduler.spend(WRITE_US);
      const fault = machine.faults.hit('truncate', call);
      if (fault === undefined || fault.alsoDone === true) this.#cut(size);
      if (fault !== undefined) throw new SimSystemError(fault.error ?? 'EIO', 'ftruncate');
      machine.step('effect', call);
      this.#live();
      machine.end(call, 'ok');
    } catch (error) {
      if (this.#process.alive) machine.end(call, error instanceof SimSystemError ? error.code : 'failed');
      throw error;
    }
  }

  writeBlocking(chunk: VfsChunk): void {
    this.#writeBlocking('writeBlocking', [chunk], false, `${chunk.position}+${chunk.length}`);
  }

  #writeBlocking(
    name: 'writeAndSyncBlocking' | 'writeBlocking',
    chunks: Iterable<VfsChunk>,
    sync: boolean,
    detail?: string,
  ): void {
    const machine = this.#machine;
    // Nobody is left to be told: but a promise must not be made by returning.
    this.#live();
    const call = machine.begin(this.#process, name, this.path, detail);
    try {
      const own = sync && !this.isQuiet;
      const inode = own ? this.#openedAgain(call) : this.inode;
      // Whatever is under way on this file in the thread pool happens before or after: it is not stopped by a blocked main thread.
      if (sync) machine.scheduler.hasten(inode, () => machine.prng.chance(0.5));
      for (const chunk of chunks) {
        this.#live();
        machine.scheduler.spend(WRITE_US);
        const fault = machine.faults.hit('write', call);
        if (fault !== undefined) {
          machine.writeFaulty(fault, inode, chunk.source, 0, chunk.length, chunk.position);
          throw new SimSystemError(fault.error ?? 'EIO', 'write');
        }
        const { source, length, position } = chunk;
        const cuts = machine.timing === 'wild' ? this.#pieces(length, position) : [0, length];
        for (const [i, from] of cuts.slice(0, -1).entries()) {
          // It may be killed in the middle of a write.
          this.#live();
          machine.write(inode, source, from, (cuts[i + 1] ?? length) - from, position + from);
          machine.step('effect', call);
        }
      }
      this.#live();
      if (sync) {
        machine.scheduler.spend(SYNC_US);
        this.#syncBlocking(inode, call, own);
        machine.step('effect', call);
        this.#live();
      }
      machine.end(call, 'ok');
    } catch (error) {
      if (this.#process.alive) machine.end(call, error instanceof SimSystemError ? error.code : 'failed');
      throw error;
    }
  }

  identityBlocking(): string {
    return identityOf(this.inode);
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    // What is under way when a process dies never ends: that is no fault of its code.
    if (this.#underWay > 0 && this.#process.alive) {
      this.#machine.violate(`close of ${this.path} with ${this.#underWay} calls under way`);
    }
    const effect = this.#onClose;
    // A close that fails has closed all the same.
    const closing = this.#perform({
      name: 'close',
      path: this.path,
      whenTold: this.#told,
      syscall: 'close',
      costUs: STAT_US,
      effect,
      whenFaulty: effect,
    });
    this.#closed = true;
    return closing;
  }

  closeBlocking(): void {
    if (this.#closed) return;
    this.#live();
    if (this.#underWay > 0) this.#machine.violate(`close of ${this.path} with ${this.#underWay} calls under way`);
    this.#closed = true;
    const call = this.#machine.begin(this.#process, 'close', this.path, 'blocking');
    this.#onClose();
    this.#machine.step('effect', call);
    this.#machine.end(call, 'ok');
  }

  /** A descriptor of its own is opened by the name. */
  #openedAgain(call: SimCall): number {
    const machine = this.#machine;
    const inode = machine.image.names.lookup(this.path);
    if (typeof inode === 'string') throw new SimSystemError(inode, 'open', this.path);
    const refused = machine.faults.hit('open', call);
    if (refused !== undefined) throw new SimSystemError(refused.error ?? 'EIO', 'open', this.path);
    machine.requireDescriptor(this.#process, 'open', this.path);
    return inode;
  }

  get isQuiet(): boolean {
    return this.#underWay === 0;
  }

  /**
   * An error that a sync under way elsewhere ran into, and that nobody heard of yet, is reported to a descriptor of its own, too; to the same one it is
   * not.
   */
  #syncBlocking(inode: number, call: SimCall, own: boolean): void {
    const machine = this.#machine;
    const fault = machine.faults.hit('sync', call);
    const unreported = own && machine.image.file(inode)?.errorUnreported === true;
    if (fault !== undefined || unreported) {
      machine.failSync(inode).errorUnreported = unreported;
      throw new SimSystemError(fault?.error ?? 'EIO', 'fdatasync');
    }
    machine.image.own(inode).sync(machine.image.nextSerial());
  }

  /** Where the pieces of a write begin and end, counted from its first byte. */
  #pieces(length: number, position: number): number[] {
    const { prng, image } = this.#machine;
    const { sectorBytes } = image;
    const toBoundary = sectorBytes - (position % sectorBytes);
    const boundaries = Math.ceil((length - toBoundary) / sectorBytes);
    const cuts = new Set([0, length]);
    if (boundaries > 0) {
      for (let i = prng.below(PIECES_MAX); i > 0; i--) cuts.add(toBoundary + prng.below(boundaries) * sectorBytes);
    }
    return [...cuts].sort((a, b) => a - b);
  }

  #live(): void {
    if (!this.#process.alive) throw new Error('this simulated process is dead');
  }

  #perform<T>(what: Performance<T>): Promise<T> {
    if (this.#closed) return this.#refuse(what.syscall);
    this.#underWay++;
    return this.#machine.perform(this.#process, what);
  }

  #refuse<T>(syscall: string): Promise<T> {
    if (!this.#process.alive) return new Promise(() => undefined);
    this.#machine.violate(`${syscall} of ${this.path}, which is ${this.#closed ? 'closed' : 'open for reading'}`);
    return Promise.reject(new SimSystemError('EBADF', syscall));
  }
}
