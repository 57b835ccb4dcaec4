/**
 * Traces and metrics of a store by OpenTelemetry's conventions for messaging. A push is a span, whose context goes into the headers of what is pushed;
 * a call of a handler is a span of a trace of its own, linked to the pushes of its records, and the active one in the handler.
 */
import { optionNames, requireNoMore, requireOptions } from '../arguments.js';
import { DELIVERIES, type DeliverTrace } from '../delivery/delivery-trace.js';
import { describe } from '../ids.js';
import type { QueueRecord } from '../log/queue-record.js';
import { PUSHES, type PushTrace } from '../queue/push-trace.js';
import type { Evaq } from '../store/evaq.js';
import {
  type OpenTelemetryApi,
  type OtelAttributes,
  type OtelCounter,
  type OtelHistogram,
  type OtelSpan,
  type OtelSpanContext,
  type OtelTracer,
  SPAN_KIND_CONSUMER,
  SPAN_KIND_PRODUCER,
  SPAN_STATUS_ERROR,
} from './otel-api.js';

export interface InstrumentOptions {
  /** The module `@opentelemetry/api`. */
  readonly api: OpenTelemetryApi;
}

const NAMES = optionNames('api');
const SCOPE = 'evaq';
/** A span has room for so many by default; more would push out the first. */
const LINKS_MAX = 128;
/** Seconds. Those that the conventions advise begin at 5 ms, where most pushes have long ended. */
const BUCKETS: readonly number[] = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10];

/**
 * Traces and measures the pushes and deliveries of a store, with the caller's `@opentelemetry/api`. Spans, attributes and metrics are those of
 * docs/observation.md. A record that has a trace context in its headers keeps it. The result ends that; spans that have begun are brought to their end.
 * @throws TypeError for wrong options
 */
export function instrument(evaq: Evaq, options: InstrumentOptions): () => void {
  requireNoMore(arguments.length, 2, 'instrument');
  requireOptions(options, 'instrument', NAMES);
  const api: unknown = options?.api;
  if (typeof api !== 'object' || api === null || !('propagation' in api))
    throw new TypeError(`api must be the module @opentelemetry/api, got ${describe(api)}`);
  const instruments = new Instruments(options.api, evaq.storeId);
  return () => instruments.end();
}

class Instruments {
  readonly #api: OpenTelemetryApi;
  readonly #storeId: string;
  readonly #tracer: OtelTracer;
  readonly #pushSeconds: OtelHistogram;
  readonly #handlerSeconds: OtelHistogram;
  readonly #sent: OtelCounter;
  readonly #consumed: OtelCounter;
  /** Spans that have begun. */
  readonly #spans = new Map<object, OtelSpan>();
  readonly #starts: readonly (() => void)[];
  #overs: readonly (() => void)[];
  #isEnding = false;

  constructor(api: OpenTelemetryApi, storeId: string) {
    this.#api = api;
    this.#storeId = storeId;
    this.#tracer = api.trace.getTracer(SCOPE);
    const meter = api.metrics.getMeter(SCOPE);
    const seconds = (description: string): Parameters<typeof meter.createHistogram>[1] => ({
      description,
      unit: 's',
      advice: { explicitBucketBoundaries: [...BUCKETS] },
    });
    this.#pushSeconds = meter.createHistogram('messaging.client.operation.duration', seconds('Duration of a push.'));
    this.#handlerSeconds = meter.createHistogram('messaging.process.duration', seconds('Duration of a handler.'));
    const messages = (description: string): Parameters<typeof meter.createCounter>[1] => ({
      description,
      unit: '{message}',
    });
    this.#sent = meter.createCounter('messaging.client.sent.messages', messages('Records that were to be pushed.'));
    this.#consumed = meter.createCounter(
      'messaging.client.consumed.messages',
      messages('Records handed to handlers, each time anew.'),
    );
    this.#starts = [
      PUSHES.onStart(this.#ours((trace) => this.#pushBegins(trace))),
      DELIVERIES.onStart(this.#ours((trace) => this.#deliveryBegins(trace))),
    ];
    this.#overs = [
      PUSHES.onOver(this.#ours((trace) => this.#pushIsOver(trace))),
      DELIVERIES.onOver(this.#ours((trace) => this.#deliveryIsOver(trace))),
    ];
  }

  end(): void {
    for (const end of this.#starts) end();
    this.#isEnding = true;
    this.#endIfIdle();
  }

  #ours<T extends { readonly storeId: string }>(observe: (trace: T) => void): (trace: T) => void {
    return (trace) => {
      if (trace.storeId !== this.#storeId) return;
      try {
        observe(trace);
      } catch {
        // A propagator or an exporter that is broken: no reason to end the process, as Node does for a subscriber that throws.
      }
    };
  }

  #endIfIdle(): void {
    if (!this.#isEnding || this.#spans.size > 0) return;
    for (const end of this.#overs) end();
    this.#overs = [];
  }

  #pushBegins(trace: PushTrace): void {
    const { context, propagation, trace: traces } = this.#api;
    const { queue, call, records, bytes } = trace;
    const active = context.active();
    const attributes: OtelAttributes = { ...attributesOf(queue, 'push', 'send') };
    if (call === 'pushMany') attributes['messaging.batch.message_count'] = records;
    else attributes['messaging.message.body.size'] = bytes;
    const span = this.#tracer.startSpan(`push ${queue}`, { kind: SPAN_KIND_PRODUCER, attributes }, active);
    this.#spans.set(trace, span);
    propagation.inject(traces.setSpan(active, span), trace.headers);
  }

  #pushIsOver(trace: PushTrace): void {
    const { queue, call, records, firstId, durationMs } = trace;
    const span = this.#spans.get(trace);
    if (span === undefined) return;
    if (call !== 'pushMany' && firstId !== undefined)
      span.setAttributes({ 'messaging.message.id': `${this.#storeId}:${queue}:${firstId}` });
    const attributes = { ...attributesOf(queue, 'push', 'send'), ...this.#finish(trace, span, errorOf(trace)) };
    this.#sent.add(records, attributes);
    this.#pushSeconds.record((durationMs ?? 0) / 1000, attributes);
  }

  #deliveryBegins(trace: DeliverTrace): void {
    const { context, trace: traces, ROOT_CONTEXT } = this.#api;
    const { queue, batch, records } = trace;
    const attributes: OtelAttributes = { ...attributesOf(queue, 'process', 'process') };
    const [first] = records;
    if (batch) attributes['messaging.batch.message_count'] = records.length;
    if (!batch && first !== undefined) {
      attributes['messaging.message.id'] = first.deliveryId;
      attributes['messaging.message.body.size'] = first.record.payload.length;
      attributes['evaq.attempt'] = first.attempt;
    }
    const { links, carried } = this.#linksOf(records.map(({ record }) => record));
    // Whose turn of the event loop it is says nothing of where the record comes from.
    const options = { kind: SPAN_KIND_CONSUMER, attributes, links, root: true };
    const span = this.#tracer.startSpan(`process ${queue}`, options, ROOT_CONTEXT);
    this.#spans.set(trace, span);
    // What else came with a single record (baggage) is there in its handler.
    const within = traces.setSpan(batch ? ROOT_CONTEXT : carried, span);
    const { within: outer } = trace;
    trace.within = (body) => {
      const run = (): void => void context.with(within, body);
      if (outer === undefined) run();
      else outer(run);
    };
  }

  /** Contexts in which the records were pushed, each once. */
  #linksOf(records: readonly QueueRecord[]): { links: { context: OtelSpanContext }[]; carried: unknown } {
    const { propagation, trace, ROOT_CONTEXT } = this.#api;
    const links = new Map<string, { context: OtelSpanContext }>();
    let carried = ROOT_CONTEXT;
    for (const { headers } of records) {
      if (headers === undefined) continue;
      if (links.size === LINKS_MAX) break;
      // Their names are small letters, whoever wrote them.
      const carrier = Object.fromEntries(Object.entries(headers).map(([name, text]) => [name.toLowerCase(), text]));
      carried = propagation.extract(ROOT_CONTEXT, carrier);
      const context = trace.getSpanContext(carried);
      if (context === undefined || !trace.isSpanContextValid(context)) continue;
      links.set(`${context.traceId}${context.spanId}`, { context });
    }
    return { links: [...links.values()], carried };
  }

  #deliveryIsOver(trace: DeliverTrace): void {
    const { queue, records, failed = [], durationMs } = trace;
    const span = this.#spans.get(trace);
    if (span === undefined) return;
    const [first] = failed;
    // A batch handler that returned may have named some.
    const failure = errorOf(trace) ?? (first === undefined ? undefined : { error: first.error });
    if (trace.batch) span.setAttributes({ 'evaq.batch.failed_count': failed.length });
    const attributes = { ...attributesOf(queue, 'process', 'process'), ...this.#finish(trace, span, failure) };
    this.#consumed.add(records.length, attributes);
    this.#handlerSeconds.record((durationMs ?? 0) / 1000, attributes);
  }

  /** Ends a span. The attributes that its end adds. */
  #finish(trace: object, span: OtelSpan, failure: { readonly error: unknown } | undefined): OtelAttributes {
    const attributes: OtelAttributes = {};
    if (failure !== undefined) {
      const { type, name, message } = wordsOf(failure.error);
      attributes['error.type'] = type;
      span.setAttributes(attributes);
      span.recordException({ name, message });
      span.setStatus({ code: SPAN_STATUS_ERROR, message });
    }
    span.end();
    this.#spans.delete(trace);
    this.#endIfIdle();
    return attributes;
  }
}

function attributesOf(queue: string, name: 'push' | 'process', type: 'send' | 'process'): OtelAttributes {
  return {
    'messaging.system': 'evaq',
    'messaging.operation.name': name,
    'messaging.operation.type': type,
    'messaging.destination.name': queue,
  };
}

function errorOf(trace: { readonly error?: unknown }): { readonly error: unknown } | undefined {
  return 'error' in trace ? { error: trace.error } : undefined;
}

/** A code where there is one, as a label has few values; else the name. Whatever was thrown, of any realm. */
function wordsOf(error: unknown): { readonly type: string; readonly name: string; readonly message: string } {
  try {
    if (typeof error !== 'object' || error === null)
      return { type: '_OTHER', name: typeof error, message: String(error) };
    const text = (name: string): string | undefined => {
      const value: unknown = Reflect.get(error, name);
      return typeof value === 'string' && value !== '' ? value : undefined;
    };
    const name = text('name') ?? '_OTHER';
    return { type: text('code') ?? name, name, message: text('message') ?? '' };
  } catch {
    // A getter, or a proxy that was revoked.
    return { type: '_OTHER', name: '_OTHER', message: '' };
  }
}
