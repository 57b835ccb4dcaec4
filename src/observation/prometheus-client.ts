/** What is needed of `prom-client`, which is the caller's: it is never imported here. */

export interface MetricConfiguration {
  name: string;
  help: string;
  labelNames: string[];
  /** In none: it is registered afterwards, where the caller wants it. */
  registers: never[];
}

export interface CollectedConfiguration extends MetricConfiguration {
  collect: () => Promise<void>;
}

export interface HistogramConfiguration extends MetricConfiguration {
  buckets: number[];
}

export type MetricLabels = Readonly<Record<string, string>>;

export interface PrometheusGauge {
  set(labels: MetricLabels, value: number): void;
  reset(): void;
}

export interface PrometheusCounter {
  inc(labels: MetricLabels, value: number): void;
  reset(): void;
}

export interface PrometheusHistogram {
  observe(labels: MetricLabels, value: number): void;
  remove(labels: MetricLabels): void;
}

export interface PrometheusRegistry {
  registerMetric(metric: unknown): void;
  removeSingleMetric(name: string): void;
}

/** The module `prom-client`, version 15. */
export interface PrometheusClient {
  readonly Gauge: new (configuration: CollectedConfiguration) => PrometheusGauge;
  readonly Counter: new (configuration: CollectedConfiguration) => PrometheusCounter;
  readonly Histogram: new (configuration: HistogramConfiguration) => PrometheusHistogram;
  readonly register: PrometheusRegistry;
}
