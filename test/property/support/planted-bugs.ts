/**
 * Bugs to be planted, one at a time: as a file system that lies to the engine, or as a change to the engine's text while it is bundled for
 * the hunt. The source tree is never touched. `find` must occur in the file, or the test says that the plant has lost its place.
 */

export type Hunt =
  | 'reading'
  | 'crashes'
  | 'collecting'
  | 'space'
  | 'errors'
  | 'damage'
  | 'regressions'
  | 'window'
  | 'beside'
  /** What is kept for a full disk, after a power cut. */
  | 'reserve'
  /** Rounds of removals beside segments that change. */
  | 'rounds'
  | 'weak'
  /** The tombstone log written anew again and again. */
  | 'rewrites'
  /** A queue in which there is nothing. */
  | 'empty'
  /** Queues that are recovered, and asked for by nobody. */
  | 'dormant'
  /** Histories of concurrent calls. */
  | 'linear'
  /** Loads that never pause, and faults that pass. */
  | 'live'
  /** More queues than descriptors. */
  | 'descriptors'
  /** Clocks that say anything, and IDs that run out. */
  | 'time'
  /** Calls whose signals are aborted. */
  | 'aborted'
  /** Messages that come in once, and checkpoints. */
  | 'intake'
  /** Queues that may hold so much. */
  | 'limits'
  /** A full disk that is to be emptied. */
  | 'full'
  /** Zeros ahead of what is pushed. */
  | 'zeros'
  /** What handlers are given, and what becomes of it. */
  | 'delivery'
  /** Deliveries beside loads that never pause. */
  | 'delivery beside loads'
  /** Files that are damaged, missing, or of an earlier day. */
  | 'salvage'
  /** Threads that work with a store, and die. */
  | 'link'
  /** What is told of a store. */
  | 'observation'
  /** Dead letters of several queues. */
  | 'letters';

/** What befalls a history: nothing; calls of the disk that fail; kills and power cuts; those in the weaker modes. */
export type Trouble = 'calm' | 'faults' | 'crashes' | 'weak';

/** How a lying file system lies. */
export type Lie =
  | 'data is not synced'
  | 'tombstones are not synced'
  | 'folders of queues are not synced'
  | 'folders above the store are not synced'
  | 'temporary files are not synced'
  | 'a failed sync is tried again'
  | 'a failed sync is ignored'
  | 'a sync is acknowledged before it happened'
  | 'a write is acknowledged before it happened'
  | 'a folder sync is acknowledged before it happened'
  | 'a short write is taken for a whole one'
  | 'nothing is ever cut';

export interface Edit {
  readonly file: string;
  readonly find: string;
  readonly put: string;
}

export interface PlantedBug {
  readonly title: string;
  readonly hunts: readonly Hunt[];
  readonly lie?: Lie;
  /** Where to begin, so that rare ones are found soon; any other finds them later. Default 1000. */
  readonly seed?: number;
  readonly edits?: readonly Edit[];
  /** What befalls the histories in which it shows, for the hunt 'linear'. Default: each kind in turn. */
  readonly trouble?: Trouble;
  /** It is readers that are to find it. */
  readonly readers?: boolean;
}

const lie = (what: Lie, hunts: readonly Hunt[] = ['crashes'], seed: number = 1000): PlantedBug => ({
  title: what,
  hunts,
  lie: what,
  seed,
});
const edit = (title: string, hunts: readonly Hunt[], file: string, find: string, put: string): PlantedBug => ({
  title,
  hunts,
  edits: [{ file, find, put }],
});

/** No bug: has the tombstone log rewritten every few removals, and not once in some thousand. */
export const FREQUENT_REWRITES: Edit = {
  file: 'queue/removal-log.ts',
  find: 'const REWRITE_BYTES_MIN = 64 * 1024;',
  put: 'const REWRITE_BYTES_MIN = 1;',
};

export const PLANTED_BUGS: readonly PlantedBug[] = [
  lie('data is not synced'),
  lie('tombstones are not synced'),
  lie('folders of queues are not synced'),
  lie('folders above the store are not synced'),
  lie('temporary files are not synced'),
  lie('a sync is acknowledged before it happened'),
  lie('a write is acknowledged before it happened'),
  lie('a folder sync is acknowledged before it happened'),
  lie('a failed sync is tried again', ['errors'], 1003),
  lie('a failed sync is ignored', ['errors'], 1003),
  lie('a short write is taken for a whole one', ['space', 'errors']),
  lie('nothing is ever cut', ['space', 'errors', 'crashes']),
  edit(
    'folders that a dead process made are not synced',
    ['regressions'],
    'layout/store-file.ts',
    'await vfs.syncDir(parentOf(dir));',
    'if (made) await vfs.syncDir(parentOf(dir));',
  ),
  edit(
    'a queue is entered into the register before it has a log',
    ['crashes'],
    'store/store-queues.ts',
    'const tombstones = dormant.tombstones ?? (await startGeneration(env, loaded));',
    'await this.#register(loaded);\n      const tombstones = dormant.tombstones ?? (await startGeneration(env, loaded));',
  ),
  {
    title: 'a queue of the register is left without a segment',
    hunts: ['empty'],
    edits: [
      { file: 'queue/queue-recovery.ts', find: '&& segment !== kept)', put: '&& segment !== undefined)' },
      {
        file: 'queue/queue-recovery.ts',
        find: 'loaded.log.segments.length === 0 ? empty.pop() : undefined;',
        put: 'undefined;',
      },
      {
        file: 'queue/queue-recovery.ts',
        find: 'await env.vfs.remove(empty.segment.path);',
        put: 'await env.vfs.remove(empty.segment.path).catch(() => undefined);',
      },
    ],
  },
  {
    title: 'a new log of removals is not durable when the one before it is overwritten',
    hunts: ['rewrites'],
    edits: [
      FREQUENT_REWRITES,
      {
        file: 'tombstone/tombstone-log.ts',
        find: '      made = path;\n      await vfs.syncDir(dir);',
        put: '      made = path;',
      },
      {
        file: 'tombstone/tombstone-log.ts',
        find: '    await vfs.syncDir(dir);\n    try {\n      return { file: await vfs.open(spare.path',
        put: '    try {\n      return { file: await vfs.open(spare.path',
      },
    ],
  },
  edit(
    'the recovered tail is not synced',
    ['crashes'],
    'queue/queue-recovery.ts',
    `  await rewriteRange(env, file, Math.min(durableOffset, end), end);
  await syncOrStop(env, file);
  // The name may be no more durable than the bytes were.
  await syncDirOrStop(env, loaded.dir);
`,
    '',
  ),
  edit(
    'what a failed sync left in the page cache is trusted',
    ['errors'],
    'queue/queue-recovery.ts',
    '  await rewriteRange(env, file, Math.min(durableOffset, end), end);\n',
    '',
  ),
  edit(
    'appending goes on behind a torn tail',
    ['crashes'],
    'segment/segment-judge.ts',
    'cutAt: cut?.offset,',
    'cutAt: undefined,',
  ),
  edit(
    'every bad frame is called damage',
    ['crashes'],
    'segment/segment-judge.ts',
    'if (evidence.sealed || range.offset < durableTo || range.contradicts === true || isOfFooter) damage.push(range);',
    'if (range.offset >= 0) damage.push(range);',
  ),
  edit(
    'the end of a file is taken for that of the file before',
    ['crashes'],
    'log/opened-ahead.ts',
    'const ends = look.ends(path, head, tail);',
    'const ends = look.ends(path, head, i === 0 ? tail : Buffer.alloc(END_BYTES));',
  ),
  edit(
    'a torn commit is kept in part',
    ['regressions', 'crashes'],
    'log/segment-load.ts',
    'if (verdict.cutAt !== undefined && scan.dataEnd > verdict.cutAt) scan = await scanTo(verdict.cutAt);',
    '',
  ),
  edit(
    'the checksum of a commit is not looked at',
    ['crashes', 'damage'],
    'frame/commit-scanner.ts',
    'if (commitIsIntact(window.chunk, this.bodyAt, this.header, this.#seed, start)) {',
    'if (window.bytes >= 0) {',
  ),
  edit(
    'only the heads of large records are looked at',
    ['crashes', 'damage'],
    'frame/commit-check.ts',
    'if (!frameIsIntact(buffer, at, frame.frameBytes, seed, toFile + at, frame.id)) return false;',
    '',
  ),
  edit(
    'a length is trusted before its checksum',
    ['crashes', 'damage'],
    'frame/commit-header.ts',
    'if (crc >>> 0 !== buffer.readUInt32LE(at + 44)) return false;',
    '',
  ),
  edit(
    'checksums do not know file and place',
    ['crashes'],
    'checksum.ts',
    'let h = seed ^ Math.imul(offset, 0x9e3779b1);',
    'if (seed >= -Infinity) return 0;\n  let h = seed ^ Math.imul(offset, 0x9e3779b1);',
  ),
  edit(
    'a damaged record is passed over without a word',
    ['damage'],
    'log/segment-reader.ts',
    "    this.#note(segment, offset, bytes, first, last);\n    if (this.#options.onDamage === 'skip') {",
    '    if (first > 0) {',
  ),
  edit(
    'the checksum of a record is not looked at',
    ['damage'],
    'frame/record-frame.ts',
    'return crc >>> 0 === buffer.readUInt32LE(at + 4);',
    'return crc !== undefined;',
  ),
  edit(
    'the next ID is the one after the highest live record',
    ['crashes'],
    'log/log-load.ts',
    '    nextId,\n    segmentIdMax',
    `    nextId: (() => {
      let next = 1;
      for (const one of log.segments) for (let id = one.firstId; id <= one.lastId; id++) if (log.isLive(id)) next = id + 1;
      return next;
    })(),
    segmentIdMax`,
  ),
  edit(
    'tombstones are forgotten when the log is rewritten',
    ['crashes'],
    'queue/account.ts',
    'yield* segment.live.deadRuns();',
    '',
  ),
  edit(
    'GC loses live records',
    ['collecting'],
    'gc/copier.ts',
    'if (!live.has(id)) return;',
    'if (!live.has(id) || id % 3 === 0) return;',
  ),
  edit(
    'GC removes the originals before the copy is durable',
    ['collecting'],
    'gc/gc-runner.ts',
    "return await this.#synced('making a rewritten segment durable', () => this.#options.supply.publishComplete(draft));",
    'await this.#options.vfs.rename(draft.draftPath, draft.path); await draft.file.close();',
  ),
  edit(
    'GC forgets the removals that began while its copy was made durable',
    ['window'],
    'log/log-segment.ts',
    'copy.#held += this.#held;',
    '',
  ),
  {
    title: 'a move removes the source before the destination has it',
    hunts: ['crashes'],
    edits: [
      {
        file: 'store/move.ts',
        find: '  const endMove = to.beginMove();\n',
        put: '  const endMove = to.beginMove();\n  await from.removing.removeMoved(claim);\n',
      },
      { file: 'store/move.ts', find: '    await from.removing.removeMoved(claim);\n', put: '' },
    ],
  },
  edit(
    'a move that was cut is not completed',
    ['crashes'],
    'store/store-recovery.ts',
    '    const touched = new Set<string>();\n',
    '    const touched = new Set<string>();\n    if (touched.size === 0) return touched;\n',
  ),
  edit('a rejected push stays in the file', ['regressions'], 'queue/log-end.ts', 'await file.truncate(end);', ''),
  edit(
    'pushing goes on after a failed sync',
    ['errors'],
    'fail-stop.ts',
    '    for (const tell of this.#told.splice(0)) tell();\n',
    '    this.#error = undefined;\n',
  ),
  edit(
    'the log is cut at the first bad frame',
    ['damage'],
    'segment/segment-judge.ts',
    'if (evidence.sealed || range.offset < durableTo || range.contradicts === true || isOfFooter) damage.push(range);',
    'if (range.offset < 0) damage.push(range);',
  ),
  edit(
    'in a weaker mode an ID whose record was lost is given out again',
    ['weak'],
    'log/log-load.ts',
    'high = Math.max(high, header.idHighWater);',
    'high += 0;',
  ),
  {
    title: 'a tombstone outlives its record, and the next record is born dead',
    hunts: ['weak'],
    edits: [
      { file: 'log/log-load.ts', find: 'high = Math.max(high, header.idHighWater);', put: 'high += 0;' },
      {
        file: 'log/log-load.ts',
        find: 'Math.max(FIRST_RECORD_ID, tombstones.nextId, segments.unreadableEnd, removed.last + 1)',
        put: 'Math.max(FIRST_RECORD_ID, segments.unreadableEnd)',
      },
    ],
  },
  {
    title: 'a reader writes',
    hunts: ['crashes'],
    readers: true,
    edits: [
      {
        file: 'raw/read-only-evaq.ts',
        find: "identity = await readStore(vfs, store, 'read');",
        put: "identity = await readStore(vfs, store, 'read');\n      await (options.ports?.vfs ?? nodeVfs).syncDir(store);",
      },
    ],
  },
  edit(
    'a pop that could not be carried out has taken the record',
    ['linear'],
    'queue/removal-pipeline.ts',
    "failStop.error === undefined ? 'given back' : 'unknown');",
    "failStop.error === undefined ? 'unknown' : 'unknown');",
  ),
  edit(
    'the second of two removals is answered before the first is durable',
    ['linear'],
    'queue/removing.ts',
    'return this.#settle(segment, id);',
    'return NOT_REMOVED;',
  ),
  edit(
    'a removal of nothing is answered while removals are under way',
    ['linear'],
    'queue/removing.ts',
    `      await rounds.written();
      failStop.throwIfFailed();
      if (rounds.owesUpTo(last)) await rounds.join();
`,
    '',
  ),
  edit(
    'a flush is answered while removals are owed',
    ['linear'],
    'queue/queue-core.ts',
    '    await this.removals.join();\n',
    '    await this.removals.written();\n',
  ),
  edit(
    'a blocking push forgets the segments that were left',
    ['linear'],
    'queue/data-sync.ts',
    '    this.#unsynced.syncBlocking();\n',
    '',
  ),
  edit(
    'a blocking push forgets the removals before it',
    ['linear'],
    'queue/data-sync.ts',
    '    this.#options.syncRemovalsBlocking();\n',
    '',
  ),
  edit(
    'a read does not wait for claims',
    ['linear'],
    'queue/live-reads.ts',
    'if (claimed.length === 0) return outcome;',
    'if (claimed.length >= 0) return outcome;',
  ),
  edit(
    'an iterator yields what was removed',
    ['linear'],
    'queue/live-records.ts',
    'if (this.#changes === log.changes || log.isLive(record.id)) {',
    'if (log.changes >= 0) {',
  ),
  {
    title: 'an iterator passes over what is claimed',
    hunts: ['linear'],
    seed: 13_000,
    edits: [
      {
        file: 'queue/live-records.ts',
        find: 'if (isClaimed && this.#waits < CLAIM_WAITS_MAX) return undefined;',
        put: 'if (isClaimed && ++this.#at > 0) continue;',
      },
    ],
  },
  edit(
    'a removal beside a move is told that it removed the record',
    ['linear'],
    'queue/removing.ts',
    ' && !this.#moved.has(id)',
    '',
  ),
  edit(
    'who hears that a round is settled waits for it once more',
    ['linear'],
    'queue/removal-pipeline.ts',
    '    // From here on nobody waits for this round any more.\n    this.#state = BETWEEN;\n',
    '',
  ),
  edit(
    'a flush waits until nothing is pushed',
    ['live'],
    'queue/commit-pipeline.ts',
    '  async flush(): Promise<void> {\n    await this.committed();\n',
    '  async flush(): Promise<void> {\n    await this.settled();\n',
  ),
  edit(
    'GC waits until nothing is removed',
    ['live'],
    'queue/queue-core.ts',
    '    await this.removals.written();\n',
    '    await this.removals.settled();\n',
  ),
  edit('no fault passes', ['live'], 'fail-stop.ts', 'throw isPassing(cause) ? cause : new', 'throw new'),
];
