/**
 * Looks at a damaged store with an eye to repairing it: verifies it, tries what can be made anew, and counts what is lost. Writes
 * nothing, takes no lock (P11). The store must not be changed meanwhile for the plan to hold.
 */
import { resolve } from 'node:path';
import { EvaqError, reported } from '../errors.js';
import { decodeFileHeader, encodeFileHeader, type FileHeader, fileSeed } from '../frame/file-header.js';
import { listQueues } from '../layout/queue-names.js';
import { queueDir, STORE_FILE } from '../layout/store-file.js';
import type { Damage } from '../log/log-load.js';
import { readFooter } from '../segment/segment-footer.js';
import { parseSegmentFileName, segmentQueueMark } from '../segment/segment-name.js';
import { isReadThrough } from '../segment/segment-scan.js';
import { mergeRanges } from '../tombstone/id-ranges.js';
import { parseTombstoneFileName, queueMark } from '../tombstone/tombstone-name.js';
import { nodeVfs } from '../vfs/node-vfs.js';
import type { Vfs, VfsFile } from '../vfs/vfs.js';
import { lostRanges } from './raw-lost.js';
import { loadStable, type QueuePlace } from './raw-picture.js';
import { ReadOnlyVfs } from './read-only-vfs.js';
import { type FileName, isOfItsQueue, recoverHeader } from './repair-header.js';
import { type LostRecords, planSteps, type RepairPlan, removalsLostIn } from './repair-plan.js';
import { findStoreUuid, readHead, remakeStoreFile } from './repair-store-file.js';
import { PatchedVfs, type Patches } from './repair-vfs.js';
import { type VerifyOptions, type VerifyReport, verifyStore } from './verify.js';

/** A plan, and what carrying it out needs besides. */
export interface RepairSurvey {
  readonly plan: RepairPlan;
  /** By path: what a file is to begin with. */
  readonly patches: Patches;
  /** Files with a torn end. */
  readonly tornFiles: readonly string[];
}

/** @throws EVAQ_NOT_A_STORE, EVAQ_UNSUPPORTED_VERSION, EVAQ_IO; EVAQ_CORRUPT if no file tells the UUID of the store */
export async function surveyRepair(path: string, options: VerifyOptions = {}): Promise<RepairSurvey> {
  const vfs = new ReadOnlyVfs(options.vfs ?? nodeVfs);
  const store = resolve(path);
  const report = await verifyStore(store, options);
  const tornFiles = report.torn.map(({ file }) => file);
  if (report.damage.length === 0) {
    const plan = { path: store, damage: [], steps: [], lost: [], removalsLost: [], torn: tornFiles.length };
    return { plan, patches: new Map(), tornFiles };
  }
  try {
    const patches = await findPatches(vfs, store, report);
    const patched = new PatchedVfs(options.vfs ?? nodeVfs, patches);
    const left = patches.size === 0 ? report : await verifyStore(store, { ...options, vfs: patched });
    const losses = await findLosses(patched, store, left.damage);
    const plan: RepairPlan = {
      path: store,
      damage: report.damage,
      steps: planSteps({ damage: report.damage, damageLeft: left.damage, remade: new Set(patches.keys()), ...losses }),
      lost: losses.lost,
      removalsLost: removalsLostIn(left.damage),
      torn: left.torn.length,
    };
    return { plan, patches, tornFiles: [...new Set([...tornFiles, ...left.torn.map(({ file }) => file)])] };
  } catch (error) {
    throw reported(error, `looking at what is damaged in ${store}`, { path: store });
  }
}

async function findPatches(vfs: Vfs, store: string, { damage }: VerifyReport): Promise<Patches> {
  const patches = new Map<string, Buffer>();
  const uuid = await findStoreUuid(vfs, store);
  if (uuid === undefined) return patches;
  const seen = new Set<string>();
  const tied = new Map<string, boolean>();
  for (const { queue, file, offset, lossless } of damage) {
    // Of one place damage is told for each range of lost records.
    if (lossless || offset !== 0 || seen.has(file)) continue;
    seen.add(file);
    if (queue === '') {
      if (file === `${store}/${STORE_FILE}`) patches.set(file, await remakeStoreFile(vfs, store, uuid));
      continue;
    }
    const name = nameOf(file);
    if (name === undefined || (await vfs.stat(file))?.kind !== 'file') continue;
    const head = await readHead(vfs, file);
    if (head === undefined) continue;
    const decoding = decodeFileHeader(head, name.kind);
    if (decoding.kind !== 'bad' && decoding.kind !== 'blank') continue;
    const handle = await vfs.open(file, 'read');
    try {
      const size = await handle.size();
      const dir = queueDir(store, queue);
      if (!tied.has(dir)) tied.set(dir, await isTied(vfs, dir));
      const header = await recoverHeader(handle, size, uuid, name, tied.get(dir) === true);
      // One that speaks for others that are still there, and is not whole, must not do away with them.
      if (header !== undefined && !(await replacesUnread(vfs, handle, size, header)))
        patches.set(file, encodeFileHeader(header));
    } finally {
      await handle.close().catch(() => undefined);
    }
  }
  return patches;
}

/**
 * Whether the files of a queue have salts that are tied to it: all whose headers are there. One that has not is from before there was a tie, and then
 * nothing says so of those whose headers are gone.
 */
async function isTied(vfs: Vfs, dir: string): Promise<boolean> {
  let isKnown = false;
  for (const { name, kind } of await vfs.list(dir)) {
    const file = nameOf(`${dir}/${name}`);
    if (file === undefined || kind !== 'file') continue;
    const head = await readHead(vfs, `${dir}/${name}`);
    const decoding = head === undefined ? undefined : decodeFileHeader(head, file.kind);
    if (decoding?.kind !== 'ok') continue;
    if (!isOfItsQueue(decoding.header)) return false;
    isKnown = true;
  }
  return isKnown;
}

/** Whether a segment replaces others whose files are there, and cannot be read from end to end itself. */
async function replacesUnread(vfs: Vfs, file: VfsFile, size: number, header: FileHeader): Promise<boolean> {
  if (header.kind !== 'segment') return false;
  const seed = fileSeed(header);
  const footer = await readFooter(file, size, seed);
  if (footer === undefined || footer.summary.replaces.length === 0) return false;
  const dir = file.path.slice(0, file.path.lastIndexOf('/'));
  const replaced = new Set(footer.summary.replaces);
  const isThere = (await vfs.list(dir)).some(({ name }) => {
    const parsed = parseSegmentFileName(name);
    return parsed?.kind === 'segment' && replaced.has(parsed.segmentId);
  });
  return isThere && !(await isReadThrough(file, footer, seed, header.baseId));
}

function nameOf(file: string): FileName | undefined {
  const name = file.slice(file.lastIndexOf('/') + 1);
  const segment = parseSegmentFileName(name);
  if (segment?.kind === 'segment')
    return {
      kind: 'segment',
      fileId: segment.segmentId,
      baseId: segment.baseId,
      queueMark: segmentQueueMark(file),
    };
  const log = parseTombstoneFileName(name);
  return log?.kind === 'log'
    ? { kind: 'tombstones', fileId: log.generation, baseId: 0, queueMark: queueMark(file) }
    : undefined;
}

interface Losses {
  readonly lost: LostRecords[];
  readonly unreadable: Set<string>;
  readonly contradictory: Set<string>;
}

async function findLosses(vfs: Vfs, store: string, damage: readonly Damage[]): Promise<Losses> {
  const losses: Losses = { lost: [], unreadable: new Set(), contradictory: new Set() };
  const uuid = await findStoreUuid(vfs, store);
  if (uuid === undefined) return losses;
  const files = new Set(damage.map(({ file }) => file));
  const { names, strangers } = await listQueues(vfs, store);
  for (const { name, kind } of strangers) if (kind === 'lost') losses.contradictory.add(name);
  for (const queue of names) {
    const told = damage.filter((one) => one.queue === queue);
    if (told.length === 0) continue;
    const place: QueuePlace = { vfs, dir: queueDir(store, queue), queue, storeUuid: uuid };
    try {
      const { loaded } = await loadStable(place);
      for (const path of loaded.unreadable) if (files.has(path)) losses.unreadable.add(path);
      for (const { first, last } of mergeRanges(lostRanges(told))) losses.lost.push({ queue, first, last });
    } catch (error) {
      if (!(error instanceof EvaqError) || error.code !== 'EVAQ_CORRUPT') throw error;
      losses.contradictory.add(queue);
    }
  }
  return losses;
}
