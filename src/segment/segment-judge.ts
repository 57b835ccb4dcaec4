/**
 * The verdict on a segment that was scanned: a pure, labelled decision table. Judging neither reads nor writes.
 *
 *     W = the highest offset of this segment that anything says was synced: a later commit of its own, the link of the next
 *         segment, a frame of the tombstone log
 *
 *     a bad range at f < W, or in a segment that was sealed              DAMAGE: step over, report, keep
 *     the same, from the intact header of its footer on                  DAMAGE that costs nothing: records stand in front of it
 *     bytes end before W, or a sealed segment has no footer              DAMAGE: its end is gone
 *     a commit whose checksums hold and whose records contradict it       DAMAGE: no write that was cut short has right checksums
 *     W is not wholly known, and something of this life of the file       DAMAGE: it may have been synced
 *         stands in a bad range at f >= W, or behind it
 *     a bad range at f >= W                                               TORN: cut there, everything behind it goes too
 *     nothing bad                                                         WHOLE
 *
 * A good commit behind a bad one proves nothing by itself: one unsynced write can reach the disk with its middle sectors
 * missing. What it says of W does.
 */
import type { DamagedRange, SegmentScan } from './segment-scan.js';

export interface SegmentVerdict {
  /** Where to cut, or undefined: nothing is torn. */
  readonly cutAt: number | undefined;
  /** Whether the bytes from `cutAt` on hold anything but zeros. */
  readonly cutHoldsBytes: boolean;
  /** Whether there are intact commits among them: of this life of the file. */
  readonly cutHoldsCommits: boolean;
  /** Damage to synced bytes. */
  readonly damage: readonly DamagedRange[];
  /** Bytes that were synced and are no longer there, from the end of the scan on; 0 if none. */
  readonly missingBytes: number;
}

export interface SegmentEvidence {
  /** W of the table above. */
  readonly durableOffset: number;
  /** It is known to have been sealed: rewritten segments are from birth, others by a later statement. */
  readonly sealed: boolean;
  /** The logs of removals, which state W, are there and whole. */
  readonly isWitnessed: boolean;
  /** Behind its content may be frames of the file's former life. */
  readonly isRecycled: boolean;
}

export function judgeSegment(scan: SegmentScan, evidence: SegmentEvidence): SegmentVerdict {
  const damage: DamagedRange[] = [];
  let cut: DamagedRange | undefined;
  const doubtedTo = evidence.isWitnessed ? 0 : endOfLife(scan, evidence);
  const durableTo = Math.max(evidence.durableOffset, doubtedTo);
  for (const range of scan.damaged) {
    // What follows a footer that is damaged is of it: no content stands there that could be torn.
    const isOfFooter = range.isFooter === true && damage.at(-1)?.isFooter === true;
    if (evidence.sealed || range.offset < durableTo || range.contradicts === true || isOfFooter) damage.push(range);
    else {
      cut = range;
      break;
    }
  }
  const footerMissing = evidence.sealed && scan.footerAt < 0;
  // All records stand in front of it, however much of it is there.
  const isFooterSeen = damage.some((range) => range.isFooter === true);
  // What is damaged up to the end may have been the footer.
  const isEndTold = damage.some(({ end }) => end >= scan.end);
  const missing = Math.max(evidence.durableOffset - scan.end, footerMissing && !isEndTold ? 1 : 0, 0);
  return {
    cutAt: cut?.offset,
    cutHoldsBytes:
      cut !== undefined && !scan.damaged.filter((range) => range.offset >= cut.offset).every((range) => range.allZero),
    cutHoldsCommits: cut !== undefined && scan.dataEnd > cut.offset,
    damage,
    missingBytes: isFooterSeen ? 0 : missing,
  };
}

/** Up to where bytes of this life of the file stand for certain, intact or not. */
function endOfLife(scan: SegmentScan, { isRecycled }: SegmentEvidence): number {
  let end = scan.dataEnd;
  for (const range of scan.damaged)
    if (range.headerIntact || !(isRecycled || range.allZero)) end = Math.max(end, range.end);
  return end;
}
