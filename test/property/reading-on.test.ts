/**
 * Reads that go on where the last one stopped use what that one left in memory and what was read ahead: they must hand out what a read from
 * nothing would, whatever happened in between.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Queue, QueueRecord } from '../../src/evaq.js';
import { newDisk, openSim } from '../unit/store/store-fixture.js';

const KIB = 1024;

type Step =
  | { readonly kind: 'read'; readonly maxRecords: number; readonly maxBytes: number; readonly times: number }
  | { readonly kind: 'jump'; readonly to: number }
  | { readonly kind: 'two'; readonly maxRecords: number }
  | { readonly kind: 'push'; readonly sizes: readonly number[] }
  | { readonly kind: 'remove'; readonly every: number; readonly of: number }
  | { readonly kind: 'compact' };

const size = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 300 }) },
  { weight: 3, arbitrary: fc.integer({ min: 500, max: 6 * KIB }) },
  { weight: 1, arbitrary: fc.integer({ min: 20 * KIB, max: 200 * KIB }) },
);
const sizes = fc.oneof(
  fc.array(size, { minLength: 1, maxLength: 40 }),
  fc.constant(Array.from({ length: 800 }, () => 90)),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      maxRecords: fc.constantFrom(1, 3, 50, 10_000),
      maxBytes: fc.constantFrom(0, 700, 64 * KIB, 4096 * KIB),
      times: fc.integer({ min: 1, max: 30 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('jump' as const), to: fc.integer({ min: 0, max: 1500 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('two' as const), maxRecords: fc.integer({ min: 1, max: 40 }) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('push' as const), sizes }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('remove' as const),
      every: fc.integer({ min: 1, max: 5 }),
      of: fc.integer({ min: 1, max: 400 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('compact' as const) }) },
);

/** What is in the queue, as the test knows it. */
class Model {
  readonly live = new Map<number, Buffer>();

  expected(from: number, maxRecords: number, maxBytes: number): [number, Buffer][] {
    const taken: [number, Buffer][] = [];
    let bytes = 0;
    for (const [id, payload] of this.live) {
      if (id < from) continue;
      const fits = taken.length < maxRecords && bytes + payload.length <= maxBytes;
      if (taken.length > 0 && !fits) break;
      taken.push([id, payload]);
      bytes += payload.length;
    }
    return taken;
  }

  check(records: readonly QueueRecord[], from: number, maxRecords: number, maxBytes: number): void {
    const expected = this.expected(from, maxRecords, maxBytes);
    expect(records.map(({ id }) => id)).toEqual(expected.map(([id]) => id));
    for (const [i, record] of records.entries())
      expect(record.payload.equals(expected[i]?.[1] ?? Buffer.alloc(1))).toBe(true);
  }
}

class Reading {
  readonly queue: Queue;
  readonly model = new Model();
  #next = 0;

  constructor(queue: Queue) {
    this.queue = queue;
  }

  async take(step: Step): Promise<void> {
    const { queue, model } = this;
    switch (step.kind) {
      case 'read':
        for (let i = 0; i < step.times; i++) await this.#read(step.maxRecords, step.maxBytes);
        return;
      case 'jump':
        this.#next = step.to;
        return this.#read(5, 4096 * KIB);
      case 'two': {
        const from = this.#next;
        const limits = { from, maxRecords: step.maxRecords };
        const [one, two] = await Promise.all([queue.read(limits), queue.read(limits)]);
        model.check(one, from, step.maxRecords, Number.MAX_SAFE_INTEGER);
        model.check(two, from, step.maxRecords, Number.MAX_SAFE_INTEGER);
        return;
      }
      case 'push': {
        const payloads = step.sizes.map((bytes, i) => Buffer.alloc(bytes, `${model.live.size + i},`));
        const { firstId } = await queue.pushMany(payloads);
        for (const [i, payload] of payloads.entries()) model.live.set(firstId + i, payload);
        return;
      }
      case 'remove': {
        const ids = [...model.live.keys()].slice(0, step.of).filter((_, i) => i % step.every === 0);
        await queue.removeMany(ids);
        for (const id of ids) model.live.delete(id);
        return;
      }
      case 'compact':
        await queue.compact();
        return;
    }
  }

  async #read(maxRecords: number, maxBytes: number): Promise<void> {
    const from = this.#next;
    const records = await this.queue.read({ from, maxRecords, maxBytes });
    this.model.check(records, from, maxRecords, maxBytes);
    this.#next = (records.at(-1)?.id ?? -1) + 1;
  }
}

/** A removed record of a rewritten segment, in the chunk in part, and too large for what is left of the limits, once ended a read. */
const removedBehindTheChunk: Step[] = [
  { kind: 'remove', every: 3, of: 103 },
  { kind: 'push', sizes: [0] },
  { kind: 'compact' },
  { kind: 'remove', every: 5, of: 101 },
  { kind: 'read', maxRecords: 10_000, maxBytes: 700, times: 16 },
];

test('P3: reads that go on where the last one stopped hand out what a read from nothing would', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 30 }),
      fc.constantFrom(64 * KIB, 1024 * KIB),
      async (steps, segmentBytes) => {
        const evaq = await openSim(newDisk(), { segmentBytes, recordBytesMax: 256 * KIB, recycleSegments: 1 });
        const reading = new Reading(evaq.wal);
        await reading.take({ kind: 'push', sizes: Array.from({ length: 700 }, (_, i) => (i * 37) % 250) });
        for (const one of steps) await reading.take(one);
        await evaq.close();
      },
    ),
    { numRuns: 120, examples: [[removedBehindTheChunk, 64 * KIB]] },
  );
}, 120_000);
