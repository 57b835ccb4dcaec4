/**
 * Goals: pure functions from what was measured to met or missed.
 */
import { type Measured, type Spread, spreadOf } from './sample.js';

export type Results = Readonly<Record<string, Measured>>;

export interface Verdict {
  readonly text: string;
  readonly met: boolean;
  /** What was reached, in the goal's own terms: a ratio or a figure. */
  readonly reached: number;
  readonly wanted: number;
  /** How far it is met, whatever its direction: 1 is just met, less is missed. */
  readonly share: number;
}

/** `undefined`: cannot be judged, since who it speaks of did not take part. */
export type Goal = (results: Results) => Verdict | undefined;

export const PEERS: readonly string[] = ['lmdb', 'leveldb', 'sqlite'];

export interface RatioGoal {
  readonly of?: string;
  readonly metric?: string;
  /** A contender, or the fastest of the peers that took part. */
  readonly against: string;
  readonly factor: number;
}

/** Our rate is at least `factor` times theirs. */
export function atLeast({ of = 'evaq', metric = 'rate', against, factor }: RatioGoal): Goal {
  return (results) => {
    const rival = against === 'best peer' ? bestPeer(results, metric)?.name : against;
    const ratio = rival === undefined ? undefined : pairedRatio(results[of], results[rival], metric);
    if (ratio === undefined) return undefined;
    const text = `${nameOf(of)}>= ${factor} x ${against}${metricNote(metric)}`;
    return { text, met: ratio >= factor, reached: ratio, wanted: factor, share: ratio / factor };
  };
}

/** Our figure (a time, say) is at most `factor` times theirs. */
export function atMost({ of = 'evaq', metric = 'rate', against, factor }: RatioGoal): Goal {
  return (results) => {
    const ratio = pairedRatio(results[of], results[against], metric);
    if (ratio === undefined) return undefined;
    const text = `${nameOf(of)}<= ${factor} x ${against}${metricNote(metric)}`;
    return { text, met: ratio <= factor, reached: ratio, wanted: factor, share: factor / ratio };
  };
}

export interface FigureGoal {
  readonly of?: string;
  readonly metric: string;
  readonly limit: number;
  readonly unit: string;
}

export function below({ of = 'evaq', metric, limit, unit }: FigureGoal): Goal {
  return (results) => {
    const reached = figure(results[of], metric)?.median;
    if (reached === undefined) return undefined;
    const text = `${nameOf(of)}< ${limit} ${unit}${metricNote(metric)}`;
    return { text, met: reached < limit, reached, wanted: limit, share: reached > 0 ? limit / reached : Infinity };
  };
}

export function above({ of = 'evaq', metric, limit, unit }: FigureGoal): Goal {
  return (results) => {
    const reached = figure(results[of], metric)?.median;
    if (reached === undefined) return undefined;
    const text = `${nameOf(of)}>= ${limit} ${unit}${metricNote(metric)}`;
    return { text, met: reached >= limit, reached, wanted: limit, share: reached / limit };
  };
}

/** The last contender's figure is no worse than the first's: by no more than `tolerance`, or within the range of the first's rounds. */
export function flat(metric: string, tolerance: number): Goal {
  return (results) => {
    const names = Object.keys(results);
    const first = names[0] === undefined ? undefined : figure(results[names[0]], metric);
    const last = names.length < 2 ? undefined : figure(results[names.at(-1) ?? ''], metric);
    if (first === undefined || last === undefined) return undefined;
    const ratio = last.median / first.median;
    const text = `${metric} at ${names.at(-1)} <= ${tolerance} x that at ${names[0]}, or within its range`;
    const met = ratio <= tolerance || last.median <= first.max;
    return {
      text,
      met,
      reached: ratio,
      wanted: tolerance,
      share: met ? Math.max(1, tolerance / ratio) : tolerance / ratio,
    };
  };
}

/**
 * The median of the ratios round by round: what slows the machine down for a while slows both rounds of a pair. `undefined` where
 * either did not take part.
 */
export function pairedRatio(
  ours: Measured | undefined,
  theirs: Measured | undefined,
  metric: string,
): number | undefined {
  const ratios = pairedRatios(ours, theirs, metric);
  return ratios.length === 0 ? undefined : spreadOf(ratios).median;
}

/** Round by round; empty where either did not take part. */
export function pairedRatios(ours: Measured | undefined, theirs: Measured | undefined, metric: string): number[] {
  const others = theirs?.series[metric] ?? [];
  return (ours?.series[metric] ?? []).flatMap((value, round) => {
    const other = others[round];
    return other !== undefined && other > 0 ? [value / other] : [];
  });
}

export function bestPeer(results: Results, metric: string): { name: string; value: number } | undefined {
  let best: { name: string; value: number } | undefined;
  for (const name of PEERS) {
    const value = figure(results[name], metric)?.median;
    if (value !== undefined && (best === undefined || value > best.value)) best = { name, value };
  }
  return best;
}

/** The spread of a figure by name: 'rate', 'mibPerSecond', a percentile of latency, or one of the row's metrics. */
export function figure(measured: Measured | undefined, metric: string): Spread | undefined {
  if (measured === undefined) return undefined;
  if (metric === 'rate') return measured.rate;
  if (metric === 'mibPerSecond') return measured.mibPerSecond;
  return measured.metrics[metric];
}

function nameOf(contender: string): string {
  return contender === 'evaq' ? '' : `${contender} `;
}

function metricNote(metric: string): string {
  return metric === 'rate' ? '' : ` (${metric})`;
}
