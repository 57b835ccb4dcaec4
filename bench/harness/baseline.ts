/**
 * Compares a run with an earlier one.
 *
 * A figure is worse if the two medians are apart in the wrong direction, and neither lies within the range of the other's rounds: then it is not
 * noise of that run. Where the device took part and the figure is a rate, the rates are divided by the device's first, so
 * that a slower day is not blamed on us.
 */
import type { BenchReport } from './bench-report.js';
import { figure } from './goal.js';
import type { Row } from './row.js';
import type { CaseResult } from './run-case.js';
import type { Spread } from './sample.js';

export interface Change {
  readonly row: string;
  readonly label: string;
  readonly contender: string;
  readonly metric: string;
  /** New over old, above 1 is better whatever the figure's direction. */
  readonly gain: number;
  readonly relativeToDevice: boolean;
  readonly verdict: 'same' | 'better' | 'worse';
}

export function compare(rows: readonly Row[], now: BenchReport, before: BenchReport): Change[] {
  const changes: Change[] = [];
  for (const result of now.cases) {
    const row = rows.find((one) => one.name === result.row);
    const old = before.cases.find((one) => one.row === result.row && one.label === result.label);
    if (row === undefined || old === undefined) continue;
    for (const contender of Object.keys(result.contenders)) {
      if (contender !== 'device' && contender in old.contenders)
        changes.push(...changesOf(row, contender, result, old));
    }
  }
  return changes;
}

function changesOf(row: Row, contender: string, now: CaseResult, before: CaseResult): Change[] {
  const { metric, better } = row.primary;
  const device = 'device' in now.contenders && 'device' in before.contenders && metric === 'rate';
  const newFigure = scaled(now, contender, metric, device);
  const oldFigure = scaled(before, contender, metric, device);
  if (newFigure === undefined || oldFigure === undefined) return [];
  const ratio = newFigure.median / oldFigure.median;
  const apart = !within(newFigure.median, oldFigure) && !within(oldFigure.median, newFigure);
  const gain = better === 'higher' ? ratio : 1 / ratio;
  const verdict = !apart ? 'same' : gain < 1 ? 'worse' : 'better';
  return [{ row: now.row, label: now.label, contender, metric, gain, relativeToDevice: device, verdict }];
}

function scaled(result: CaseResult, contender: string, metric: string, byDevice: boolean): Spread | undefined {
  const spread = figure(result.contenders[contender], metric);
  const by = byDevice ? result.contenders['device']?.rate.median : 1;
  if (spread === undefined || by === undefined) return undefined;
  return { median: spread.median / by, min: spread.min / by, max: spread.max / by };
}

function within(value: number, { min, max }: Spread): boolean {
  return value >= min && value <= max;
}
