/**
 * What a power cut may leave: the decisions that nature has, and the state that an answer to all of them gives.
 *
 * A choice is an array of whole numbers, one for each decision in the order of `planCrash`: 0 keeps the newest version, 1 the one
 * before, and so on back to the durable one. Numbers are taken modulo the options and missing ones are 0, so every array is a legal
 * choice; it shrinks towards "nothing was lost".
 */
import { type FillMode, fillFor, fillOptions } from './sim-fill.js';
import { SimImage } from './sim-image.js';
import type { SimInode, UnsyncedSector } from './sim-inode.js';
import { type Folder, type NameMap, ROOT, SimNames } from './sim-names.js';
import { Prng } from './sim-prng.js';
import { Sector } from './sim-sector.js';

export interface CrashModel {
  /** Which unsynced name operations survive: the first n in journal order, or any of them. */
  readonly names: 'ordered' | 'adversarial';
  /** What bytes hold that lie below the end of a file and never reached the disk. */
  readonly fill: FillMode;
  /** With 'noise', overwriting a durable sector may destroy what it held (no power-safe overwrite). */
  readonly overwrite: 'safe' | 'noise';
  readonly seed: number;
}

/** One number for each decision; see `CrashPoint`. */
export type CrashChoice = readonly number[];

/** One decision of a power cut. */
export interface CrashPoint {
  /**
   * 'names': how many of the newest name operations are lost ('ordered'); 'name': whether one is ('adversarial'); 'size' and
   * 'sector': how many versions back; 'fill': what the bytes hold that never reached the disk.
   */
  readonly kind: 'names' | 'name' | 'size' | 'sector' | 'fill';
  /** For people: the file and the sector, or the operation. */
  readonly subject: string;
  /** A choice is a number below this. */
  readonly options: number;
  /** The number that stands for "nothing of this reached the disk". */
  readonly lost: number;
}

export interface Decision {
  readonly kind: CrashPoint['kind'];
  readonly inode: number;
  /** The sector, or the place in the journal. */
  readonly index: number;
  readonly options: number;
  readonly lost: number;
}

/** All decisions for `image`, in the order in which a choice answers them: names first, then file by file. */
export function planCrash(image: SimImage, model: CrashModel): Decision[] {
  const decisions: Decision[] = [];
  const { journal } = image.names;
  if (model.names === 'ordered') {
    if (journal.length > 0) {
      decisions.push({ kind: 'names', inode: 0, index: 0, options: journal.length + 1, lost: journal.length });
    }
  } else {
    for (const [index, { inode }] of journal.entries()) {
      decisions.push({ kind: 'name', inode, index, options: 2, lost: 1 });
    }
  }
  const named = image.names.named();
  for (const file of image.files()) {
    if (file.isSynced || !named.has(file.id)) continue;
    const sizes = sizeOptions(file);
    if (sizes.length > 1) {
      const lost = sizes.indexOf(file.durableSize);
      decisions.push({ kind: 'size', inode: file.id, index: 0, options: sizes.length, lost });
    }
    const fills = mayLackBytes(file) ? fillOptions(model.fill, image.freed.length) : 1;
    if (fills > 1) decisions.push({ kind: 'fill', inode: file.id, index: 0, options: fills, lost: 0 });
    for (const index of [...file.unsynced.keys()].sort((a, b) => a - b)) {
      const entry = file.unsynced.get(index);
      if (entry === undefined) continue;
      const lost = entry.versions.length;
      const options = lost + (mayBecomeNoise(entry, model) ? 2 : 1);
      decisions.push({ kind: 'sector', inode: file.id, index, options, lost });
    }
  }
  return decisions;
}

/** What the states after one power cut have in common: each file and each set of names is worked out once for all states that hold it. */
export class CrashMemo {
  readonly names: Map<string, NamesAfter> = new Map();
  readonly files: Map<string, SimInode> = new Map();
}

interface NamesAfter {
  readonly folders: ReadonlyMap<number, Folder>;
  /** Those that a name leads to. */
  readonly files: readonly SimInode[];
}

/** Of what several disks share. None of them has it: who changes a file takes a copy. */
const SHARED = {};

/** The disk after the power cut: everything on it is durable. `memo`: of the same image, model and plan. */
export function applyCrash(
  image: SimImage,
  model: CrashModel,
  plan: readonly Decision[],
  choice: CrashChoice,
  memo: CrashMemo = new CrashMemo(),
): SimImage {
  const { journal } = image.names;
  let journalKept = journal.length;
  const namesLost = new Set<number>();
  const byFile = new Map<number, FilePicks>();
  let namesKey = '';
  for (let i = 0; i < plan.length; i++) {
    const decision = plan[i];
    if (decision === undefined) continue;
    const { kind, inode, index, options } = decision;
    const pick = Math.abs(Math.trunc(choice[i] ?? 0)) % options;
    if (kind === 'names' || kind === 'name') {
      namesKey += `${pick} `;
      if (kind === 'names') journalKept = journal.length - pick;
      else if (pick === 1) namesLost.add(index);
      continue;
    }
    let file = byFile.get(inode);
    if (file === undefined) {
      file = noPicks(inode);
      byFile.set(inode, file);
    }
    file.key += `${pick} `;
    if (kind === 'size') file.size = pick;
    else if (kind === 'fill') file.fill = pick;
    else file.sectors.set(index, pick);
  }

  let names = memo.names.get(namesKey);
  if (names === undefined) {
    names = namesAfter(image, (index) => index < journalKept && !namesLost.has(index));
    memo.names.set(namesKey, names);
  }
  const files = names.files.map((file) => {
    if (file.isSynced && file.linked && !file.errorUnreported) return file;
    const picks = byFile.get(file.id) ?? noPicks(file.id);
    let after = memo.files.get(picks.key);
    if (after === undefined) {
      after = fileAfter(file, picks, image, model);
      memo.files.set(picks.key, after);
    }
    return after;
  });
  const result = new SimImage(image.sectorBytes, new SimNames(names.folders), files);
  result.continueFrom(image);
  return result;
}

function namesAfter(image: SimImage, survives: (index: number) => boolean): NamesAfter {
  const changed = image.names.after((_, index) => survives(index));
  const folders = new Map<number, Folder>();
  const files: SimInode[] = [];
  const keep = (inode: number): void => {
    const before = image.names.folders.get(inode);
    if (before !== undefined) {
      const names: NameMap = changed.get(inode) ?? before.durable;
      folders.set(inode, { visible: names, durable: names });
      for (const child of names.values()) if (!folders.has(child)) keep(child);
      return;
    }
    const file = image.file(inode);
    if (file !== undefined) files.push(file);
  };
  keep(ROOT);
  return { folders, files };
}

function fileAfter(file: SimInode, picks: FilePicks, image: SimImage, model: CrashModel): SimInode {
  const after = file.clone(SHARED);
  after.linked = true;
  after.errorUnreported = false;
  if (!file.isSynced) {
    const size = sizeOptions(file)[picks.size] ?? file.durableSize;
    after.reset(contentAfter(file, size, picks, image, model), size);
  }
  return after;
}

interface FilePicks {
  /** The file and all its picks, as text. */
  key: string;
  size: number;
  fill: number;
  readonly sectors: Map<number, number>;
}

function noPicks(inode: number): FilePicks {
  return { key: `${inode}: `, size: 0, fill: 0, sectors: new Map() };
}

function contentAfter(file: SimInode, size: number, picks: FilePicks, image: SimImage, model: CrashModel): Sector[] {
  const { sectorBytes } = file;
  const result: Sector[] = [];
  for (let index = 0; index * sectorBytes < size; index++) {
    const length = Math.min(sectorBytes, size - index * sectorBytes);
    const entry = file.unsynced.get(index);
    const pick = picks.sectors.get(index) ?? 0;
    if (entry !== undefined && pick > entry.versions.length) {
      const noise = new Uint8Array(length);
      new Prng(model.seed ^ Math.imul(file.id, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca77)).fill(noise);
      result.push(new Sector(noise));
      continue;
    }
    const found = entry === undefined ? file.sectors[index] : versionOf(entry, pick);
    if (found !== undefined && found.bytes.length >= length) result.push(found.resized(length));
    else result.push(fillFor(model, image.freed, picks.fill, file.id, index, length, found));
  }
  return result;
}

function versionOf({ durable, versions }: UnsyncedSector, back: number): Sector | undefined {
  return back >= versions.length ? durable : versions[versions.length - 1 - back]?.sector;
}

/** Newest first, each size once; the durable one is among them. */
function sizeOptions(file: SimInode): number[] {
  const newestFirst = file.sizes.map(({ size }) => size).reverse();
  return [...new Set([...newestFirst, file.durableSize])];
}

function mayLackBytes(file: SimInode): boolean {
  for (const { durable } of file.unsynced.values()) {
    if (durable === undefined || durable.bytes.length < file.sectorBytes) return true;
  }
  return false;
}

function mayBecomeNoise({ durable, versions }: UnsyncedSector, model: CrashModel): boolean {
  return model.overwrite === 'noise' && durable !== undefined && versions.some(({ sector }) => sector !== undefined);
}
