/**
 * evaq/prometheus: metrics of stores, with the caller's `prom-client`. This is a public entry: named re-exports, nothing else.
 */
export { type MetricsOptions, registerMetrics } from './observation/prometheus.js';
export type {
  CollectedConfiguration,
  HistogramConfiguration,
  MetricConfiguration,
  MetricLabels,
  PrometheusClient,
  PrometheusCounter,
  PrometheusGauge,
  PrometheusHistogram,
  PrometheusRegistry,
} from './observation/prometheus-client.js';
