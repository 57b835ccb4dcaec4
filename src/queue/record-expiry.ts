/**
 * Removes records that are older than the queue may keep them, by itself (`limits.ageMs`). From the front on: one whose date lies behind that of the next
 * waits for nobody, one that stands behind a younger one waits for it.
 *
 * Invariants
 * - No record is expired before its age, whatever the date does while the queue is open; what is being handled is not expired.
 * - One cycle at a time; a cycle costs what it removes, and a read where records of one stretch of time are in part too old.
 */
import type { ReadLimits } from '../log/log-reader.js';
import type { SegmentLog } from '../log/segment-log.js';
import { type Host, timeOf } from '../vfs/host.js';
import type { Dropping } from './dropping.js';
import type { LiveReads } from './live-reads.js';
import { AgeMarks, countedSpan, SteadyDate } from './record-age.js';
import type { Waiters } from './waiters.js';

/** It is looked after so many times in a record's life, or so often, whichever is more often. */
const LOOKS_A_LIFE = 64;
const LOOK_MS_MAX = 60_000;
const LOOK_MS_MIN = 10;
/** Removed in one step. */
const DROP_RECORDS = 4096;
/** Read at a time, for their dates. */
const BATCH: ReadLimits = { maxRecords: 256, maxBytes: 1024 * 1024 };

export interface RecordExpiryOptions {
  readonly ageMs: number;
  readonly host: Pick<Host, 'now' | 'elapsed' | 'after' | 'yield'>;
  readonly log: Pick<SegmentLog, 'firstLive' | 'find' | 'lastVisibleId' | 'liveCount'>;
  readonly read: LiveReads['read'];
  readonly dropping: Dropping;
  /** Records became visible. */
  readonly news: Waiters;
  /** All from here on are pushed while the queue is open. */
  readonly nextId: number;
  readonly isOpen: () => boolean;
  /** Runs what `close` is to wait for. */
  readonly finishing: <T>(body: () => Promise<T>) => Promise<T>;
}

export class RecordExpiry {
  readonly #options: RecordExpiryOptions;
  readonly #marks = new AgeMarks();
  readonly #date: SteadyDate;
  readonly #openedMs: number;
  readonly #lookMs: number;
  /** All up to here are too old. */
  #through = 0;
  /** The first that was not, of a stretch that was read, and its date. */
  #young = { id: 0, dateMs: 0 };
  #cancel: (() => void) | undefined;
  #running: Promise<void> | undefined;

  constructor(options: RecordExpiryOptions) {
    const { ageMs, host } = options;
    this.#options = options;
    this.#openedMs = timeOf(host);
    this.#date = new SteadyDate(this.#openedMs, host.elapsed(), ageMs);
    this.#lookMs = Math.max(LOOK_MS_MIN, Math.min(LOOK_MS_MAX, Math.floor(ageMs / LOOKS_A_LIFE)));
  }

  /** Looks at once, and from then on as long as there are records. */
  start(): void {
    void this.runOnce();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** One cycle, or the one under way. Never rejects. */
  runOnce(): Promise<void> {
    this.stop();
    this.#running ??= this.#options
      .finishing(() => this.#cycle())
      .catch(() => undefined)
      .finally(() => {
        this.#running = undefined;
        this.#arm();
      });
    return this.#running;
  }

  #arm(): void {
    const { host, log, news, isOpen } = this.#options;
    if (!isOpen() || this.#cancel !== undefined) return;
    if (log.liveCount > 0 || !this.#marks.isEmpty) {
      this.#cancel = host.after(this.#lookMs, () => {
        this.#cancel = undefined;
        void this.runOnce();
      });
      return;
    }
    // Nothing can get too old until there is something.
    this.#cancel = news.add(() => {
      this.#cancel = undefined;
      this.#mark();
      this.#arm();
    });
  }

  #mark(): void {
    const { log, host } = this.#options;
    this.#marks.note(log.lastVisibleId, host.elapsed());
  }

  async #cycle(): Promise<void> {
    const { ageMs, host, log, nextId } = this.#options;
    this.#mark();
    this.#through = Math.max(this.#through, this.#marks.takeThrough(host.elapsed() - ageMs));
    const tooOldMs = this.#date.advance(timeOf(host), host.elapsed()) - ageMs;
    await this.#dropThrough(this.#through);
    for (let id = log.firstLive(this.#through + 1); id !== undefined && id < nextId; ) {
      const through = await this.#datedThrough(id, tooOldMs);
      if (through < id) return;
      await this.#dropThrough(through);
      id = log.firstLive(through + 1);
    }
  }

  /** The last record of the same stretch of time that is older than that date, from `id` on, which is live; below it where that is not. */
  async #datedThrough(id: number, tooOldMs: number): Promise<number> {
    const { log, nextId, read } = this.#options;
    const segment = log.find(id);
    const spans = segment?.times.spans ?? [];
    const span = segment?.times.spanOf(id);
    if (segment === undefined || span === undefined) return id - 1;
    const next = spans[spans.indexOf(span) + 1]?.firstId ?? Infinity;
    const last = Math.min(next - 1, segment.lastId, nextId - 1);
    const dateOf = countedSpan(spans, span, this.#openedMs);
    if (dateOf(span.maxMs) <= tooOldMs) return last;
    if (dateOf(span.minMs) > tooOldMs || (this.#young.id === id && this.#young.dateMs > tooOldMs)) return id - 1;
    const { records } = await read(id, last, BATCH);
    let through = id - 1;
    for (const { id: at, timestamp } of records) {
      const dateMs = dateOf(timestamp);
      if (dateMs > tooOldMs) {
        this.#young = { id: at, dateMs };
        break;
      }
      through = at;
    }
    return through;
  }

  async #dropThrough(last: number): Promise<void> {
    const { dropping, host, isOpen } = this.#options;
    while (isOpen() && !dropping.hasStopped) {
      const ids = dropping.upTo(last, DROP_RECORDS);
      dropping.drop(ids, 'expired');
      if (ids.length < DROP_RECORDS) return;
      await host.yield();
    }
  }
}
