/**
 * The delivery log of a queue, open for writing: what must be known of deliveries after a restart. It is a memory for counts and due times: losing it,
 * or failing to write it, costs attempts that are counted anew, and never a record, an acknowledgement or the store. So nothing here rejects.
 *
 *    file header (128 B) | in flight, slot 0 | slot 1 | snapshot | outcomes | outcomes | …
 *
 * - `noteInFlight` says which records are in a handler before they are: overwritten in place, by turns in two slots, written and not synced. It is
 *   there for the death of the process, in which the operating system keeps what was written.
 * - `note` says what became of a record that was not delivered. What comes while one write is under way goes with the next. Synced in mode 'sync'.
 * - A generation is made whole before it is named. Each opening makes one, and a log that has grown past twice its snapshot is replaced by one.
 * - After a write that failed the next outcomes go into a new generation; what is in flight is noted in the old one until then.
 * - After a close nothing that is there names anybody as in flight: where that cannot be written, the log goes, and the counts with it.
 */
import { encodeFileHeader, type FileHeader, fileSeed } from '../frame/file-header.js';
import type { IdRange } from '../ids.js';
import { queueMark } from '../tombstone/tombstone-name.js';
import { type Host, timeOf } from '../vfs/host.js';
import type { Vfs, VfsFile } from '../vfs/vfs.js';
import {
  encodeInFlight,
  encodeOutcomes,
  KIND_DELIVERY_SNAPSHOT,
  KIND_OUTCOMES,
  type RetryItem,
} from './delivery-frame.js';
import { type DeliveryState, FRAMES_AT, SLOT_BYTES, SLOTS, SLOTS_AT } from './delivery-log-load.js';
import { deliveryFileName, unfinishedDeliveryFileName } from './delivery-log-name.js';
import type { RetryEntry } from './retry-table.js';

export interface DeliveryLogOptions {
  readonly vfs: Vfs;
  readonly host: Host;
  readonly dir: string;
  readonly storeUuid: Buffer;
  /** Whether outcomes are synced. */
  readonly synced: boolean;
  /** Entries that count, above an ID, ascending: for a snapshot. */
  readonly entries: (after: number, max: number) => readonly RetryItem[];
  /** How often in a row the destination was found down. */
  readonly streak: () => number;
}

/** A log below this size is not replaced. */
const REWRITE_BYTES_MIN = 64 * 1024;
/** Entries in one frame of a snapshot. */
const SNAPSHOT_ENTRIES = 8192;
/** After a failure a new generation is not tried before so much time has passed. */
const RETRY_MS = 1000;
/** Ranges that surely fit a slot: two varints of at most eight bytes each, behind a header of 48. */
const SLOT_RANGES_MAX = 500;

export class DeliveryLog {
  readonly #options: DeliveryLogOptions;
  #generation: number;
  #number: number;
  #file: { readonly file: VfsFile; readonly path: string; readonly seed: number } | undefined;
  #end = 0;
  #rewriteAtBytes = 0;
  #slot = 0;
  #inFlight = '';
  /** What its last write left at its end is unknown. */
  #spoilt = false;
  /** Of those before, which are to be removed. */
  readonly #older: string[] = [];
  /** Noted: to be written next, and being written. */
  #open = new Map<number, RetryEntry>();
  #batch: Map<number, RetryEntry> = new Map();
  #waiting: (() => void)[] = [];
  #tellsStreak = false;
  #writing: Promise<void> | undefined;
  #failedAt = -Infinity;
  #lost: boolean;
  #closed = false;

  /** Follows what was there before. */
  constructor(options: DeliveryLogOptions, before: Pick<DeliveryState, 'generation' | 'number' | 'lost'>) {
    this.#options = options;
    this.#generation = before.generation;
    this.#number = before.number;
    this.#lost = before.lost;
  }

  /** Something could not be read or written: counts of attempts may be too low after the next start. */
  get lost(): boolean {
    return this.#lost;
  }

  /** Makes a generation with all entries, and removes `older` files. */
  async start(older: readonly string[]): Promise<void> {
    this.#older.push(...older);
    await this.#renew();
  }

  /** Before it returns: these are in a handler from now on, and no others. Ascending ranges. */
  noteInFlight(ranges: readonly IdRange[]): void {
    const held = this.#file;
    if (held === undefined) return;
    const fitting = fitted(ranges);
    const key = fitting.map(({ first, last }) => `${first}-${last}`).join();
    if (key === this.#inFlight) return;
    const position = SLOTS_AT + this.#slot * SLOT_BYTES;
    try {
      const source = encodeInFlight(fitting, ++this.#number, timeOf(this.#options.host), held.seed, position);
      held.file.writeBlocking({ source, length: source.length, position });
      this.#slot = (this.#slot + 1) % SLOTS;
      this.#inFlight = key;
    } catch {
      this.#lost = true;
    }
  }

  /** Resolves when it is written (in mode 'sync': durable), or cannot be. After the close nothing is: another log has taken over, or none is wanted. */
  note(id: number, entry: RetryEntry): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#open.set(id, entry);
    const noted = new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#writing ??= this.#run();
    return noted;
  }

  /** The streak is not what was written last: to be told without waiting for the next outcome. */
  noteStreak(): void {
    if (this.#closed) return;
    this.#tellsStreak = true;
    this.#writing ??= this.#run();
  }

  /** Resolves when everything noted is written. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  /** Nothing is in a handler any more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.settled();
    this.noteInFlight([]);
    const isTold = this.#file !== undefined && this.#inFlight === '' && !this.#spoilt;
    if (!isTold) await this.#closeAnew();
    const held = this.#file;
    this.#file = undefined;
    await held?.file.close().catch(() => undefined);
  }

  /** The next start would take those that are still noted as in flight for the victims of a death. */
  async #closeAnew(): Promise<void> {
    this.#inFlight = '';
    this.#failedAt = -Infinity;
    if (await this.#renew()) return;
    if (this.#file !== undefined) this.#older.push(this.#file.path);
    await this.#removeOlder();
  }

  async #removeOlder(): Promise<void> {
    for (const path of this.#older.splice(0)) await this.#options.vfs.remove(path).catch(() => undefined);
  }

  async #run(): Promise<void> {
    // What is noted in the same turn goes along.
    await new Promise<void>((resolve) => this.#options.host.soon(resolve));
    while (this.#open.size > 0 || this.#tellsStreak) {
      this.#tellsStreak = false;
      const entries = [...this.#open].sort(([a], [b]) => a - b);
      const waiting = this.#waiting;
      this.#open = new Map();
      this.#waiting = [];
      this.#batch = new Map(entries);
      await this.#write(entries);
      this.#batch.clear();
      for (const tell of waiting) tell();
    }
    this.#writing = undefined;
  }

  async #write(entries: readonly RetryItem[]): Promise<void> {
    const { host, synced } = this.#options;
    const held = this.#file;
    // The entries are in the table already: a new generation has them.
    if (held === undefined || this.#spoilt || this.#end > this.#rewriteAtBytes) {
      if (await this.#renew()) return;
      if (held === undefined || this.#spoilt) return;
    }
    const { file, seed } = held;
    try {
      const bytes = encodeOutcomes(
        KIND_OUTCOMES,
        entries,
        this.#options.streak(),
        ++this.#number,
        timeOf(host),
        seed,
        this.#end,
      );
      await file.writeAt(bytes, 0, bytes.length, this.#end);
      this.#end += bytes.length;
      if (synced) await file.sync();
    } catch {
      // What of it is there is unknown: the next one is written into a new file.
      this.#lost = true;
      this.#spoilt = true;
    }
  }

  /** True if a new generation has taken over. */
  async #renew(): Promise<boolean> {
    const { vfs, host, dir } = this.#options;
    if (host.elapsed() - this.#failedAt < RETRY_MS) return false;
    const generation = this.#generation + 1;
    const temporary = `${dir}/${unfinishedDeliveryFileName(generation)}`;
    const path = `${dir}/${deliveryFileName(generation)}`;
    let file: VfsFile | undefined;
    try {
      await vfs.remove(temporary).catch(() => undefined);
      file = await vfs.create(temporary);
      const { seed, end } = await this.#writeSnapshot(file, generation, path);
      await file.sync();
      await vfs.rename(temporary, path);
      await vfs.syncDir(dir);
      const before = this.#file;
      this.#file = { file, path, seed };
      this.#generation = generation;
      this.#spoilt = false;
      this.#end = end;
      this.#rewriteAtBytes = Math.max(REWRITE_BYTES_MIN, 2 * end);
      const inFlight = this.#inFlight;
      this.#inFlight = '';
      this.noteInFlight(rangesOf(inFlight));
      if (before !== undefined) {
        await before.file.close().catch(() => undefined);
        this.#older.push(before.path);
      }
      await this.#removeOlder();
      return true;
    } catch {
      this.#lost = true;
      this.#failedAt = host.elapsed();
      this.#rewriteAtBytes = this.#end * 2;
      await file?.close().catch(() => undefined);
      await vfs.remove(temporary).catch(() => undefined);
      return false;
    }
  }

  /** A record that somebody holds is due at once after a restart, unless it is said otherwise just now. */
  #asNoted(id: number, entry: RetryEntry): RetryEntry {
    const noted = this.#open.get(id) ?? this.#batch.get(id);
    if (noted !== undefined) return noted;
    return entry.dueMs === Infinity ? { ...entry, dueMs: 0 } : entry;
  }

  async #writeSnapshot(file: VfsFile, generation: number, path: string): Promise<{ seed: number; end: number }> {
    const { host, entries, streak } = this.#options;
    const salt = Buffer.alloc(4);
    host.random(salt);
    const headerTo = (end: number): FileHeader => ({
      kind: 'delivery',
      flags: 0,
      storeUuid: this.#options.storeUuid,
      fileId: generation,
      baseId: end,
      idHighWater: queueMark(path),
      createdMs: timeOf(host),
      salt: salt.readUInt32LE(0),
    });
    const seed = fileSeed(headerTo(0));
    let end = FRAMES_AT;
    let batch: readonly RetryItem[] = [];
    const flush = async (): Promise<void> => {
      const number = ++this.#number;
      const bytes = encodeOutcomes(KIND_DELIVERY_SNAPSHOT, batch, streak(), number, timeOf(host), seed, end);
      await file.writeAt(bytes, 0, bytes.length, end);
      end += bytes.length;
      await host.yield();
    };
    // What is noted while it is written follows in the file.
    let after = 0;
    do {
      batch = entries(after, SNAPSHOT_ENTRIES).map(([id, entry]) => [id, this.#asNoted(id, entry)]);
      after = batch.at(-1)?.[0] ?? 0;
      await flush();
    } while (after > 0);
    const slots = Buffer.alloc(FRAMES_AT);
    encodeFileHeader(headerTo(end)).copy(slots);
    await file.writeAt(slots, 0, slots.length, 0);
    return { seed, end };
  }
}

/** As many ranges as fit a slot: the narrowest gaps are bridged, so that some are named that are in no handler. */
function fitted(ranges: readonly IdRange[]): readonly IdRange[] {
  if (ranges.length <= SLOT_RANGES_MAX) return ranges;
  const gaps = ranges.slice(1).map(({ first }, i) => first - (ranges[i]?.last ?? 0));
  const bound = [...gaps].sort((a, b) => b - a)[SLOT_RANGES_MAX - 2] ?? 0;
  const joined: { first: number; last: number }[] = [];
  for (const { first, last } of ranges) {
    const before = joined.at(-1);
    if (before !== undefined && (first - before.last < bound || joined.length === SLOT_RANGES_MAX)) before.last = last;
    else joined.push({ first, last });
  }
  return joined;
}

function rangesOf(key: string): IdRange[] {
  if (key === '') return [];
  return key.split(',').map((range) => {
    const [first = 0, last = 0] = range.split('-').map(Number);
    return { first, last };
  });
}
