/**
 * Reads one segment as a crash, or somebody's disk, left it, and judges it: header, footer, or a scan where there is none. Writes nothing.
 * What the whole queue makes of its segments says `log-load`.
 */
import { COMMIT_HEADER_BYTES } from '../frame/commit-header.js';
import {
  decodeFileHeader,
  FILE_HEADER_BYTES,
  type FileHeader,
  HEADER_FLAG_RECYCLED,
  HEADER_FLAG_REWRITTEN,
} from '../frame/file-header.js';
import { IntakeMarks } from '../frame/intake-marks.js';
import { type Footer, isFooterWhole, readFooter, summaryTimes } from '../segment/segment-footer.js';
import { judgeSegment, type SegmentVerdict } from '../segment/segment-judge.js';
import { segmentQueueMark } from '../segment/segment-name.js';
import {
  type DamagedRange,
  type SegmentLink,
  type SegmentScan,
  scanSegment,
  timesToTell,
} from '../segment/segment-scan.js';
import { bytesAt } from '../vfs/held-bytes.js';
import { type Damage, headerCopyDamage } from './damage.js';
import { LogSegment } from './log-segment.js';
import type { LoadedFile } from './opened-ahead.js';
import { type SegmentFile, unsupportedError } from './queue-listing.js';

/** A segment as it was found. */
export interface FoundSegment {
  readonly segment: LogSegment;
  readonly header: FileHeader;
  /** One of the two copies of the header is damaged. */
  readonly headerDamaged: boolean;
  readonly fileBytes: number;
  readonly footer: Footer | undefined;
  /** Of those without a valid footer. */
  readonly scan: SegmentScan | undefined;
  readonly verdict: SegmentVerdict | undefined;
  /** Where its content ends: behind it goes a footer, if it has none. */
  readonly contentEnd: number;
  /** Behind its content its footer stands, damaged. It stays there until it is written anew: without one the segment would seem to have lost its end. */
  readonly isFooterRotten: boolean;
  /** How much of it had been synced, by the best statement there is. */
  readonly durableOffset: number;
  /** Of those without a valid footer: what they tell of what came in. */
  readonly marks?: IntakeMarks;
}

/** What judges the segments of a queue, and what is found on the way. */
export interface SegmentLoading {
  readonly queue: string;
  readonly storeUuid: Buffer;
  readonly indexIntervalBytes: number;
  readonly progress: ((bytes: number) => void) | undefined;
  /** What comes in is told of. */
  readonly withIntake: boolean;
  /** Every segment below it had been sealed. */
  readonly sealedBelow: number;
  /** Nothing that speaks of the data is lost: neither removals nor the link behind. */
  readonly isWitnessed: boolean;
  /** How much of each segment had been synced, as far as that is known by now. */
  readonly durable: Map<number, number>;
  /** Added to. */
  readonly damage: Damage[];
}

/** Nothing in it counts. 'misplaced': it is another segment's file, in the place of what is gone. */
export type Unread = 'unreadable' | 'misplaced';

/** `newest`: there is none behind it, so it may never have come to hold anything. Rejects with EVAQ_UNSUPPORTED_VERSION or the system error. */
export async function loadSegment(
  handle: LoadedFile,
  file: SegmentFile,
  newest: boolean,
  loading: SegmentLoading,
): Promise<FoundSegment | Unread> {
  const { queue, damage } = loading;
  const { path, baseId, id } = file;
  const fileBytes = await handle.size();
  const decoding = decodeFileHeader(await bytesAt(handle, 0, FILE_HEADER_BYTES), 'segment');
  if (decoding.kind === 'unsupported') throw unsupportedError(path, queue, decoding.major);
  const matches =
    decoding.kind === 'ok' &&
    decoding.header.storeUuid.equals(loading.storeUuid) &&
    decoding.header.fileId === id &&
    decoding.header.baseId === baseId;
  if (matches && isOfAnotherQueue(decoding.header, path)) {
    // Segment IDs are given out store-wide: no file of this name was ever in this queue, and nothing of it is lost with it.
    damage.push({ queue, file: path, offset: 0, bytes: fileBytes, what: OF_ANOTHER_QUEUE, lossless: false });
    return 'unreadable';
  }
  if (!matches) {
    // The newest one may be nothing yet; a header is synced before the name, so anywhere else it is damage.
    if (
      decoding.kind !== 'blank' ||
      !newest ||
      (loading.durable.get(id) ?? 0) > 0 ||
      (fileBytes > FILE_HEADER_BYTES && !(await isZero(handle, fileBytes)))
    ) {
      const what =
        decoding.kind === 'ok'
          ? 'the header belongs to another segment or store'
          : 'the header is damaged: nothing in it can be read';
      damage.push({ queue, file: path, offset: 0, bytes: fileBytes, firstId: baseId, what, lossless: false });
    }
    return decoding.kind === 'ok' ? 'misplaced' : 'unreadable';
  }
  if (decoding.damaged) damage.push(headerCopyDamage(queue, path));
  const { header, seed } = decoding;
  const headed: HeadedSegment = { file, header, seed, headerDamaged: decoding.damaged, fileBytes };
  const footer = await readFooter(handle, fileBytes, seed);
  if (footer === undefined) return scanned(handle, headed, loading, 0);
  // Of one that may never have been synced the end alone may be there: it is torn then, as everything else would be.
  const isCertain = wasSealed(file, header, loading) || (loading.durable.get(id) ?? 0) >= footer.end;
  const isWhole = isCertain || (await isFooterWhole(handle, footer, seed));
  // The round that it mentions was durable all the same.
  return isWhole ? sealed(headed, footer, loading) : scanned(handle, headed, loading, footer.summary.removalSeq);
}

/** A file whose header is this segment's. */
interface HeadedSegment {
  readonly file: SegmentFile;
  readonly header: FileHeader;
  readonly seed: number;
  readonly headerDamaged: boolean;
  readonly fileBytes: number;
}

/** The footer says all of it. */
function sealed(
  { file, header, seed, headerDamaged, fileBytes }: HeadedSegment,
  footer: Footer,
  loading: SegmentLoading,
): FoundSegment {
  const { path, baseId, id } = file;
  const end = footer.summary.dataEnd;
  const segment = new LogSegment({ id, baseId, path, seed, flags: header.flags, phase: 'sealed', end, fileBytes });
  segment.adopt(footer.summary);
  if (!segment.isEmpty) segment.indexPlace = { kind: 'footer', footer };
  const durableOffset = loading.durable.get(id) ?? 0;
  return {
    segment,
    header,
    headerDamaged,
    fileBytes,
    footer,
    scan: undefined,
    verdict: undefined,
    contentEnd: end,
    isFooterRotten: false,
    // It was synced before it got its name, or something says so; else it may be in the page cache only.
    durableOffset: wasSealed(file, header, loading) || durableOffset >= footer.end ? footer.end : end,
  };
}

function wasSealed({ id }: SegmentFile, header: FileHeader, { sealedBelow }: SegmentLoading): boolean {
  return isRewritten(header) || id < sealedBelow;
}

function isRewritten({ flags }: FileHeader): boolean {
  return (flags & HEADER_FLAG_REWRITTEN) !== 0;
}

/** There is no footer, or none that is whole: what it holds is looked for. `round`: one of removals that is mentioned there. */
async function scanned(
  handle: LoadedFile,
  { file, header, seed, headerDamaged, fileBytes }: HeadedSegment,
  loading: SegmentLoading,
  round: number,
): Promise<FoundSegment> {
  const { path, baseId, id } = file;
  let marks: IntakeMarks | undefined;
  const scanTo = (size: number): Promise<SegmentScan> => {
    marks = loading.withIntake ? new IntakeMarks() : undefined;
    return scanSegment(handle, size, seed, baseId, loading.indexIntervalBytes, loading.progress, undefined, marks, {
      rewritten: isRewritten(header),
      index: undefined,
    });
  };
  let scan = await scanTo(fileBytes);
  const promised = Math.max(loading.durable.get(id) ?? 0, scan.promisedOffset);
  const verdict = judgeSegment(scan, {
    durableOffset: promised,
    sealed: wasSealed(file, header, loading),
    isWitnessed: loading.isWitnessed,
    isRecycled: (header.flags & HEADER_FLAG_RECYCLED) !== 0,
  });
  if (verdict.cutAt !== undefined && scan.dataEnd > verdict.cutAt) scan = await scanTo(verdict.cutAt);
  scan.removalSeq = Math.max(scan.removalSeq, round % 2 ** 32);
  // A copy had its footer before it had its name, and what it was made of had one before: those moves were over by then. In a store that was imported
  // an origin may be an ID that is another record's now.
  if (isRewritten(header)) scan.moved.length = 0;
  tellDamage(verdict, scan, promised, file, loading);
  const contentEnd = verdict.cutAt ?? (scan.footerAt >= 0 ? scan.footerAt : scan.end);
  const end = contentEnd;
  const segment = new LogSegment({ id, baseId, path, seed, flags: header.flags, phase: 'rolled', end, fileBytes });
  const whole = scan.count === scan.lastId - scan.firstId + 1;
  segment.adopt({ ...scan, ...summaryTimes(scan.times), runs: whole ? undefined : scan.runs });
  segment.damaged = verdict.damage.some(({ isFooter }) => isFooter !== true);
  return {
    segment,
    header,
    headerDamaged,
    fileBytes,
    footer: undefined,
    scan,
    verdict,
    contentEnd,
    isFooterRotten: verdict.damage.some(({ isFooter }) => isFooter === true),
    durableOffset: promised,
    ...(marks === undefined ? {} : { marks }),
  };
}

function tellDamage(
  verdict: SegmentVerdict,
  scan: SegmentScan,
  promised: number,
  { path }: SegmentFile,
  { queue, damage }: SegmentLoading,
): void {
  for (const range of verdict.damage) {
    const place = { queue, file: path, offset: range.offset, bytes: range.end - range.offset };
    if (range.isFooter === true) {
      damage.push({ ...place, what: 'the footer is damaged; what it says stands in the commits', lossless: true });
      continue;
    }
    const lost = range.lastId >= range.firstId;
    damage.push({
      ...place,
      ...(lost ? { firstId: range.firstId, lastId: range.lastId, ...timesToTell(range.fromMs, range.toMs) } : {}),
      // Nothing intact follows in this file: what comes behind it says how far it goes.
      ...(!lost && range.toMs === undefined ? { firstId: range.firstId } : {}),
      what: range.headerIntact ? 'the body of a commit is damaged' : 'frames are damaged',
      lossless: false,
    });
  }
  if (verdict.missingBytes > 0) {
    const what =
      scan.end < promised ? 'synced bytes at the end of a segment are gone' : 'a sealed segment has lost its footer';
    damage.push({
      queue,
      file: path,
      offset: scan.end,
      bytes: verdict.missingBytes,
      firstId: scan.lastId + 1,
      what,
      lossless: false,
    });
  }
}

/** What is told of a segment that came here from elsewhere. */
const OF_ANOTHER_QUEUE = "a segment of another queue: nothing in it is this one's";

/** Whether nothing stands in the file: then it never came to hold anything. A sector that is gone leaves what is behind it. */
async function isZero(handle: LoadedFile, size: number): Promise<boolean> {
  const chunk = Buffer.allocUnsafe(Math.min(size, ZERO_CHECK_BYTES));
  for (let at = 0; at < size; ) {
    const held = await handle.readAt(chunk, 0, Math.min(chunk.length, size - at), at);
    if (held === 0) return true;
    if (!chunk.subarray(0, held).every((byte) => byte === 0)) return false;
    at += held;
  }
  return true;
}

const ZERO_CHECK_BYTES = 256 * 1024;

function isOfAnotherQueue({ queueMark }: FileHeader, path: string): boolean {
  return queueMark !== undefined && queueMark !== segmentQueueMark(path);
}

/**
 * What a segment says of the one before it: its first frame does. 'none': it says nothing, as it is the first one, a copy, or holds nothing.
 * 'unreadable': what stands there is damaged, so that nothing tells which one it was.
 */
export type FoundLink = SegmentLink | 'none' | 'unreadable';

export async function linkOf(handle: LoadedFile, one: FoundSegment): Promise<FoundLink> {
  if (one.scan !== undefined) return firstFrameOf(one.scan, one.verdict?.damage ?? [], one.segment.rewritten);
  if (one.segment.rewritten) return 'none';
  const end = Math.min(one.contentEnd, FILE_HEADER_BYTES + COMMIT_HEADER_BYTES);
  const scan = await scanSegment(handle, end, one.segment.seed, one.segment.baseId, Number.MAX_SAFE_INTEGER);
  return firstFrameOf(scan, scan.damaged, false);
}

function firstFrameOf({ link }: SegmentScan, damage: readonly DamagedRange[], isRewritten: boolean): FoundLink {
  if (link !== undefined) return link;
  const [first] = damage;
  const isRotten = first !== undefined && first.offset === FILE_HEADER_BYTES && !first.headerIntact;
  return isRotten && !isRewritten ? 'unreadable' : 'none';
}

/** Whether the cut bytes of a torn segment may be something: those of a recycled file can be frames of its former life. */
export function worthKeeping(one: FoundSegment): boolean {
  if (one.verdict === undefined || one.verdict.cutAt === undefined || !one.verdict.cutHoldsBytes) return false;
  const { cutAt } = one.verdict;
  const recycled = (one.header.flags & HEADER_FLAG_RECYCLED) !== 0;
  return (
    !recycled ||
    one.verdict.cutHoldsCommits ||
    (one.scan?.damaged.some((range) => range.offset >= cutAt && range.headerIntact) ?? false)
  );
}
