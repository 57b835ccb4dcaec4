/** evaq/otel with the real API and SDK. */
import * as api from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Evaq } from '../../../src/evaq.js';
import { instrument } from '../../../src/otel.js';
import { callUntyped, newDisk, openSim, passTime, rejection } from '../store/store-fixture.js';
import { onStart } from './support.js';

const spans = new InMemorySpanExporter();
const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
// Exported when a test asks for it.
const reader = new PeriodicExportingMetricReader({ exporter: metrics, exportIntervalMillis: 2 ** 30 });
const tracer = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });

beforeAll(() => {
  api.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  api.propagation.setGlobalPropagator(
    new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()] }),
  );
  api.trace.setGlobalTracerProvider(tracer);
  api.metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));
});

afterAll(async () => {
  await reader.shutdown();
  api.context.disable();
  api.propagation.disable();
  api.trace.disable();
  api.metrics.disable();
});

let evaq: Evaq;
const disk = newDisk();
let end: () => void;

beforeEach(async () => {
  evaq = await openSim(disk);
  end = instrument(evaq, { api });
});

afterEach(async () => {
  end();
  await evaq.wal.removeThrough(Math.max(1, evaq.wal.stats().nextId - 1));
  await evaq.close();
  spans.reset();
});

function named(name: string): ReadableSpan[] {
  return spans.getFinishedSpans().filter((span) => span.name === name);
}

function only(name: string): ReadableSpan {
  const [span, ...others] = named(name);
  if (span === undefined || others.length > 0) throw new Error(`there are ${others.length} others of ${name}`);
  return span;
}

const OF_PUSH = {
  'messaging.system': 'evaq',
  'messaging.operation.name': 'push',
  'messaging.operation.type': 'send',
  'messaging.destination.name': 'wal',
};
const OF_PROCESS = { ...OF_PUSH, 'messaging.operation.name': 'process', 'messaging.operation.type': 'process' };

describe('a push', () => {
  it('is a span in the trace of its caller, and its context goes with the record', async () => {
    const outer = api.trace.getTracer('test').startSpan('request');
    const within = api.trace.setSpan(api.context.active(), outer);
    const id = await api.context.with(within, () => evaq.wal.push('hello', { headers: { kind: 'greeting' } }));
    outer.end();
    const span = only('push wal');
    expect(span.kind).toBe(api.SpanKind.PRODUCER);
    expect(span.parentSpanContext?.spanId).toBe(outer.spanContext().spanId);
    const messageId = `${evaq.storeId}:wal:${id}`;
    expect(span.attributes).toEqual({
      ...OF_PUSH,
      'messaging.message.body.size': 5,
      'messaging.message.id': messageId,
    });
    const record = await evaq.wal.get(id);
    const { traceId, spanId } = span.spanContext();
    expect(record?.headers).toEqual({ kind: 'greeting', traceparent: `00-${traceId}-${spanId}-01` });
  });

  it('never changes a context that the record has, in whatever case its name is, nor adds to it', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const own = await evaq.wal.push('a', { headers: { traceparent } });
    const loud = await evaq.wal.push('a', { headers: { TraceParent: traceparent } });
    const span = await evaq.wal.pushMany([{ payload: 'b', headers: { traceparent } }, 'c']);
    expect((await evaq.wal.get(own))?.headers).toEqual({ traceparent });
    expect((await evaq.wal.get(loud))?.headers).toEqual({ TraceParent: traceparent });
    expect((await evaq.wal.get(span.firstId))?.headers).toEqual({ traceparent });
    expect((await evaq.wal.get(span.lastId))?.headers?.['traceparent']).toMatch(/^00-(?!0af7)/);
  });

  it('of many records is one span, and of one that blocks, too', async () => {
    const { firstId, lastId } = await evaq.wal.pushMany(['a', { payload: 'b', headers: { x: 'y' } }]);
    const { traceId, spanId } = only('push wal').spanContext();
    expect(only('push wal').attributes).toEqual({ ...OF_PUSH, 'messaging.batch.message_count': 2 });
    const traceparent = `00-${traceId}-${spanId}-01`;
    expect((await evaq.wal.get(firstId))?.headers).toEqual({ traceparent });
    expect((await evaq.wal.get(lastId))?.headers).toEqual({ x: 'y', traceparent });
    const id = evaq.wal.pushSync('c');
    expect((await evaq.wal.get(id))?.headers?.['traceparent']).toContain(named('push wal')[1]?.spanContext().spanId);
  });

  it('that fails is a span with the code of its error', async () => {
    disk.fault({ on: 'write', path: 'wal/', error: 'EIO' });
    await rejection(evaq.wal.push('a'), 'EVAQ_IO');
    const span = only('push wal');
    expect(span.status.code).toBe(api.SpanStatusCode.ERROR);
    expect(span.attributes).toMatchObject({ 'error.type': 'EVAQ_IO' });
    expect(span.events).toMatchObject([{ name: 'exception' }]);
  });

  it('does not count what it adds for recordBytesMax', async () => {
    const queue = await evaq.queue('small', { recordBytesMax: 1024 });
    const id = await queue.push(Buffer.alloc(1024));
    expect((await queue.get(id))?.headers).toHaveProperty('traceparent');
    await rejection(queue.push(Buffer.alloc(1025)), 'EVAQ_RECORD_TOO_LARGE');
    const span = await queue.pushMany([Buffer.alloc(1024)]);
    expect((await queue.get(span.firstId))?.headers).toHaveProperty('traceparent');
  });
});

describe('a delivery', () => {
  it('is a span of its own, linked to the push, and the active one in the handler', async () => {
    const baggage = api.propagation.createBaggage({ tenant: { value: 'blue' } });
    const id = await api.context.with(api.propagation.setBaggage(api.ROOT_CONTEXT, baggage), () =>
      evaq.wal.push('hello'),
    );
    const seen: (string | undefined)[] = [];
    const delivery = evaq.evacuate(async () => {
      seen.push(api.trace.getActiveSpan()?.spanContext().spanId);
      await passTime(disk, 1);
      seen.push(api.trace.getActiveSpan()?.spanContext().spanId);
      seen.push(api.propagation.getActiveBaggage()?.getEntry('tenant')?.value);
    });
    await delivery.drained();
    await delivery.stop();
    const span = only('process wal');
    const { spanId, traceId } = span.spanContext();
    expect(seen).toEqual([spanId, spanId, 'blue']);
    expect(span.kind).toBe(api.SpanKind.CONSUMER);
    expect(span.parentSpanContext).toBeUndefined();
    const pushed = only('push wal').spanContext();
    expect(traceId).not.toBe(pushed.traceId);
    expect(span.links.map(({ context }) => context.spanId)).toEqual([pushed.spanId]);
    expect(span.attributes).toEqual({
      ...OF_PROCESS,
      'messaging.message.id': `${evaq.storeId}:wal:${id}`,
      'messaging.message.body.size': 5,
      'evaq.attempt': 1,
    });
  });

  it('links to the push after a dead letter and a redrive, too', async () => {
    const id = await evaq.wal.push('a');
    const dead = await evaq.wal.deadLetter(id, { reason: 'test' });
    await evaq.wal.redrive([dead]);
    const delivery = evaq.evacuate(() => undefined);
    await delivery.drained();
    await delivery.stop();
    const span = only('process wal');
    expect(span.attributes['messaging.message.id']).toBe(`${evaq.storeId}:wal:${id}`);
    expect(span.links.map(({ context }) => context.spanId)).toEqual([only('push wal').spanContext().spanId]);
  });

  it('that fails is a span with what was thrown; each try is one', async () => {
    await evaq.wal.push('a');
    let tries = 0;
    const delivery = evaq.evacuate(
      () => {
        if (++tries === 1) throw new RangeError('too far');
      },
      { retry: { backoff: { baseMs: 1 } } },
    );
    await delivery.drained();
    await delivery.stop();
    const [first, second] = named('process wal');
    expect(first?.status).toEqual({ code: api.SpanStatusCode.ERROR, message: 'too far' });
    expect(first?.attributes).toMatchObject({ 'error.type': 'RangeError', 'evaq.attempt': 1 });
    expect(second?.status.code).toBe(api.SpanStatusCode.UNSET);
    expect(second?.attributes['evaq.attempt']).toBe(2);
  });

  it('of a batch links once to each push, and says how many failed', async () => {
    await evaq.wal.pushMany(['a', 'b']);
    const id = await evaq.wal.push('c');
    let calls = 0;
    const delivery = evaq.wal.processBatch(
      () => (calls++ === 0 ? { failed: [{ id, error: new RangeError('too far') }] } : undefined),
      { retry: { backoff: { baseMs: 1 } } },
    );
    await delivery.drained();
    await delivery.stop();
    const [batch, again] = named('process wal');
    expect(batch?.links.map(({ context }) => context.spanId)).toEqual(
      named('push wal').map((span) => span.spanContext().spanId),
    );
    expect(batch?.attributes).toEqual({
      ...OF_PROCESS,
      'messaging.batch.message_count': 3,
      'evaq.batch.failed_count': 1,
      'error.type': 'RangeError',
    });
    expect(again?.links).toHaveLength(1);
  });

  it('runs its handler once, whatever else gives a function to run it in', async () => {
    await evaq.wal.push('a');
    onStart<{ within?: (body: () => void) => void }>('evaq:deliver', (trace) => {
      const { within: inner } = trace;
      trace.within = (body) => {
        inner?.(body);
        body();
        throw new Error('a subscriber that fails');
      };
    });
    let calls = 0;
    const delivery = evaq.evacuate(() => {
      calls++;
    });
    await delivery.drained();
    expect(calls).toBe(1);
    expect(await delivery.stop().then(() => delivery.done)).toMatchObject({ delivered: 1, failed: 0 });
  });
});

it('measures in seconds, and counts', async () => {
  await evaq.wal.pushMany(['a', 'b']);
  const delivery = evaq.evacuate(() => undefined);
  await delivery.drained();
  await delivery.stop();
  metrics.reset();
  await reader.forceFlush();
  const found = new Map<string, unknown>();
  for (const { scopeMetrics } of metrics.getMetrics())
    for (const { metrics: all } of scopeMetrics)
      for (const { descriptor, dataPoints } of all) {
        expect(dataPoints.length).toBeGreaterThan(0);
        found.set(descriptor.name, [
          descriptor.unit,
          dataPoints.some(({ attributes }) => 'messaging.system' in attributes),
        ]);
      }
  expect(Object.fromEntries(found)).toEqual({
    'messaging.client.operation.duration': ['s', true],
    'messaging.process.duration': ['s', true],
    'messaging.client.sent.messages': ['{message}', true],
    'messaging.client.consumed.messages': ['{message}', true],
  });
});

it('ends, and brings to their end the spans that have begun', async () => {
  await evaq.wal.push('a');
  let goOn: () => void = () => undefined;
  let delivery: ReturnType<Evaq['evacuate']> | undefined;
  await new Promise<void>((began) => {
    delivery = evaq.evacuate(({ payload, headers }) => {
      began();
      if (payload.toString() === 'b') {
        expect(headers).toBeUndefined();
        return undefined;
      }
      return new Promise<void>((resolve) => {
        goOn = resolve;
      });
    });
  });
  end();
  end();
  await evaq.wal.push('b');
  goOn();
  await delivery?.drained();
  await delivery?.stop();
  expect(delivery?.stats()).toMatchObject({ delivered: 2, failed: 0 });
  expect(named('process wal')).toHaveLength(1);
  expect(named('push wal')).toHaveLength(1);
});

it('tells of its own store alone', async () => {
  const other = await openSim(newDisk({ seed: 2 }));
  await other.wal.push('a');
  expect(named('push wal')).toEqual([]);
  await other.close();
});

it('a propagator that throws does no harm', async () => {
  const broken = {
    ...api,
    propagation: {
      inject: () => {
        throw new Error('broken');
      },
      extract: () => {
        throw new Error('broken');
      },
    },
  };
  const stop = instrument(evaq, { api: broken });
  await evaq.wal.push('a');
  const delivery = evaq.evacuate(() => undefined);
  await delivery.drained();
  await delivery.stop();
  stop();
});

it('says what is wrong with its options', async () => {
  for (const options of [undefined, {}, { api: {} }, { api, tracer: 1 }]) {
    await expect(callUntyped({ instrument }, 'instrument', evaq, options)).rejects.toThrow(TypeError);
  }
});
