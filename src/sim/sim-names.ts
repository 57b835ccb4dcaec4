/**
 * The names of a simulated disk: what a process sees, what is durable, and the journal of operations in between.
 *
 * Each create, mkdir, rename and remove is one entry of the journal until every folder it touched was synced after it (two for a
 * rename across folders). A power cut keeps the first n of the journal, or any subset of it (D4). An operation survives wholly or
 * not at all: a rename moves its file out of whatever name the file has then, so that a file never has two names.
 *
 * Maps are replaced and never changed, so that forks share them.
 */
import { SimSystemError } from './sim-error.js';

/** A name in a folder, the folder given by its number. */
export interface Slot {
  readonly folder: number;
  readonly name: string;
}

export interface NameOperation {
  readonly kind: 'create' | 'mkdir' | 'rename' | 'remove';
  readonly inode: number;
  readonly from?: Slot;
  readonly to?: Slot;
  readonly serial: number;
  /** Folders that have to be synced yet. */
  readonly awaits: readonly number[];
  /** For people: `rename /a -> /b`. */
  readonly text: string;
}

export type NameMap = ReadonlyMap<string, number>;

export interface Folder {
  readonly visible: NameMap;
  readonly durable: NameMap;
}

export const ROOT = 1;

export class SimNames {
  readonly folders: Map<number, Folder>;
  journal: readonly NameOperation[] = [];

  constructor(folders: Iterable<readonly [number, Folder]> = [[ROOT, { visible: new Map(), durable: new Map() }]]) {
    this.folders = new Map(folders);
  }

  fork(): SimNames {
    const copy = new SimNames(this.folders);
    copy.journal = this.journal;
    return copy;
  }

  /** The number of what is at `path`, or why there is nothing. */
  lookup(path: string): number | 'ENOENT' | 'ENOTDIR' {
    const parts = partsOf(path);
    return this.#walk(parts, parts.length);
  }

  /** What the first `count` of `parts` lead to. */
  #walk(parts: readonly string[], count: number): number | 'ENOENT' | 'ENOTDIR' {
    let at = ROOT;
    for (let i = 0; i < count; i++) {
      const folder = this.folders.get(at);
      if (folder === undefined) return 'ENOTDIR';
      const next = folder.visible.get(parts[i] ?? '');
      if (next === undefined) return 'ENOENT';
      at = next;
    }
    return at;
  }

  isFolder(inode: number): boolean {
    return this.folders.has(inode);
  }

  /** The slot that `path` names, whether or not something is there. */
  slotOf(path: string, syscall: string, errorPaths: readonly [string, string?] = [path]): Slot {
    const parts = partsOf(path);
    const name = parts.at(-1);
    if (name === undefined) throw new SimSystemError('EBUSY', syscall, ...errorPaths);
    const folder = this.#walk(parts, parts.length - 1);
    if (typeof folder === 'string') throw new SimSystemError(folder, syscall, ...errorPaths);
    if (!this.folders.has(folder)) throw new SimSystemError('ENOTDIR', syscall, ...errorPaths);
    return { folder, name };
  }

  at(slot: Slot): number | undefined {
    return this.folders.get(slot.folder)?.visible.get(slot.name);
  }

  create(kind: 'create' | 'mkdir', to: Slot, inode: number, serial: number, path: string): void {
    this.#show(to, inode);
    if (kind === 'mkdir') this.folders.set(inode, { visible: new Map(), durable: new Map() });
    this.#record({ kind, inode, to, serial, awaits: [to.folder], text: `${kind} ${path}` });
  }

  remove(from: Slot, inode: number, serial: number, path: string): void {
    this.#show(from, undefined);
    this.#record({ kind: 'remove', inode, from, serial, awaits: [from.folder], text: `remove ${path}` });
  }

  rename(from: Slot, to: Slot, inode: number, serial: number, text: string): void {
    this.#show(from, undefined);
    this.#show(to, inode);
    const awaits = from.folder === to.folder ? [to.folder] : [from.folder, to.folder];
    this.#record({ kind: 'rename', inode, from, to, serial, awaits, text: `rename ${text}` });
  }

  /** Every operation on `folder` up to `mark` is durable, unless another folder has a part in it. */
  sync(folder: number, mark: number): void {
    const promised = new Set<NameOperation>();
    const journal = this.journal.map((operation) => {
      if (operation.serial > mark || !operation.awaits.includes(folder)) return operation;
      const rest = { ...operation, awaits: operation.awaits.filter((other) => other !== folder) };
      if (rest.awaits.length === 0) promised.add(rest);
      return rest;
    });
    // What a durable operation builds on is durable with it: the same file, or the same name, earlier.
    for (let i = journal.length - 1; i >= 0; i--) {
      const operation = journal[i];
      if (operation === undefined || promised.has(operation)) continue;
      for (const later of promised) {
        if (later.serial > operation.serial && dependsOn(later, operation)) promised.add(operation);
      }
    }
    const durable = this.after((operation) => promised.has(operation), journal);
    for (const [id, names] of durable) {
      const present = this.folders.get(id);
      if (present !== undefined) this.folders.set(id, { visible: present.visible, durable: names });
    }
    this.journal = journal.filter((operation) => !promised.has(operation));
  }

  /** The durable names with the operations that `survives` picks applied to them, in their order. */
  after(
    survives: (operation: NameOperation, index: number) => boolean,
    journal: readonly NameOperation[] = this.journal,
  ): Map<number, NameMap> {
    const result = new Map<number, Map<string, number>>();
    const names = (folder: number): Map<string, number> => {
      let map = result.get(folder);
      if (map === undefined) {
        map = new Map(this.folders.get(folder)?.durable);
        result.set(folder, map);
      }
      return map;
    };
    journal.forEach((operation, index) => {
      if (!survives(operation, index)) return;
      const { from, to, inode } = operation;
      if (to === undefined) {
        if (from !== undefined) names(from.folder).delete(from.name);
        return;
      }
      for (const other of journal) {
        if (other.inode !== inode) continue;
        for (const slot of [other.from, other.to]) {
          if (slot !== undefined && names(slot.folder).get(slot.name) === inode) names(slot.folder).delete(slot.name);
        }
      }
      names(to.folder).set(to.name, inode);
    });
    return result;
  }

  /** Changes what is visible and durable alike: damage, and files put there by a test. */
  force(slot: Slot, inode: number | undefined): void {
    const folder = this.folders.get(slot.folder);
    if (folder === undefined) return;
    const change = (names: NameMap): NameMap => withName(names, slot.name, inode);
    this.folders.set(slot.folder, { visible: change(folder.visible), durable: change(folder.durable) });
  }

  /** Every inode that some name leads to, or may lead to after a power cut. */
  named(): Set<number> {
    const result = new Set<number>([ROOT]);
    for (const { visible, durable } of this.folders.values()) {
      for (const inode of visible.values()) result.add(inode);
      for (const inode of durable.values()) result.add(inode);
    }
    for (const { inode } of this.journal) result.add(inode);
    return result;
  }

  /** Paths by inode, as a process sees them now. */
  paths(): Map<number, string> {
    const result = new Map<number, string>();
    const walk = (folder: number, prefix: string): void => {
      const names = [...(this.folders.get(folder)?.visible ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
      for (const [name, inode] of names) {
        result.set(inode, `${prefix}/${name}`);
        walk(inode, `${prefix}/${name}`);
      }
    };
    walk(ROOT, '');
    return result;
  }

  #show(slot: Slot, inode: number | undefined): void {
    const folder = this.folders.get(slot.folder);
    if (folder === undefined) return;
    this.folders.set(slot.folder, {
      visible: withName(folder.visible, slot.name, inode),
      durable: folder.durable,
    });
  }

  #record(operation: NameOperation): void {
    this.journal = [...this.journal, operation];
  }
}

/** Few paths are asked for again and again. Past so many they are taken to be others than before. */
const PARTS_MAX = 4096;
const knownParts = new Map<string, readonly string[]>();

/** The parts of an absolute path; '.' and '..' are resolved as text, for there are no links here. */
function partsOf(path: string): readonly string[] {
  const known = knownParts.get(path);
  if (known !== undefined) return known;
  if (!path.startsWith('/')) throw new TypeError(`a path on a simulated disk is absolute, got ${JSON.stringify(path)}`);
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  if (knownParts.size >= PARTS_MAX) knownParts.clear();
  knownParts.set(path, parts);
  return parts;
}

function withName(names: NameMap, name: string, inode: number | undefined): NameMap {
  const result = new Map(names);
  if (inode === undefined) result.delete(name);
  else result.set(name, inode);
  return result;
}

function dependsOn(later: NameOperation, earlier: NameOperation): boolean {
  if (later.inode === earlier.inode) return true;
  const slots = [later.from, later.to];
  return [earlier.from, earlier.to].some(
    (slot) => slot !== undefined && slots.some((other) => other?.folder === slot.folder && other.name === slot.name),
  );
}
