/** What past recoveries and repairs have left on disk: the one trace of them that there is. */
import { readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { QUEUES_DIR } from '../../layout/store-file.js';

export interface SetAside {
  /** Below the store. */
  readonly path: string;
  readonly bytes: number;
  /** When it came to be there; of a store that was copied, when it was copied. */
  readonly atMs: number;
  readonly what: string;
}

const BACKUP = /^\.evaq-backup-/;

/** Newest first. What cannot be looked at is left out: `verify` tells of it. */
export function findSetAside(store: string): SetAside[] {
  const found: SetAside[] = [];
  for (const queue of namesIn(join(store, QUEUES_DIR))) {
    const folder = join(store, QUEUES_DIR, queue, 'quarantine');
    for (const name of namesIn(folder)) add(found, store, join(folder, name), whatOf(name));
  }
  for (const name of namesIn(store).filter((one) => BACKUP.test(one)))
    add(found, store, join(store, name), 'a repair: the files that it changed, as they were');
  return found.sort((a, b) => b.atMs - a.atMs);
}

function whatOf(name: string): string {
  if (name.endsWith('.torn')) return 'a recovery: the end of a segment, which no commit was';
  if (name.endsWith('.tomb')) return 'a log of removals that is damaged, or not of this queue';
  return 'a segment that is damaged, or not of this queue';
}

function add(found: SetAside[], store: string, path: string, what: string): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat !== undefined) found.push({ path: relative(store, path), bytes: bytesOf(path), atMs: stat.ctimeMs, what });
}

function bytesOf(path: string): number {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() !== true) return stat?.size ?? 0;
  return namesIn(path).reduce((sum, name) => sum + bytesOf(join(path, name)), 0);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
