/**
 * Two versions of evaq in one run: each of our contenders has its older twin, which takes its turn right after it.
 */
import type { BenchReport } from './bench-report.js';
import { PEERS, pairedRatios } from './goal.js';
import type { Row } from './row.js';
import { type Spread, spreadOf } from './sample.js';

/** Less than so many times is no evidence by one run: machine and disk drift by as much. */
export const EVIDENCE = 1.2;

export interface Gain {
  readonly row: string;
  readonly label: string;
  readonly contender: string;
  readonly metric: string;
  /** New by old, round by round; above 1 is better, whatever the figure's direction. */
  readonly gain: Spread;
  readonly verdict: 'better' | 'worse' | 'no evidence';
}

/** Whether a contender is evaq, in whatever guise: the others are the device and the peers. */
export function isOurs(contender: string): boolean {
  return contender !== 'device' && !PEERS.includes(contender);
}

/** What the older twin of a contender is called in reports. */
export function twinOf(contender: string, older: string): string {
  return `${contender} @ ${older}`;
}

/** `older` is the name of the older version. */
export function sideBySide(rows: readonly Row[], { cases }: BenchReport, older: string): Gain[] {
  return cases.flatMap(({ row, label, contenders }) => {
    const primary = rows.find(({ name }) => name === row)?.primary;
    return Object.keys(contenders).flatMap((contender): Gain[] => {
      const twin = contenders[twinOf(contender, older)];
      if (primary === undefined || twin === undefined) return [];
      const { metric, better } = primary;
      const ratios = pairedRatios(contenders[contender], twin, metric);
      if (ratios.length === 0) return [];
      const gain = spreadOf(better === 'higher' ? ratios : ratios.map((ratio) => 1 / ratio));
      return [{ row, label, contender, metric, gain, verdict: verdictOf(gain) }];
    });
  });
}

function verdictOf({ median }: Spread): Gain['verdict'] {
  if (median >= EVIDENCE) return 'better';
  return median <= 1 / EVIDENCE ? 'worse' : 'no evidence';
}
