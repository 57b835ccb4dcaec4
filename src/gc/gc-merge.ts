/**
 * Which small neighbouring segments are put together, so that files grow in number with bytes and not with starts of a program: a pure function. Each
 * start leaves a segment, however little is in it.
 *
 * Segments are small up to half of a segment's size. From the newest on they are gathered into groups: the next older one joins while it is at most
 * `ratio` times what is gathered, and all of it fits into one segment. A group is merged when it has `countMin` members; or two, where nothing will be
 * added to it any more: it is full, or a large segment follows it.
 *
 * With ratio 2, what is copied lands in a segment at least half as large again as the one it comes from, but for the newest of a group; and that one was
 * not the newest of a group before. So each byte is copied at most 1 + log1.5(segmentBytes / bytes of the segment it was pushed to) times. And where no
 * group is due a segment behind a group is more than twice as large as all of it: fewer than `countMin` segments are left for each doubling.
 */

/** What of a segment counts here: see `SegmentStats`. */
export interface Mergeable {
  readonly liveRecords: number;
  readonly liveBytes: number;
  readonly held: boolean;
}

export interface MergeLimits {
  /** Members of a group that may still grow. */
  readonly countMin: number;
  readonly ratio: number;
}

/** Groups to be merged, the newest first; each in ID order, of neighbours but for dead segments between them. */
export function groupSmall<S extends Mergeable>(
  segments: readonly S[],
  segmentBytes: number,
  { countMin, ratio }: MergeLimits,
  isTaken: (segment: S) => boolean,
): S[][] {
  const groups: S[][] = [];
  let group: S[] = [];
  let bytes = 0;
  /** A large segment follows: the group does not grow. */
  let isClosed = false;
  const end = (isFull: boolean): void => {
    if (group.length >= (isFull || isClosed ? 2 : countMin)) groups.push(group.reverse());
    group = [];
    bytes = 0;
  };
  for (const segment of [...segments].reverse()) {
    if (segment.liveRecords === 0 && !segment.held) continue;
    const size = segment.liveBytes;
    if (segment.held || isTaken(segment) || 2 * size > segmentBytes) {
      end(false);
      isClosed = !segment.held && !isTaken(segment);
      continue;
    }
    if (group.length > 0 && bytes + size > segmentBytes) {
      end(true);
      isClosed = true;
    } else if (group.length > 0 && size > ratio * bytes && !isClosed) {
      end(false);
    }
    group.push(segment);
    bytes += size;
  }
  end(false);
  return groups;
}
