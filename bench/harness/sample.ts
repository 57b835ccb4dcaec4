/**
 * What one round of one contender comes to, and what several rounds come to together.
 */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

/** Microseconds. */
export interface Latency {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface Sample {
  readonly ops: number;
  readonly seconds: number;
  /** Payload bytes. */
  readonly bytes: number;
  /** Processor time of all threads of the process, microseconds: says more than the clock where the machine is shared. */
  readonly cpuUs?: number | undefined;
  readonly latency?: Latency | undefined;
  /** Anything else that was measured, by name; units are in the row's description of its metrics. */
  readonly metrics?: Readonly<Record<string, number>> | undefined;
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Bytes, after a forced garbage collection. */
export interface MemoryUse {
  readonly rss: number;
  readonly heapUsed: number;
  readonly external: number;
}

/** One contender in one case. */
export interface Measured {
  readonly rounds: number;
  /** Operations a second. */
  readonly rate: Spread;
  readonly mibPerSecond: Spread;
  /** Processor microseconds an operation. */
  readonly cpuUsPerOp: Spread | undefined;
  /** Medians of the rounds' percentiles; of `max` the highest. */
  readonly latency: Latency | undefined;
  readonly metrics: Readonly<Record<string, Spread>>;
  /** The rate and the metrics of each round, in order: contenders take turns, so rounds can be compared pair by pair. */
  readonly series: Readonly<Record<string, readonly number[]>>;
  readonly memory: MemoryUse | undefined;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const low = sorted[Math.floor(middle)] ?? Number.NaN;
  const high = sorted[Math.ceil(middle)] ?? Number.NaN;
  return { median: (low + high) / 2, min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
}

export function summarize(samples: readonly Sample[], memory: MemoryUse | undefined): Measured {
  const names = new Set(samples.flatMap((sample) => Object.keys(sample.metrics ?? {})));
  const metrics: Record<string, Spread> = {};
  const series: Record<string, number[]> = { rate: samples.map((sample) => sample.ops / sample.seconds) };
  for (const name of names) {
    const values = samples.flatMap((sample) => sample.metrics?.[name] ?? []);
    series[name] = values;
    metrics[name] = spreadOf(values);
  }
  const cpu = samples.flatMap((sample) => (sample.cpuUs === undefined ? [] : sample.cpuUs / sample.ops));
  return {
    rounds: samples.length,
    rate: spreadOf(samples.map((sample) => sample.ops / sample.seconds)),
    mibPerSecond: spreadOf(samples.map((sample) => sample.bytes / sample.seconds / 2 ** 20)),
    cpuUsPerOp: cpu.length === 0 ? undefined : spreadOf(cpu),
    latency: latencyOver(samples.flatMap((sample) => sample.latency ?? [])),
    metrics,
    series,
    memory,
  };
}

function latencyOver(all: readonly Latency[]): Latency | undefined {
  if (all.length === 0) return undefined;
  const median = (pick: (latency: Latency) => number): number => spreadOf(all.map(pick)).median;
  return {
    count: all.reduce((sum, one) => sum + one.count, 0),
    p50: median((one) => one.p50),
    p99: median((one) => one.p99),
    p999: median((one) => one.p999),
    max: Math.max(...all.map((one) => one.max)),
  };
}

/** Collects times of single operations with a bounded memory. */
export class LatencyRecorder {
  readonly #histogram: RecordableHistogram = createHistogram();

  /** `since` from `performance.now()`. */
  record(since: number): void {
    this.#histogram.record(Math.max(1, Math.round((performance.now() - since) * 1e6)));
  }

  result(): Latency | undefined {
    const h = this.#histogram;
    if (h.count === 0) return undefined;
    const us = (nanos: number): number => nanos / 1000;
    return {
      count: h.count,
      p50: us(h.percentile(50)),
      p99: us(h.percentile(99)),
      p999: us(h.percentile(99.9)),
      max: us(h.max),
    };
  }
}
