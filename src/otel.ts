/**
 * evaq/otel: traces and metrics of a store, with the caller's `@opentelemetry/api`. This is a public entry: named re-exports, nothing else.
 */
export { type InstrumentOptions, instrument } from './observation/otel.js';
export type {
  OpenTelemetryApi,
  OtelAttributes,
  OtelCounter,
  OtelHistogram,
  OtelMeter,
  OtelMetricOptions,
  OtelSpan,
  OtelSpanContext,
  OtelSpanOptions,
  OtelTracer,
} from './observation/otel-api.js';
