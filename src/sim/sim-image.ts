/**
 * The state of a simulated disk at one moment: inodes, names, blocks that were freed. A value in all but name: `fork` costs a copy of
 * the table of inodes, and an inode is cloned by whichever side changes it first.
 */
import { Digest } from './sim-digest.js';
import { SimInode } from './sim-inode.js';
import { type NameMap, ROOT, SimNames } from './sim-names.js';
import type { Sector } from './sim-sector.js';

/** Blocks that a file gave back, by their place in that file. Their bytes are still on the disk. */
export interface FreedBlocks {
  readonly firstSector: number;
  readonly sectors: readonly Sector[];
}

/** Older ones are taken to have been written over. */
const FREED_MAX = 8;

export class SimImage {
  readonly sectorBytes: number;
  readonly names: SimNames;
  /** Newest first. */
  freed: readonly FreedBlocks[] = [];
  #files: Map<number, SimInode>;
  #owner: object = {};
  #serial = 0;
  #nextInode: number = ROOT + 1;
  /** Some file may have no name any more. */
  #mayHaveUnlinked = false;

  constructor(sectorBytes: number, names: SimNames = new SimNames(), files: Iterable<SimInode> = []) {
    this.sectorBytes = sectorBytes;
    this.names = names;
    this.#files = new Map();
    for (const file of files) this.#files.set(file.id, file);
  }

  fork(): SimImage {
    const copy = new SimImage(this.sectorBytes, this.names.fork());
    copy.#files = new Map(this.#files);
    copy.continueFrom(this);
    // Neither side may go on changing what both now hold.
    this.#owner = {};
    return copy;
  }

  /** Goes on with the numbers of `other`, of which this is a later state. */
  continueFrom(other: SimImage): void {
    this.freed = other.freed;
    this.#serial = other.#serial;
    this.#nextInode = other.#nextInode;
    this.#mayHaveUnlinked = other.#mayHaveUnlinked;
  }

  /** Of the newest change. */
  get serial(): number {
    return this.#serial;
  }

  nextSerial(): number {
    return ++this.#serial;
  }

  nextInode(): number {
    return this.#nextInode++;
  }

  files(): IterableIterator<SimInode> {
    return this.#files.values();
  }

  /** To read; whoever changes it takes `own`. */
  file(inode: number): SimInode | undefined {
    return this.#files.get(inode);
  }

  own(inode: number): SimInode {
    const file = this.#files.get(inode);
    if (file?.owner === this.#owner) return file;
    const mine = file?.clone(this.#owner) ?? new SimInode(inode, this.#owner, this.sectorBytes);
    this.#files.set(inode, mine);
    return mine;
  }

  /** The bytes in use; files without a name count only while `isOpen` says so. */
  usedBytes(isOpen: (inode: number) => boolean): number {
    let total = 0;
    for (const file of this.#files.values()) if (file.linked || isOpen(file.id)) total += file.allocatedBytes;
    return total;
  }

  /** `inode` lost its last name: its blocks may turn up in files that are written from now on. */
  unlink(inode: number): void {
    if (this.file(inode) === undefined) return;
    const file = this.own(inode);
    file.linked = false;
    this.#mayHaveUnlinked = true;
    this.free(0, file.sectors.slice());
  }

  free(firstSector: number, sectors: readonly Sector[]): void {
    if (sectors.some((sector) => sector.allocatedBytes > 0)) {
      this.freed = [{ firstSector, sectors }, ...this.freed].slice(0, FREED_MAX);
    }
  }

  /** Forgets the files that no name leads to, also after a power cut, and that nobody has open. */
  sweep(isOpen: (inode: number) => boolean): void {
    if (!this.#mayHaveUnlinked) return;
    this.#mayHaveUnlinked = false;
    let named: Set<number> | undefined;
    for (const file of this.#files.values()) {
      if (file.linked) continue;
      named ??= this.names.named();
      if (!isOpen(file.id) && !named.has(file.id)) this.#files.delete(file.id);
      else this.#mayHaveUnlinked = true;
    }
  }

  /** Of names and contents as a process sees them: equal for states that no process can tell apart. */
  hash(): string {
    const digest = new Digest();
    const walk = (names: NameMap): void => {
      digest.add(names.size);
      for (const [name, inode] of sorted(names)) {
        digest.addText(name);
        const folder = this.names.folders.get(inode);
        if (folder !== undefined) walk(folder.visible);
        else this.#files.get(inode)?.digestInto(digest);
      }
    };
    walk(this.names.folders.get(ROOT)?.visible ?? new Map());
    return digest.toString();
  }
}

/** Name maps never change, and most are part of many states. */
const inOrder = new WeakMap<NameMap, readonly (readonly [string, number])[]>();

function sorted(names: NameMap): readonly (readonly [string, number])[] {
  let entries = inOrder.get(names);
  if (entries === undefined) {
    entries = [...names].sort(([a], [b]) => (a < b ? -1 : 1));
    inOrder.set(names, entries);
  }
  return entries;
}
