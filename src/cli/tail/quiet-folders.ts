/**
 * Which queues may have got records since the last look, told by the times of their files at a few microseconds each: following a store where nothing
 * happens costs nothing worth naming. What it misses is looked at all the same, now and then.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { queueDir } from '../../layout/store-file.js';
import { parseSegmentFileName } from '../../segment/segment-name.js';

/** A file's time moves in steps: what is written within one step of the last look does not show, so that a folder counts as stirring for a while longer. */
const LINGER_MS = 1000;
/** Some file systems tell times late, or never. */
const LOOK_ANYWAY_MS = 5000;
/** The segment that is written to, and one or two that were made ahead of time. */
const NEWEST = 3;

interface Folder {
  /** Times and sizes, as of the last look. */
  mark: string;
  folderMark: string;
  newest: readonly string[];
  stirredMs: number;
  lookedMs: number;
}

export class QuietFolders {
  readonly #store: string;
  readonly #folders = new Map<string, Folder>();

  constructor(store: string) {
    this.#store = store;
  }

  /** Of the queues `names` those that are to be looked at now. */
  stirring(names: readonly string[], nowMs: number = performance.now()): string[] {
    return names.filter((name) => this.#isStirring(name, nowMs));
  }

  #isStirring(name: string, nowMs: number): boolean {
    let folder = this.#folders.get(name);
    if (folder === undefined) {
      folder = { mark: '', folderMark: '', newest: [], stirredMs: -Infinity, lookedMs: -Infinity };
      this.#folders.set(name, folder);
    }
    if (this.#hasChanged(queueDir(this.#store, name), folder)) folder.stirredMs = nowMs;
    if (nowMs - folder.stirredMs > LINGER_MS && nowMs - folder.lookedMs < LOOK_ANYWAY_MS) return false;
    folder.lookedMs = nowMs;
    return true;
  }

  #hasChanged(dir: string, folder: Folder): boolean {
    const folderMark = markOf(dir);
    if (folderMark !== folder.folderMark) {
      folder.newest = newestIn(dir);
      folder.folderMark = folderMark;
    }
    const mark = [folderMark, ...folder.newest.map(markOf)].join(' ');
    const changed = mark !== folder.mark;
    folder.mark = mark;
    return changed;
  }
}

function newestIn(dir: string): string[] {
  try {
    return readdirSync(dir)
      .filter((name) => parseSegmentFileName(name)?.kind === 'segment')
      .sort()
      .slice(-NEWEST)
      .map((name) => join(dir, name));
  } catch {
    // Gone, or not there yet: whoever reads it is told.
    return [];
  }
}

function markOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? '-' : `${stat.ino}:${stat.size}:${stat.mtimeNs}`;
}
