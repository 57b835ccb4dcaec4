/** Looks for a bug in the engine that this file is bundled with: the entry of the bundles that have one planted. */
import * as fc from 'fast-check';
import type { Vfs, VfsFile } from '../../../src/vfs/vfs.js';
import { abortedScript, newAbortedStats, runAborted } from './aborted-calls.js';
import { damageAll, makeSmallStore } from './damaged-store.js';
import { DELIVERY_REGRESSIONS } from './delivery-regressions.js';
import { runDelivery } from './delivery-run.js';
import { deliveryScript } from './delivery-script.js';
import { useFewDescriptors } from './few-descriptors.js';
import { runFilledAhead } from './filled-ahead.js';
import { runFullDisk } from './full-disk.js';
import { removeWhileTheCopyIsNamed } from './gc-window.js';
import { exploreIntake } from './intake-run.js';
import { runLetters } from './letters-run.js';
import { runLimits } from './limits-run.js';
import { Unexplained } from './linear-client.js';
import { LINEAR_REGRESSIONS } from './linear-regressions.js';
import { runLinear } from './linear-run.js';
import { linearScript } from './linear-script.js';
import { runLink } from './link-run.js';
import { huntLiveDelivery } from './live-delivery.js';
import { huntLive } from './live-hunt.js';
import {
  exploreDormantQueues,
  exploreEmptyQueue,
  exploreRewriteBesideGc,
  exploreRewritesInARow,
  exploreWeakMode,
  rewriteBeforeTheUnlink,
} from './narrow-windows.js';
import { runObserved } from './observed-run.js';
import type { Lie, PlantedBug } from './planted-bugs.js';
import { readBesideRemoval } from './read-beside-removal.js';
import { cutAndEmpty } from './reserve-after-cut.js';
import { BESIDES, runRoundsBeside } from './rounds-beside.js';
import { checkSalvage, damageOf, makeSalvagedStore } from './salvaged-store.js';
import { BrokenPromise } from './store-model.js';
import { REGRESSIONS } from './store-regressions.js';
import { newRunStats, type RunOptions, runScript, STORE } from './store-run.js';
import { script } from './store-script.js';
import { runTimes, timeScript } from './time-run.js';

export interface HuntResult {
  /** The first line of what was found. */
  readonly found: string | undefined;
  /** Scripts, or changes to files, until then. */
  readonly tries: number;
  readonly states: number;
}

const CHUNK_RUNS = 20;
const SEED = 1000;
/** Damages in a round. */
const SALVAGED = 12;
/** Histories of a queue with limits in a round. */
const LIMITED_RUNS = 10;
/** Scripts of rounds beside other changes in a round, of each kind. */
const ROUNDS_RUNS = 8;
const INTAKE_MODES = ['sync', 'os', 'interval'] as const;
const LINEAR_TROUBLES = ['calm', 'faults', 'crashes', 'weak'] as const;

/** Each round goes through every kind of hunt that the bug names, with seeds of its own. */
export async function hunt(
  { hunts, lie, seed = SEED, readers = false, trouble: befalls }: PlantedBug,
  roundsMax: number,
): Promise<HuntResult> {
  const stats = newRunStats();
  const linear = { chapters: 0, givenUp: 0 };
  // A reader would find most of them first; it is recovery that must.
  const options: RunOptions = lie === undefined ? { readers } : { readers, wrap: (vfs) => lying(vfs, lie) };
  let tries = 0;
  const result = (error: unknown): HuntResult => ({
    found: error === undefined ? undefined : firstLine(error),
    tries,
    states: stats.states,
  });
  for (let round = 0; round < roundsMax; round++) {
    for (const kind of hunts) {
      try {
        if (kind === 'damage') {
          // One byte in `step`, each time others, one bit of each.
          const store = await makeSmallStore(round % 2 === 0 ? 'closed' : 'killed');
          const step = 16;
          await damageAll(store, 'flip', (_path, offset, bit) => {
            const picked = offset % step === (round * 5) % step && bit === (offset + round) % 8;
            if (picked) tries++;
            return picked;
          });
        } else if (kind === 'salvage') {
          const store = await makeSalvagedStore(round % 2 === 0 ? 'closed' : 'killed');
          for (let i = 0; i < SALVAGED; i++) {
            tries++;
            await checkSalvage(store, damageOf(store, seed + round * SALVAGED + i));
          }
        } else if (kind === 'descriptors') {
          tries++;
          await useFewDescriptors(seed + round, round % 2 === 0 ? 'sync' : 'os');
        } else if (kind === 'window') {
          tries++;
          await removeWhileTheCopyIsNamed(seed + round);
        } else if (kind === 'beside') {
          tries++;
          await rewriteBeforeTheUnlink(seed + round);
          stats.states += await exploreRewriteBesideGc(seed + round, 1500);
        } else if (kind === 'reserve') {
          tries++;
          stats.states += await cutAndEmpty(seed + round);
        } else if (kind === 'rounds') {
          for (const beside of BESIDES) {
            for (let nth = 0; nth < ROUNDS_RUNS; nth++) {
              tries++;
              stats.states += await runRoundsBeside(seed + round * ROUNDS_RUNS + nth, beside);
            }
          }
        } else if (kind === 'rewrites') {
          tries++;
          stats.states += await exploreRewritesInARow(seed + round, 1500);
        } else if (kind === 'empty') {
          tries++;
          stats.states += await exploreEmptyQueue(seed + round, 200);
        } else if (kind === 'dormant') {
          tries++;
          stats.states += await exploreDormantQueues(seed + round, 2000);
        } else if (kind === 'weak') {
          tries++;
          stats.states += await exploreWeakMode(seed + round, 'os', 400);
        } else if (kind === 'intake') {
          const mode = INTAKE_MODES[round % INTAKE_MODES.length] ?? 'sync';
          tries++;
          stats.states += (await exploreIntake(seed + Math.floor(round / INTAKE_MODES.length), mode, 400)).states;
        } else if (kind === 'reading') {
          tries++;
          await readBesideRemoval(round);
        } else if (kind === 'live') {
          const found = await huntLive(seed + round, () => tries++);
          if (found !== undefined) return result(new BrokenPromise('liveness', found));
        } else if (kind === 'full') {
          tries++;
          await runFullDisk(seed + round);
        } else if (kind === 'zeros') {
          tries++;
          await runFilledAhead(seed + round);
        } else if (kind === 'delivery') {
          for (const { scripts } of round === 0 ? DELIVERY_REGRESSIONS : []) {
            for (const one of scripts) {
              tries++;
              await runDelivery(one);
            }
          }
          const checked = await fc.check(
            fc.asyncProperty(deliveryScript, async (value) => {
              tries++;
              await runDelivery(value);
            }),
            { numRuns: CHUNK_RUNS, seed: seed + round, endOnFailure: true },
          );
          if (checked.failed && checked.errorInstance !== null) return result(checked.errorInstance);
        } else if (kind === 'delivery beside loads') {
          const found = await huntLiveDelivery(seed + round, () => tries++);
          if (found !== undefined) return result(new BrokenPromise('P14', found));
        } else if (kind === 'limits') {
          for (let nth = 0; nth < LIMITED_RUNS; nth++) {
            tries++;
            await runLimits(seed + round * LIMITED_RUNS + nth);
          }
        } else if (kind === 'link') {
          tries++;
          await runLink(seed + round);
        } else if (kind === 'letters') {
          tries++;
          await runLetters(seed + round);
        } else if (kind === 'observation') {
          tries++;
          await runObserved(seed + round);
        } else if (kind === 'time') {
          const checked = await fc.check(
            fc.asyncProperty(timeScript, async (value) => {
              tries++;
              await runTimes(value, { ranOut: 0 });
            }),
            { numRuns: CHUNK_RUNS, seed: seed + round, endOnFailure: true },
          );
          if (checked.failed && checked.errorInstance !== null) return result(checked.errorInstance);
        } else if (kind === 'aborted') {
          const checked = await fc.check(
            fc.asyncProperty(abortedScript, async (value) => {
              tries++;
              await runAborted(value, newAbortedStats());
            }),
            { numRuns: CHUNK_RUNS, seed: seed + round, endOnFailure: true },
          );
          if (checked.failed && checked.errorInstance !== null) return result(checked.errorInstance);
        } else if (kind === 'linear') {
          for (const { make } of round === 0 ? LINEAR_REGRESSIONS : []) {
            for (let nth = 1; nth <= 3; nth++) {
              tries++;
              await runLinear(make(seed + nth, nth), linear);
            }
          }
          const trouble = befalls ?? LINEAR_TROUBLES[round % LINEAR_TROUBLES.length] ?? 'calm';
          const checked = await fc.check(
            fc.asyncProperty(linearScript(trouble), async (value) => {
              tries++;
              await runLinear(value, linear);
            }),
            {
              numRuns: CHUNK_RUNS,
              seed: seed + round,
              endOnFailure: true,
            },
          );
          stats.states = linear.chapters;
          if (checked.failed && checked.errorInstance !== null) return result(checked.errorInstance);
        } else if (kind === 'regressions') {
          for (const { scripts, indexIntervalBytes = 4096 } of REGRESSIONS) {
            for (const ops of scripts) {
              tries++;
              const settings = {
                seed: seed + round,
                sectorBytes: 512,
                names: 'adversarial',
                timing: 'steady',
                recycleSegments: 0,
                indexIntervalBytes,
              } as const;
              await runScript({ settings, ops }, options, stats);
            }
          }
        } else {
          const checked = await fc.check(
            fc.asyncProperty(script(kind), async (value) => {
              tries++;
              await runScript(value, options, stats);
            }),
            {
              numRuns: CHUNK_RUNS,
              seed: seed + round,
              endOnFailure: true,
            },
          );
          if (checked.failed && checked.errorInstance !== null) return result(checked.errorInstance);
        }
      } catch (error) {
        return result(error);
      }
    }
  }
  return result(undefined);
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return `${error instanceof BrokenPromise || error instanceof Unexplained ? '' : 'unexpected: '}${text.split('\n')[0]}`;
}

const isQueueDir = (path: string): boolean => path.startsWith(`${STORE}/queues`);

/** The file system as it would be if the engine forgot something. */
function lying(vfs: Vfs, lie: Lie): Vfs {
  const wrap = async (opening: Promise<VfsFile>): Promise<VfsFile> => lyingFile(await opening, lie);
  return {
    list: (dir) => vfs.list(dir),
    stat: (path) => vfs.stat(path),
    identities: vfs.identities,
    makeDir: (dir) => vfs.makeDir(dir),
    create: (path) => wrap(vfs.create(path)),
    open: (path, access) => wrap(vfs.open(path, access)),
    rename: (from, to) => vfs.rename(from, to),
    remove: (path) => vfs.remove(path),
    freeBytes: (path) => vfs.freeBytes(path),
    lock: (path, note) => vfs.lock(path, note),
    async syncDir(dir) {
      if (lie === 'folders of queues are not synced' && isQueueDir(dir)) return;
      if (lie === 'folders above the store are not synced' && !dir.startsWith(STORE)) return;
      if (lie === 'a folder sync is acknowledged before it happened') {
        vfs.syncDir(dir).catch(() => undefined);
        return;
      }
      await vfs.syncDir(dir);
    },
  };
}

function lyingFile(file: VfsFile, lie: Lie): VfsFile {
  const { path } = file;
  const unsynced =
    (lie === 'data is not synced' && path.endsWith('.seg')) ||
    (lie === 'tombstones are not synced' && /\.tomb/.test(path)) ||
    (lie === 'temporary files are not synced' && path.endsWith('.tmp'));
  return {
    path,
    size: () => file.size(),
    readAt: (target, offset, length, position) => file.readAt(target, offset, length, position),
    extend: (length) => file.extend(length),
    writeBlocking: (chunk) => file.writeBlocking(chunk),
    truncateBlocking: (size) => {
      if (lie !== 'nothing is ever cut') file.truncateBlocking(size);
    },
    writeAndSyncBlocking: (chunks) => {
      if (!unsynced) file.writeAndSyncBlocking(chunks);
      else for (const chunk of chunks) file.writeBlocking(chunk);
    },
    ...(file.identityBlocking === undefined ? {} : { identityBlocking: file.identityBlocking.bind(file) }),
    close: () => file.close(),
    async writeAt(source, offset, length, position) {
      if (lie === 'a write is acknowledged before it happened') {
        file.writeAt(Buffer.from(source.subarray(offset, offset + length)), 0, length, position).catch(() => undefined);
        return;
      }
      try {
        await file.writeAt(source, offset, length, position);
      } catch (error) {
        if (lie !== 'a short write is taken for a whole one') throw error;
      }
    },
    async truncate(size) {
      if (lie === 'nothing is ever cut' && size < (await file.size())) return;
      await file.truncate(size);
    },
    async sync() {
      if (unsynced) return;
      if (lie === 'a sync is acknowledged before it happened') {
        file.sync().catch(() => undefined);
        return;
      }
      try {
        await file.sync();
      } catch (error) {
        if (lie === 'a failed sync is tried again') return file.sync();
        if (lie !== 'a failed sync is ignored') throw error;
      }
    },
  };
}
