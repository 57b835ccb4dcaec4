/**
 * What is known of each wait for the disk (`sync-sites.ts`): what finds it out where it is left out, or why nobody can. A new one needs a line here: run
 * `npm run sync-mutants -- --only <text>`.
 */
import type { Hunt } from './planted-bugs.js';

export type SyncVerdict =
  /** A hunt finds it in its first round from the seed (1000 where none is given). `frequent`: where the tombstone log is rewritten all the time. */
  | { readonly hunt: Hunt; readonly frequent?: boolean; readonly seed?: number }
  /** A test finds it: `EVAQ_LEFT_OUT=<name> npx vitest run -c vitest.sync-mutants.config.ts <test>`. */
  | { readonly test: string }
  /** Nothing that is promised depends on it, or another wait does the same. */
  | { readonly equivalent: string }
  /** Nothing that was run has found it, and it is not shown that nothing can. */
  | { readonly open: string };

const crashes: SyncVerdict = { hunt: 'crashes' };
const rounds: SyncVerdict = { hunt: 'rounds' };
const reserve: SyncVerdict = { hunt: 'reserve' };
const dormant: SyncVerdict = { hunt: 'dormant' };
const weak: SyncVerdict = { hunt: 'weak' };
const linear: SyncVerdict = { hunt: 'linear' };
const DURABLE: SyncVerdict = { test: 'test/unit/store/durable.test.ts' };
const WEAK: SyncVerdict = { test: 'test/unit/store/durable-weak.test.ts' };
const EVIDENCE: SyncVerdict = { test: 'test/unit/gc/gc-evidence.test.ts' };
const MOVES: SyncVerdict = { test: 'test/unit/store/moves-durable.test.ts' };
const PUSH_SYNC: SyncVerdict = { test: 'test/unit/queue/push-sync.test.ts' };
const OPENS: SyncVerdict = { test: 'test/unit/store/opens-cut.test.ts' };
const CHECKPOINT: SyncVerdict = { test: 'test/unit/intake/checkpoint.test.ts' };
const FLUSH: SyncVerdict = { test: 'test/unit/queue/queue-flush.test.ts' };
const notRun: SyncVerdict = { open: 'no hunt was run on it' };
const oneRound: SyncVerdict = { open: 'one round of crashes, collecting, space, regressions, weak, linear and intake' };
const BOUND: SyncVerdict = {
  equivalent: 'it bounds what a power cut takes in the weaker modes, at 512 MiB, and promises nothing of records',
};
const REWRITING: SyncVerdict = {
  equivalent:
    'what is kept for rewrites on a full disk is not promised behind a crash: an open may spend it on footers',
};
const BACKUP: SyncVerdict = { test: 'test/unit/store/backup-durable.test.ts' };
const IMPORT: SyncVerdict = { test: 'test/unit/store/import-durable.test.ts' };
const REPAIR: SyncVerdict = { test: 'test/unit/raw/repair-crash.test.ts' };

export const SYNC_VERDICTS: Readonly<Record<string, SyncVerdict>> = {
  'segment/opening-file.ts #make: syncFile(file)': reserve,
  'segment/opening-file.ts #make: syncFolder(this.#vfs, this.#dir)': reserve,
  'segment/segment-supply.ts #name: syncFile(draft.file)': crashes,
  'segment/segment-supply.ts #name: syncFolder(vfs, dir)': crashes,
  'segment/segment-supply.ts #syncNames: syncFolder(this.#options.vfs, this.#options.dir)': rounds,
  'segment/segment-supply.ts #sweep: this.#syncNames()': {
    open: 'needs a segment that was named and given up: two rounds of rounds and beside do not reach it',
  },
  'segment/segment-supply.ts retire: this.#syncNames()': rounds,
  'segment/segment-supply.ts #makeSpare: file.sync()': REWRITING,
  'segment/segment-supply.ts #makeSpare: syncFolder(vfs, dir)': REWRITING,
  'segment/segment-supply.ts #lengthenSpare: file.sync()': REWRITING,
  'tombstone/tombstone-log.ts create: file.sync()': crashes,
  'tombstone/tombstone-log.ts create: vfs.syncDir(dir)': { hunt: 'rewrites', frequent: true },
  'tombstone/tombstone-log.ts sync: this.#file.sync()': crashes,
  'tombstone/tombstone-log.ts syncBlocking: syncFileBlocking(this.#file)': linear,
  'tombstone/tombstone-log.ts reserve: syncFile(this.#file)': {
    open: 'eight rounds of reserve: the log is lengthened before a push, and a cut takes that, but log and spare file change places at the open',
  },
  'tombstone/tombstone-log.ts reserve: syncFolder(vfs, dir)': {
    open: 'reached only where an open found no space for a spare file, which no hunt does',
  },
  'tombstone/tombstone-log.ts cut: file.sync()': {
    equivalent: 'a spare file that is longer than it need be after a crash is cut by the next open, and holds nothing',
  },
  'tombstone/tombstone-log.ts openDraft: vfs.syncDir(dir)': {
    equivalent:
      'the log that the spare file was is superseded by one whose name was synced when it was made; without both it is planted, and found',
  },
  'tombstone/tombstone-spare.ts makeSpare: syncFile(file)': reserve,
  'tombstone/tombstone-spare.ts lengthenSpare: syncFile(file)': reserve,
  'tombstone/tombstone-spare.ts fillSpare: syncFile(file)': {
    open: 'eight rounds of reserve: needs holes behind one cut, filled, and lost to the next',
  },
  'intake/intake-log.ts rewriteTail: syncFile(file)': {
    open: 'no hunt opens a store with messages where there is no space for its intake log',
  },
  'intake/intake-log.ts #append: syncFile(file)': CHECKPOINT,
  'intake/intake-log.ts #renew: syncFile(file)': { test: 'test/unit/intake/intake-durable.test.ts' },
  'intake/intake-log.ts #named: syncFolder(this.#options.vfs, this.#options.dir)': CHECKPOINT,
  'intake/intake-log.ts #removeOlder: vfs.syncDir(aside)': {
    open: 'reached only with a damaged intake log, which no hunt cuts',
  },
  'intake/intake-log.ts cutBack: syncFile(file)': { test: 'test/unit/intake/intake-durable.test.ts' },
  'gc/gc-runner.ts drop: this.#options.tombstonesDurable()': WEAK,
  'gc/gc-runner.ts rewrite: removalsWritten()': oneRound,
  'gc/gc-runner.ts rewrite: removalsWritten() (2)': WEAK,
  'gc/gc-runner.ts #retire: segment.whenUnpinned()': oneRound,
  'gc/gc-runner.ts #quarantine: syncFolder(vfs, dir)': EVIDENCE,
  'gc/gc-runner.ts #quarantine: syncFolder(vfs, aside)': EVIDENCE,
  'gc/gc-runner.ts #quarantine: syncFolder(vfs, dir) (2)': EVIDENCE,
  'queue/blocking-commit.ts #commit: data.syncLeftBlocking(active)': linear,
  'queue/commit-loop.ts #commitPlaced: data.timedSync(active)': crashes,
  'queue/commit-pipeline.ts flush: this.syncNow()': CHECKPOINT,
  'queue/commit-pipeline.ts syncNow: this.#parts.data.syncNow(this.active, this.settledBelow)': weak,
  'queue/data-sync.ts constructor: this.timedSync(left)': PUSH_SYNC,
  'queue/data-sync.ts makeRoom: this.#unsynced.makeRoom()': BOUND,
  'queue/data-sync.ts timedSync: active.file.sync()': crashes,
  'queue/data-sync.ts syncNow: this.#unsynced.sync()': WEAK,
  'queue/data-sync.ts syncNow: this.timedSync(active)': weak,
  'queue/data-sync.ts syncLeftBlocking: this.#unsynced.syncBlocking()': linear,
  'queue/data-sync.ts syncLeftBlocking: syncFileBlocking(active.file)': PUSH_SYNC,
  'queue/data-sync.ts syncLeftBlocking: this.#options.syncRemovalsBlocking()': linear,
  'queue/generation-start.ts anotherSpare: syncDirOrStop(env, dir)': {
    open: 'two rounds of crashes and regressions; what is kept then is not looked for by reserve',
  },
  'queue/generation-start.ts olderLogAsSpare: syncDirOrStop(env, dir)': {
    open: 'two rounds of crashes and regressions do not reach it',
  },
  'queue/generation-start.ts oldLogAsSpare: syncDirOrStop(env, dir)': OPENS,
  'queue/log-end.ts cut: file.sync()': WEAK,
  'queue/log-end.ts switchSegment: this.#data.makeRoom()': BOUND,
  'queue/push-sync.ts pushBlocking: push.syncLeft()': linear,
  'queue/push-sync.ts cutBlocking: syncFileBlocking(file)': WEAK,
  'queue/queue-core.ts constructor: this.removals.syncBlocking()': linear,
  'queue/queue-core.ts constructor: this.removalsDurable()': WEAK,
  'queue/queue-core.ts constructor: this.removals.syncNow()': WEAK,
  'queue/queue-core.ts flush: this.#syncAll()': FLUSH,
  'queue/queue-core.ts settle: this.#syncAll()': {
    equivalent:
      'the last step of a close syncs the same before the close resolves; in these modes nothing is promised sooner',
  },
  'queue/queue-core.ts #closeCleanly: this.#syncAll()': {
    open: 'one round of weak: what comes behind it, or before, syncs the same',
  },
  'queue/queue-core.ts #syncAll: this.commits.syncNow()': { open: 'one round of linear and weak' },
  'queue/queue-core.ts #syncAll: this.removals.syncNow()': FLUSH,
  'queue/queue-core.ts #account: this.removalsDurable()': EVIDENCE,
  'queue/queue-core.ts removalsDurable: this.#syncAll()': WEAK,
  'queue/queue-core.ts #startInterval: this.commits.syncNow()': WEAK,
  'queue/queue-core.ts #startInterval: this.removals.syncNow()': WEAK,
  'queue/queue-evidence.ts removeEvidence: syncFolder(vfs, dir)': {
    open: 'two rounds of crashes and regressions, and all cuts of dormant',
  },
  'queue/queue-recovery.ts mendHeader: syncOrStop(env, file)': {
    equivalent: 'the copy that is intact gets the bytes that it has, and the next open mends the other again',
  },
  'queue/queue-recovery.ts settleTail: syncOrStop(env, file)': dormant,
  'queue/queue-recovery.ts settleTail: syncDirOrStop(env, loaded.dir)': {
    equivalent: 'nothing is appended to a segment whose name is not synced, so a tail with records has a durable name',
  },
  'queue/queue-recovery.ts keepAside: vfs.syncDir(loaded.dir)': {
    equivalent: 'the same folder is synced when the tail is cut, before the open resolves',
  },
  'queue/queue-recovery.ts keepAside: copy.sync()': DURABLE,
  'queue/queue-recovery.ts keepAside: vfs.syncDir(aside)': DURABLE,
  'queue/queue-recovery.ts rewriteRange: syncOrStop(env, file)': {
    equivalent:
      'it only sets the disk to work before the sync at the end; that it is made, recovered-tail.test.ts shows',
  },
  'queue/queue-recovery.ts closeDormant: tombstones.sync()': dormant,
  'queue/queue-recovery.ts sealFound: syncOrStop(env, file)': crashes,
  'queue/queue-recovery.ts startActive: syncDirOrStop(env, loaded.dir)': crashes,
  'queue/queue-recovery.ts removeLeftovers: vfs.syncDir(folder)': notRun,
  'queue/queue-recovery.ts removeLeftovers: syncDirOrStop(env, loaded.dir)': {
    open: 'two rounds of crashes and regressions, and all cuts of dormant',
  },
  'queue/queue-recovery.ts syncOrStop: file.sync()': crashes,
  'queue/queue-recovery.ts syncDirOrStop: env.vfs.syncDir(dir)': crashes,
  'queue/removal-log.ts sync: this.#log.sync()': crashes,
  'queue/removal-log.ts syncWiped: this.#log.sync()': WEAK,
  'queue/removal-log.ts syncNow: log.sync()': weak,
  'queue/removal-log.ts syncBlocking: this.#log.syncBlocking()': linear,
  'queue/removal-log.ts writeClose: this.#log.sync()': DURABLE,
  'queue/removal-log.ts #append: this.syncWiped()': notRun,
  'queue/removal-pipeline.ts syncNow: this.#log.syncNow()': weak,
  'queue/removal-pipeline.ts syncBlocking: this.#log.syncBlocking()': linear,
  'queue/removal-pipeline.ts #write: this.#log.syncWiped()': WEAK,
  'queue/removal-pipeline.ts #write: this.#log.sync()': crashes,
  'queue/segment-sealer.ts #writeFooter: this.#sync(left)': crashes,
  'queue/segment-sealer.ts #keep: this.#sync(left)': PUSH_SYNC,
  'queue/segment-sealer.ts #sync: file.sync()': crashes,
  'queue/segment-start.ts reuseSegment: syncFile(file)': {
    open: 'no hunt opens a full disk whose newest segment is empty',
  },
  'queue/unsynced-segments.ts add: this.sync()': {
    equivalent: 'the tick of the interval syncs the same; this only begins sooner',
  },
  'queue/unsynced-segments.ts makeRoom: this.sync()': BOUND,
  'queue/unsynced-segments.ts sync: this.#syncOne(left)': WEAK,
  'queue/unsynced-segments.ts syncBlocking: syncFileBlocking(left.file)': linear,
  'queue/unsynced-segments.ts #syncOne: this.#sync(left)': WEAK,
  'store/move.ts moveOne: settleData(from, [claim])': { open: 'one round of linear and weak' },
  'store/move.ts settleData: from.commits.syncNow()': { open: 'one round of linear and weak' },
  'store/move.ts takeBatch: settleData( from, taken.map(({ claim }) => claim), )': notRun,
  'store/move.ts moveClaimed: durably.appended(to)': weak,
  'store/move.ts moveClaimed: durably.removed(to)': MOVES,
  'store/move.ts appended: to.commits.syncNow()': weak,
  'store/move.ts removed: from.removalsDurable()': MOVES,
  'store/open-store.ts makeDurable: vfs.syncDir(dir)': crashes,
  'store/store-queues.ts #make: vfs.syncDir(`${path}/${QUEUES_DIR}`)': crashes,
  'store/queue-registrar.ts #write: syncFile(file)': DURABLE,
  'store/store-repair.ts backUp: vfs.syncDir(dir)': REPAIR,
  'store/store-repair.ts makeBackupDir: vfs.syncDir(path)': REPAIR,
  'store/store-repair.ts copyFile: target.sync()': REPAIR,
  'store/store-repair.ts writePatches: file.sync()': REPAIR,
  'store/store-repair.ts writePatches: vfs.syncDir(parentOf(path))': {
    open: 'repair-crash.test.ts, in which no patch makes a file',
  },
  'store/store-repair.ts syncDir: this.#vfs.syncDir(dir)': REPAIR,
  'store/backup-files.ts #copy: target.sync()': BACKUP,
  'store/backup-files.ts write: file.sync()': BACKUP,
  'store/backup-folder.ts takeFolder: vfs.syncDir(to)': {
    equivalent: 'the backup is opened before it resolves, and an open syncs the same folder',
  },
  'store/backup-folder.ts emptyFolder: vfs.syncDir(to)': BACKUP,
  'store/store-backup.ts finish: vfs.syncDir(dir)': {
    equivalent: 'the log of removals is made last in each folder, and syncs it',
  },
  'store/store-backup.ts finish: vfs.syncDir(`${this.#to}/${QUEUES_DIR}`)': BACKUP,
  'store/store-backup.ts finish: vfs.syncDir(this.#to)': {
    equivalent: 'the backup is opened before it resolves, and an open syncs the same folder',
  },
  'store/store-import.ts finish: syncFolder(vfs, parentOf(this.#path))': IMPORT,
  'store/store-import.ts #account: syncFolder(this.#vfs, dir)': {
    equivalent: 'each queue is opened before the store gets its name, and an open syncs the same folder',
  },
  'layout/store-file.ts createStore: vfs.syncDir(path)': {
    equivalent: 'an open syncs the same folder before it resolves, and nothing is acknowledged before',
  },
  'layout/store-file.ts mendStore: vfs.syncDir(path)': notRun,
  'layout/store-file.ts writeUnfinished: file.sync()': crashes,
  'layout/store-file.ts makeDirs: vfs.syncDir(parentOf(dir))': crashes,
  'layout/store-file.ts makeDirs: vfs.syncDir(`${dir}/..`)': {
    open: 'for a store behind a link, which the simulated disk does not have',
  },
};
