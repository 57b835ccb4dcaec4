/** Bugs that show only where the disk is full: the check of such histories (`full-disk.ts`) has to find each of them. */
import type { Edit, PlantedBug } from './planted-bugs.js';

function full(title: string, ...edits: readonly Edit[]): PlantedBug {
  return { title, hunts: ['full'], seed: 1, edits };
}

const LOG = 'tombstone/tombstone-log.ts';

export const BUGS_ON_A_FULL_DISK: readonly PlantedBug[] = [
  full('the log of removals is not written anew on a full disk', {
    file: 'queue/removal-log.ts',
    find: '        if (await this.rewrite()) {',
    put: '        if (this.#round < 0) {',
  }),
  full('the file that removals are written anew into is not renewed', {
    file: LOG,
    find: '    newer.spare = await retireLog(vfs, this.path, newer.generation + 1, this.#filled, bytes);',
    put: '    if (bytes >= 0) await vfs.remove(this.path);',
  }),
  full('pushes take what removals gave back before the reserve is renewed', {
    file: 'queue/push-cover.ts',
    find: '    return this.#options.reserve().covers(this.#end.nextId + count);',
    put: '    return this.#options.reserve().covers(this.#end.nextId + count) || count >= 0;',
  }),
  full('nothing is kept for the segment that an open begins', {
    file: 'queue/queue-recovery.ts',
    find: 'nextId: loaded.nextId, relaxed, keep: 0, spendsReserve: true };',
    put: 'nextId: loaded.nextId, relaxed, keep: 0, spendsReserve: false };',
  }),
  full('a segment that has no footer for want of space keeps the store shut', {
    file: 'queue/queue-recovery.ts',
    find: '      unlessFull(error);\n      if (!found.isFooterRotten) await file.truncate(contentEnd);',
    put: '      if (error !== undefined) throw error;\n      await file.truncate(contentEnd);',
  }),
];
