/**
 * What opening has on a full disk. Each queue keeps files that its next open needs: the one into which the tombstone log is written anew, and one for
 * a segment. Beside them there may be space to give back: the recycle pool, and what is unfinished.
 */
import { isNoSpace, isNotFound } from '../errors.js';
import type { LoadedQueue } from '../log/log-load.js';
import type { LogSegment } from '../log/log-segment.js';
import { findOpeningFile } from '../segment/opening-file.js';
import { parseTombstoneFileName } from '../tombstone/tombstone-name.js';
import { findSpare, type Removable, type TombstoneSpare } from '../tombstone/tombstone-spare.js';
import type { Vfs } from '../vfs/vfs.js';

/** The files of a queue that are kept for its next open. */
export interface KeptFiles {
  readonly spare: TombstoneSpare | undefined;
  readonly openingFile: string | undefined;
}

export async function findKept(vfs: Vfs, { unfinished }: LoadedQueue): Promise<KeptFiles> {
  const logs = unfinished.filter((path) => parseTombstoneFileName(path.slice(path.lastIndexOf('/') + 1)) !== undefined);
  return { spare: await findSpare(vfs, logs), openingFile: await findOpeningFile(vfs, unfinished) };
}

/** What may be removed from these segments. */
export function removableOf(segments: Iterable<LogSegment>): Removable {
  let records = 0;
  let count = 0;
  let first = Infinity;
  let last = 0;
  for (const segment of segments) {
    count++;
    if (segment.isEmpty) continue;
    // A range of what is not live stands in front of each run at least, and between each two records of it if every other one is removed.
    records += segment.count + segment.runCount;
    first = Math.min(first, segment.firstId);
    last = Math.max(last, segment.lastId);
  }
  return { records, segments: count, ids: Math.max(0, last - first + 1) };
}

/** Space that opening gives back on a full disk. */
export class OpeningReserve {
  readonly #vfs: Vfs;
  readonly #queues: () => Iterable<LoadedQueue>;
  /** Files of the recycle pools that are gone. */
  readonly released: Set<string> = new Set();
  #isSpent = false;
  /** So often something was given back. */
  #releases = 0;
  #releasing: Promise<void> = Promise.resolve();

  /** `queues` tells those that are not at work yet. */
  constructor(vfs: Vfs, queues: () => Iterable<LoadedQueue>) {
    this.#vfs = vfs;
    this.#queues = queues;
  }

  /** Given up: from now on nothing more than needed is allocated. */
  get isSpent(): boolean {
    return this.#isSpent;
  }

  /** Runs `step`; on a full disk gives the reserve up and runs it once more. */
  async spend<T>(step: () => Promise<T>): Promise<T> {
    const before = this.#releases;
    try {
      return await step();
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      const releasing = this.#releasing.then(() => this.#releaseAll());
      this.#releasing = releasing.catch(() => undefined);
      await releasing;
      // Or by another queue that is recovered beside this one.
      if (this.#releases === before) throw error;
      return await step();
    }
  }

  async #releaseAll(): Promise<void> {
    let released = false;
    for (const loaded of this.#queues()) if (await this.#release(loaded)) released = true;
    if (!released) return;
    this.#releases++;
    this.#isSpent = true;
  }

  /**
   * The pool and what is unfinished, but for what is kept; and where no file is kept for it, the space ahead in the tombstone log, which the next
   * generation replaces. True if there was any.
   */
  async #release(loaded: LoadedQueue): Promise<boolean> {
    const { pool, unfinished, tombstoneLogs, tombstones } = loaded;
    const { spare, openingFile } = await findKept(this.#vfs, loaded);
    let released = false;
    for (const path of [...pool, ...unfinished]) {
      if (this.released.has(path) || path === spare?.path || path === openingFile) continue;
      this.released.add(path);
      try {
        await this.#vfs.remove(path);
        released = true;
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
    const newest = tombstoneLogs.at(-1);
    // Where a round is damaged the bytes are evidence.
    if (spare !== undefined || newest === undefined || loaded.damage.some(({ file }) => file === newest))
      return released;
    if ((await this.#vfs.stat(newest)) === undefined) return released;
    const file = await this.#vfs.open(newest, 'write');
    try {
      if ((await file.size()) <= tombstones.end) return released;
      await file.truncate(tombstones.end);
      return true;
    } finally {
      await file.close().catch(() => undefined);
    }
  }
}
