/**
 * A new store out of records that have IDs and times already: an export, as it was. What is pushed gets an ID and a time; so these do not go through a
 * queue, but into sealed segments, as GC writes them, which hold any IDs and times.
 *
 * The store is made under another name beside its place, opened and counted, and gets its own name last: after a crash it is there as a whole or not at all.
 * One call at a time. After one that rejected only `abandon` is of use.
 */
import { assert } from '../assert.js';
import { codeOf, EvaqError, reported } from '../errors.js';
import { syncFolder } from '../fail-stop.js';
import { HEADER_FLAG_REWRITTEN } from '../frame/file-header.js';
import { encodeMeta, type RecordMeta } from '../frame/metadata.js';
import { frameBodyOf } from '../frame/record-frame.js';
import { Copier } from '../gc/copier.js';
import { type IdRange, NEXT_ID_MAX, type SegmentId, segmentId } from '../ids.js';
import { DEAD_LETTERS_SUFFIX, queueDir, readStore, STORE_FILE } from '../layout/store-file.js';
import { encodeFooter } from '../segment/segment-footer.js';
import { parseSegmentFileName } from '../segment/segment-name.js';
import { type DraftSegment, SegmentSupply } from '../segment/segment-supply.js';
import { clampTime } from '../times.js';
import { TombstoneLog } from '../tombstone/tombstone-log.js';
import { parseTombstoneFileName } from '../tombstone/tombstone-name.js';
import { type Host, timeOf } from '../vfs/host.js';
import { makeFolderLike, nodeVfsFor } from '../vfs/node-access.js';
import { nodeHost } from '../vfs/node-host.js';
import { nodeVfs } from '../vfs/node-vfs.js';
import type { Vfs } from '../vfs/vfs.js';
import { Evaq } from './evaq.js';
import type { Ports } from './evaq-options.js';

export interface ImportedRecord {
  readonly queue: string;
  readonly id: number;
  readonly timestamp: number;
  readonly payload: Buffer;
  readonly meta: RecordMeta;
}

/** A record that cannot be in the store that is made. */
export class ForeignRecordError extends Error {
  override readonly name = 'ForeignRecordError';
}

const SEGMENT_BYTES = 64 * 1024 * 1024;
const INDEX_INTERVAL_BYTES = 4096;
/** Behind all that a store has when it was made and closed. */
const FIRST_ROUND = 1000;

/** The segment that is being filled, of one queue. */
interface Filling {
  readonly draft: DraftSegment;
  readonly copier: Copier;
}

interface ImportedQueue {
  readonly dir: string;
  /** What it was made with, an empty segment and a tombstone log: they go where there are records. A queue without a segment counts as damaged. */
  readonly oldSegments: readonly string[];
  readonly oldLogs: readonly string[];
  readonly oldSegmentId: number;
  readonly allocateId: () => SegmentId;
  /** IDs that no record has: they count as removed. */
  readonly gaps: IdRange[];
  lastSegmentId: number;
  readonly supply: SegmentSupply;
  filling: Filling | undefined;
  lastId: number;
  /** No record that comes later gets a lower one: of its own, or as what a record elsewhere is known by. */
  nextIdMin: number;
  /** The export says that it was there; its records may come. */
  readonly isNamed: boolean;
  count: number;
}

/** A queue as an export names it. */
export interface ExportedQueue {
  readonly name: string;
  /** The ID that its next record would have got; where it is not told, the one behind all that are seen. */
  readonly nextId?: number;
}

export class StoreImport {
  /** Where it is made. */
  readonly draftPath: string;
  readonly #path: string;
  readonly #vfs: Vfs;
  readonly #host: Host;
  readonly #ports: Ports | undefined;
  readonly #storeUuid: Buffer;
  readonly #queues: ReadonlyMap<string, ImportedQueue>;

  private constructor(
    path: string,
    draftPath: string,
    vfs: Vfs,
    ports: Ports | undefined,
    storeUuid: Buffer,
    queues: ReadonlyMap<string, ImportedQueue>,
  ) {
    this.#storeUuid = storeUuid;
    this.#path = path;
    this.draftPath = draftPath;
    this.#vfs = vfs;
    this.#host = ports?.host ?? nodeHost;
    this.#ports = ports;
    this.#queues = queues;
  }

  /** Where one at `path` is made. */
  static draftPathOf(path: string): string {
    return `${path}.import`;
  }

  /**
   * Makes an empty store with those queues under another name. `ports`: file system and host; default the real ones.
   * @throws EVAQ_NOT_A_STORE where there is something at `path` or at that name already; EVAQ_IO where a file system is mounted at `path`; as `Evaq.open`
   * and `Evaq.queue`, and then something may be left at that name
   */
  static async begin(path: string, queues: readonly ExportedQueue[], ports?: Ports): Promise<StoreImport> {
    const draftPath = StoreImport.draftPathOf(path);
    for (const one of [path, draftPath]) await requireNothing(ports?.vfs ?? nodeVfs, one);
    if (ports === undefined) await makeDraft(draftPath, path);
    // Whom the folder belongs to: as the next open finds it.
    const vfs =
      ports?.vfs ?? (await nodeVfsFor({ path: draftPath, mode: undefined, like: `${draftPath}/${STORE_FILE}` }));
    const host = ports?.host ?? nodeHost;
    const there: string[] = [];
    const made = await Evaq.open(draftPath, portsIn(ports));
    try {
      // A queue of dead letters comes behind its own.
      for (const name of queues.map((one) => one.name).sort()) await made.queue(name);
      // By what their dead letters are known is their own: it goes to no other record, though nothing comes into them here.
      for (const { name } of queues) if (name.endsWith(DEAD_LETTERS_SUFFIX)) await made.queue(homeOf(name));
      there.push(...made.queueNames());
    } finally {
      await made.close();
    }
    const identity = await readStore(vfs, draftPath);
    assert(identity !== undefined, 'the store was made');
    const named = new Map<string, ImportedQueue>();
    for (const name of there) {
      const told = queues.find((one) => one.name === name);
      const nextId = told?.nextId ?? 1;
      const dir = queueDir(draftPath, name);
      named.set(name, await importedQueue({ vfs, host }, dir, identity.uuid, nextId, told !== undefined));
    }
    return new StoreImport(path, draftPath, vfs, ports, identity.uuid, named);
  }

  /**
   * To be awaited where it returns something. IDs of a queue ascend.
   * @throws ForeignRecordError for an ID that does not, or a queue that was not named; EVAQ_IO, EVAQ_NO_SPACE
   */
  add({ queue: name, id, timestamp, payload, meta }: ImportedRecord): Promise<void> | undefined {
    const queue = this.#queues.get(name);
    if (queue?.isNamed !== true) throw new ForeignRecordError(`there is no queue '${name}' in the export`);
    if (id <= queue.lastId || id >= NEXT_ID_MAX) {
      throw new ForeignRecordError(`ID ${id} of queue '${name}' stands behind ${queue.lastId}: IDs ascend`);
    }
    const { filling } = queue;
    if (filling === undefined)
      return this.#beginSegment(queue, id).then(() => this.add({ queue: name, id, timestamp, payload, meta }));
    const hasMeta = Object.keys(meta).length > 0;
    const body = frameBodyOf(payload, hasMeta ? encodeMeta(meta) : undefined);
    filling.copier.addForeign(id, clampTime(timestamp), body, hasMeta, payload.length);
    this.#reserve(meta);
    if (id > queue.lastId + 1) queue.gaps.push({ first: queue.lastId + 1, last: id - 1 });
    queue.lastId = id;
    queue.count++;
    if (filling.copier.bytes >= SEGMENT_BYTES) return this.#endSegment(queue);
    return filling.copier.wantsFlush ? this.#reported(filling.copier.flush()) : undefined;
  }

  /** What a record is known by, or came from, is no other's: by it a destination tells what it has already. */
  #reserve({ origin, identity }: RecordMeta): void {
    for (const place of [origin, identity]) {
      const queue = place === undefined ? undefined : this.#queues.get(place.queue);
      if (place !== undefined && queue !== undefined) queue.nextIdMin = Math.max(queue.nextIdMin, place.id + 1);
    }
  }

  /** Seals all, opens the store once, counts, and gives it its name. Resolves with the number of records. */
  async finish(): Promise<number> {
    for (const queue of this.#queues.values()) {
      await this.#endSegment(queue);
      if (queue.count > 0 || queue.nextIdMin > 1) await this.#reported(this.#account(queue));
    }
    let records = 0;
    // Its first writer: it takes in what was put there, and leaves it closed.
    const evaq = await Evaq.open(this.draftPath, { create: false, ...portsIn(this.#ports) });
    try {
      for (const [name, { count }] of this.#queues) {
        const { live } = (await evaq.queue(name)).stats();
        if (live !== count) {
          throw new EvaqError(
            'EVAQ_CORRUPT',
            `queue '${name}': of ${count} records that were imported ${live} are there`,
            {
              details: { queue: name, path: this.draftPath },
            },
          );
        }
        records += live;
      }
    } finally {
      await evaq.close();
    }
    const vfs = this.#vfs;
    await requireNothing(vfs, this.#path);
    await this.#reported(vfs.rename(this.draftPath, this.#path).then(() => syncFolder(vfs, parentOf(this.#path))));
    return records;
  }

  /** Closes what is open. What was made is left where it is. */
  async abandon(): Promise<void> {
    for (const queue of this.#queues.values()) await queue.filling?.draft.file.close().catch(() => undefined);
  }

  async #beginSegment(queue: ImportedQueue, firstId: number): Promise<void> {
    const draft = await this.#reported(queue.supply.draft(firstId, HEADER_FLAG_REWRITTEN, 0, 0));
    queue.filling = { draft, copier: new Copier(draft, INDEX_INTERVAL_BYTES, 0) };
  }

  async #endSegment(queue: ImportedQueue): Promise<void> {
    const { filling } = queue;
    if (filling === undefined) return;
    const { draft, copier } = filling;
    queue.filling = undefined;
    await this.#reported(this.#seal(queue, draft, copier));
  }

  async #seal(queue: ImportedQueue, draft: DraftSegment, copier: Copier): Promise<void> {
    await copier.flush();
    const summary = copier.summary([]);
    const footer = encodeFooter(summary, copier.index, draft.seed, 0, timeOf(this.#host));
    await draft.file.writeAt(footer, 0, footer.length, summary.dataEnd);
    await queue.supply.publishComplete(draft);
    queue.lastSegmentId = draft.id;
  }

  /** A tombstone log in which every ID that is not there is removed: so nothing is missed, now or later. */
  async #account(queue: ImportedQueue): Promise<void> {
    const { dir, oldSegments, oldLogs, oldSegmentId, allocateId, gaps, lastId, lastSegmentId, nextIdMin } = queue;
    const isEmpty = lastSegmentId === 0;
    const nowMs = timeOf(this.#host);
    const nextId = Math.min(NEXT_ID_MAX, Math.max(lastId + 1, nextIdMin));
    if (nextId > lastId + 1) gaps.push({ first: lastId + 1, last: nextId - 1 });
    const generation = allocateId();
    const statement = {
      round: FIRST_ROUND,
      nextId,
      dataSegmentId: lastSegmentId,
      dataOffset: 0,
      sealedBelow: isEmpty ? oldSegmentId : lastSegmentId + 1,
      segmentIdMax: isEmpty ? oldSegmentId : lastSegmentId,
      liveRecords: 0,
      hasIntake: false,
      accountedBelow: nextId,
      timestamp: nowMs,
    };
    const salt = new Uint32Array(1);
    this.#host.random(new Uint8Array(salt.buffer));
    const source = { vfs: this.#vfs, dir, storeUuid: this.#storeUuid, generation, salt: salt[0] ?? 0, nowMs };
    const log = await TombstoneLog.create(source, statement, gaps, () => this.#host.yield());
    await log.close();
    for (const file of isEmpty ? oldLogs : [...oldSegments, ...oldLogs]) await this.#vfs.remove(file);
    await syncFolder(this.#vfs, dir);
  }

  async #reported<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw reported(error, `importing into ${this.draftPath}`, { path: this.draftPath });
    }
  }
}

/** An empty folder that is there is replaced: so the new one belongs to whom that one belongs to, and has its mode. */
async function makeDraft(draftPath: string, path: string): Promise<void> {
  try {
    if ((await nodeVfs.stat(draftPath)) === undefined) await makeFolderLike(draftPath, path);
  } catch (error) {
    if (codeOf(error) !== 'EXDEV') throw reported(error, `importing into ${draftPath}`, { path: draftPath });
    throw new EvaqError('EVAQ_IO', `a disk is mounted at ${path}: that folder cannot be replaced`, {
      details: { path },
      hint: 'Name a folder in it that is not there yet.',
    });
  }
}

async function requireNothing(vfs: Vfs, path: string): Promise<void> {
  const stat = await vfs.stat(path);
  const isEmpty = stat?.kind === 'directory' && (await vfs.list(path)).length === 0;
  if (stat === undefined || isEmpty) return;
  throw new EvaqError('EVAQ_NOT_A_STORE', `there is something at ${path}: an import makes a store of its own`, {
    details: { path },
    hint: 'Name a folder that is not there yet.',
  });
}

/** A queue that was made and closed: what comes in takes the place of what it was made with. */
async function importedQueue(
  { vfs, host }: Ports,
  dir: string,
  storeUuid: Buffer,
  nextIdMin: number,
  isNamed: boolean,
): Promise<ImportedQueue> {
  let idMax = 0;
  const oldSegments: string[] = [];
  const oldLogs: string[] = [];
  let oldSegmentId = 0;
  for (const { name } of await vfs.list(dir)) {
    const segment = parseSegmentFileName(name);
    const log = parseTombstoneFileName(name);
    if (log?.kind === 'log') oldLogs.push(`${dir}/${name}`);
    if (segment?.kind === 'segment') {
      oldSegments.push(`${dir}/${name}`);
      oldSegmentId = Math.max(oldSegmentId, segment.segmentId);
    }
    idMax = Math.max(idMax, segment?.segmentId ?? 0, log?.generation ?? 0);
  }
  const allocateId = (): SegmentId => segmentId(++idMax);
  const supply = new SegmentSupply({ vfs, host, dir, storeUuid, allocateId, poolMax: 0 });
  const empty = { gaps: [], lastSegmentId: 0, filling: undefined, lastId: 0, count: 0 };
  return Object.assign(empty, { dir, oldSegments, oldLogs, oldSegmentId, allocateId, supply, nextIdMin, isNamed });
}

function portsIn(ports: Ports | undefined): { readonly ports?: Ports } {
  return ports === undefined ? {} : { ports };
}

/** The queue whose dead letters are in the one of that name. */
function homeOf(name: string): string {
  return name.slice(0, -DEAD_LETTERS_SUFFIX.length);
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf('/')));
}
