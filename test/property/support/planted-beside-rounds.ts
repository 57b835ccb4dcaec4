/**
 * Bugs in what a round of removals says of the segments beside it, and in what is kept for a full disk: each is a moment too early, or a sync too few, and
 * shows where the power is cut in that moment.
 */
import type { Edit, Hunt, PlantedBug } from './planted-bugs.js';

function plant(hunt: Hunt, title: string, ...edits: readonly Edit[]): PlantedBug {
  return { title, hunts: [hunt], edits };
}

export const BUGS_BESIDE_ROUNDS: readonly PlantedBug[] = [
  plant('rounds', 'a round calls a segment sealed whose footer is not written', {
    file: 'queue/queue-core.ts',
    find: 'Math.min(segmentId + 1, this.log.lowestUnsealedId, this.supply.lowestGivenUpId)',
    put: 'Math.min(segmentId + 1, this.supply.lowestGivenUpId)',
  }),
  plant('rounds', 'a round calls a segment sealed whose footer is being synced', {
    file: 'queue/segment-sealer.ts',
    find: '    await file.truncate(left.writtenEnd + footer.length);\n',
    put: '    segment.noteFooterDurable();\n    await file.truncate(left.writtenEnd + footer.length);\n',
  }),
  plant('rounds', 'a round calls data synced that is only written', {
    file: 'queue/commit-pipeline.ts',
    find: 'offset: this.active.durableEnd };',
    put: 'offset: this.active.writtenEnd };',
  }),
  plant('rounds', 'a dead file is overwritten before its leaving the log is durable', {
    file: 'segment/segment-supply.ts',
    find: '    const unsynced = await this.#syncNames();\n    if (unsynced !== undefined) return { removed',
    put: '    const unsynced: unknown = undefined;\n    if (unsynced !== undefined) return { removed',
  }),
  plant('dormant', 'what only the page cache has is not synced before a new log of removals speaks of it', {
    file: 'queue/queue-recovery.ts',
    find: '  await syncOrStop(env, file);\n  // The name may be no more durable than the bytes were.\n',
    put: '',
  }),
  plant('reserve', 'the block for opening on a full disk is not durable', {
    file: 'segment/opening-file.ts',
    find: '      await syncFile(file);\n',
    put: '',
  }),
  plant('reserve', 'the name of that block is not durable', {
    file: 'segment/opening-file.ts',
    find: '    await syncFolder(this.#vfs, this.#dir);\n',
    put: '',
  }),
  plant('reserve', 'the file for the next log of removals is not durable', {
    file: 'tombstone/tombstone-spare.ts',
    find: '    await fillZeros(file, 0, bytes);\n    await syncFile(file);\n',
    put: '    await fillZeros(file, 0, bytes);\n',
  }),
  plant('reserve', 'the file for the next log of removals is not durable where it was lengthened', {
    file: 'tombstone/tombstone-spare.ts',
    find: '    await fillZeros(file, spare.bytes, bytes);\n    await syncFile(file);\n',
    put: '    await fillZeros(file, spare.bytes, bytes);\n',
  }),
];
