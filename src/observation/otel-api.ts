/** What is needed of `@opentelemetry/api`, which is the caller's: it is never imported here. */

export type OtelAttributes = Record<string, string | number>;

/** Where a span is in its trace. */
export interface OtelSpanContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
}

export interface OtelSpan {
  setAttributes(attributes: OtelAttributes): unknown;
  setStatus(status: { code: number; message?: string }): unknown;
  recordException(exception: string | { name?: string; message: string; code?: string }): void;
  end(): void;
}

export interface OtelSpanOptions {
  kind?: number;
  attributes?: OtelAttributes;
  links?: { context: OtelSpanContext }[];
  root?: boolean;
}

export interface OtelTracer {
  startSpan(name: string, options: OtelSpanOptions, context: unknown): OtelSpan;
}

export interface OtelCounter {
  add(value: number, attributes: OtelAttributes): void;
}

export interface OtelHistogram {
  record(value: number, attributes: OtelAttributes): void;
}

export interface OtelMetricOptions {
  description?: string;
  unit?: string;
  advice?: { explicitBucketBoundaries?: number[] };
}

export interface OtelMeter {
  createCounter(name: string, options: OtelMetricOptions): OtelCounter;
  createHistogram(name: string, options: OtelMetricOptions): OtelHistogram;
}

/** The module `@opentelemetry/api`, from 1.9 on. Contexts are its own affair. */
export interface OpenTelemetryApi {
  readonly ROOT_CONTEXT: unknown;
  readonly trace: {
    getTracer(name: string): OtelTracer;
    setSpan(context: unknown, span: OtelSpan): unknown;
    getSpanContext(context: unknown): OtelSpanContext | undefined;
    isSpanContextValid(context: OtelSpanContext): boolean;
  };
  readonly metrics: { getMeter(name: string): OtelMeter };
  readonly context: { active(): unknown; with(context: unknown, body: () => void): unknown };
  readonly propagation: {
    inject(context: unknown, carrier: Record<string, string>): void;
    extract(context: unknown, carrier: Record<string, string>): unknown;
  };
}

/** As the API numbers them. */
export const SPAN_KIND_PRODUCER = 3;
export const SPAN_KIND_CONSUMER = 4;
export const SPAN_STATUS_ERROR = 2;
