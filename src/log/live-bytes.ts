/**
 * How many bytes of a segment's file are live: what GC decides by, where records differ in size.
 *
 * Until it is measured the average record tells. A measurement goes by the intervals of the index, in which large records stand alone: each
 * counts as far as its records are live. Where live and dead ones are mixed within an interval, a small and a large one may be neighbours: a few
 * such intervals, spread over the segment, are read, and what they show is taken for all of them. So the cost is bounded by the index and some
 * reads (P12), and what a segment may be mistaken for is bounded too, whatever is in it.
 */
import {
  COMMIT_FLAG_SPARSE,
  COMMIT_HEADER_BYTES,
  decodeCommitHeader,
  KIND_RECORDS,
  newCommitHeader,
} from '../frame/commit-header.js';
import { DENSE_FRAME_BYTES, frameBytesAt, SPARSE_FRAME_BYTES } from '../frame/record-frame.js';
import { wideCommitAt } from '../segment/segment-index.js';
import type { Host } from '../vfs/host.js';
import type { VfsFile } from '../vfs/vfs.js';
import type { FileCache } from './file-cache.js';
import type { LogSegment } from './log-segment.js';
import type { SegmentLog } from './segment-log.js';

/** So many mixed intervals are read at most, and at least half as many where there are so many. */
const SAMPLES_MAX = 48;
/** The most that is read of one. */
const SAMPLE_BYTES_MAX = 64 * 1024;
/** Intervals looked at in one turn of the event loop. */
const TURN_INTERVALS = 2048;

export interface LiveBytesOptions {
  readonly log: SegmentLog;
  readonly files: Pick<FileCache, 'using'>;
  readonly host: Pick<Host, 'yield'>;
}

interface Measured {
  /** When it was measured: by this it is seen whether it changed. */
  readonly liveCount: number;
  readonly count: number;
  readonly bytes: number;
}

interface Interval {
  readonly id: number;
  readonly offset: number;
  readonly end: number;
  readonly mid: 0 | 1;
}

export class LiveBytes {
  readonly #options: LiveBytesOptions;
  readonly #measured = new WeakMap<LogSegment, Measured>();

  constructor(options: LiveBytesOptions) {
    this.#options = options;
  }

  /** As of the last measurement, and by the average for what changed since. Synchronous. */
  of(segment: LogSegment): number {
    const { count, live, fileBytes } = segment;
    if (count === 0) return 0;
    const measured = this.#measured.get(segment);
    if (measured === undefined || live.liveCount === 0 || live.liveCount === count)
      return (live.liveCount / count) * fileBytes;
    const appended = ((count - measured.count) / count) * fileBytes;
    const removed = measured.liveCount + (count - measured.count) - live.liveCount;
    const average = (measured.bytes + appended) / (measured.liveCount + count - measured.count);
    return Math.min(fileBytes, measured.bytes + appended - removed * average);
  }

  /** Measures anew if something changed. Never rejects: what cannot be read for now counts by the average. */
  async measure(segment: LogSegment): Promise<void> {
    const { count, phase } = segment;
    const { liveCount } = segment.live;
    if (liveCount === 0 || liveCount === count || phase === 'dropped') return;
    const measured = this.#measured.get(segment);
    if (measured?.liveCount === liveCount && measured.count === count) return;
    segment.pin();
    try {
      if (segment.indexPlace.kind === 'footer') await this.#loadIndex(segment);
      const bytes = await this.#measure(segment);
      this.#measured.set(segment, { liveCount, count, bytes });
    } finally {
      segment.unpin();
    }
  }

  async #loadIndex(segment: LogSegment): Promise<void> {
    const { log, files } = this.#options;
    try {
      await files.using(segment.path, (file) => log.ensureIndexed(segment, file));
    } catch {
      // One interval, then, from which samples are read.
    }
  }

  async #measure(segment: LogSegment): Promise<number> {
    const { log, host } = this.#options;
    const { index } = log;
    const { count, fileBytes, end } = segment;
    if (!index.floor(segment.firstId) || index.slot !== segment.slot) return this.of(segment);
    // Where IDs are missing those that are not live may never have been there: what a mixed interval holds is known from reading only.
    const hasGaps = count < segment.lastId - segment.firstId + 1;
    let whole = 0;
    let mixed = 0;
    // Every so many-th mixed interval, ever fewer as there are more.
    let samples: Interval[] = [];
    let stride = 1;
    let seen = 0;
    let { key: id, offset, mid } = index;
    for (let walked = 1; ; walked++) {
      const more = index.next(id) && index.slot === segment.slot;
      const nextId = more ? index.key : segment.lastId + 1;
      const nextOffset = more ? index.offset : end;
      const nextMid = index.mid;
      const live = segment.live.countLive(id, nextId - 1);
      const bytes = nextOffset - offset;
      if (live === nextId - id) {
        whole += bytes;
      } else if (live > 0) {
        mixed += hasGaps ? bytes : (bytes * live) / (nextId - id);
        if (seen++ % stride === 0) samples.push({ id, offset, end: nextOffset, mid });
        if (samples.length > SAMPLES_MAX) {
          samples = samples.filter((_, i) => i % 2 === 0);
          stride *= 2;
        }
      }
      if (!more) break;
      id = nextId;
      offset = nextOffset;
      mid = nextMid;
      if (walked % TURN_INTERVALS > 0) continue;
      await host.yield();
      // The tree is shared, and the segment may have been replaced.
      if (segment.phase === 'dropped') return this.of(segment);
    }
    const share = mixed === 0 ? 1 : await this.#liveShareOf(segment, samples, hasGaps);
    if (share === undefined)
      return hasGaps ? (segment.live.liveCount / count) * fileBytes : ((whole + mixed) / end) * fileBytes;
    // Header and footer belong to whatever is live.
    return Math.min(1, (whole + mixed * share) / end) * fileBytes;
  }

  /**
   * How many bytes are live in these intervals, for each byte that there is, or, where no IDs are missing, that would be live by the average.
   * `undefined` where that cannot be told.
   */
  async #liveShareOf(segment: LogSegment, samples: readonly Interval[], hasGaps: boolean): Promise<number | undefined> {
    let live = 0;
    let expected = 0;
    try {
      await this.#options.files.using(segment.path, async (file) => {
        for (const sample of samples) {
          const found = await readSample(file, segment, sample);
          if (found.records === 0) continue;
          live += found.liveBytes;
          expected += hasGaps ? found.bytes : (found.bytes * found.liveRecords) / found.records;
        }
      });
    } catch {
      return undefined;
    }
    return expected === 0 ? undefined : live / expected;
  }
}

interface Sample {
  records: number;
  bytes: number;
  liveRecords: number;
  liveBytes: number;
}

/** Walks the frames from the front of an interval, as far as they are read. Unchecked: it is for an estimate. */
async function readSample(file: VfsFile, segment: LogSegment, interval: Interval): Promise<Sample> {
  const sample: Sample = { records: 0, bytes: 0, liveRecords: 0, liveBytes: 0 };
  const { offset, mid } = interval;
  const wanted = Math.min(interval.end - offset, SAMPLE_BYTES_MAX);
  const buffer = Buffer.allocUnsafe(wanted);
  const held = await file.readAt(buffer, 0, wanted, offset);
  const header = newCommitHeader();
  let at = 0;
  let bodyEnd = 0;
  let sparse = segment.rewritten;
  let firstId = 0;
  let nextId = interval.id;
  if (mid === 1) {
    const wide = wideCommitAt(segment.wide, offset);
    if (wide === undefined) return sample;
    bodyEnd = wide.end - offset;
    firstId = wide.firstId;
  }
  while (at < held) {
    if (at >= bodyEnd) {
      if (at + COMMIT_HEADER_BYTES > held || !decodeCommitHeader(buffer, at, segment.seed, offset + at, header)) break;
      at += COMMIT_HEADER_BYTES;
      bodyEnd = at + header.bodyBytes;
      sparse = (header.flags & COMMIT_FLAG_SPARSE) !== 0;
      firstId = header.firstId;
      nextId = firstId;
      if (header.kind !== KIND_RECORDS) at = bodyEnd;
      continue;
    }
    if (at + (sparse ? SPARSE_FRAME_BYTES : DENSE_FRAME_BYTES) > held) break;
    // The last one may reach beyond what was read; its size stands at its front.
    const frameBytes = frameBytesAt(buffer, at, sparse);
    if (at + frameBytes > bodyEnd) break;
    const id = sparse ? firstId + buffer.readUInt32LE(at + 8) : nextId;
    sample.records++;
    sample.bytes += frameBytes;
    if (segment.live.has(id)) {
      sample.liveRecords++;
      sample.liveBytes += frameBytes;
    }
    at += frameBytes;
    nextId = id + 1;
  }
  return sample;
}
