/** Who wants to know what becomes of the records of a log, in the very stretch in which it does. */
import type { LogSegment } from './log-segment.js';

export interface LiveWatcher {
  /** Records were appended and are live; the sizes of their payloads, in order, if they are asked for. */
  appended(firstId: number, count: number, sizes: () => Iterable<number>): void;
  /** A live record was marked dead. */
  killed(segment: LogSegment, id: number): void;
  /** All that is live from `first` to `last` is going to be. */
  killing(segment: LogSegment, first: number, last: number): void;
  /** A removal was taken back. */
  revived(segment: LogSegment, id: number): void;
  /** The copy stands for them. Nothing has become of their records otherwise, but for those that could not be read. */
  replaced(old: readonly LogSegment[], copy: LogSegment): void;
  dropped(segment: LogSegment): void;
  /** Removals of so many records are under way from now on, or (below 0) are not any more. */
  held(count: number): void;
}
