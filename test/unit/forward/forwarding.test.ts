/** Forwarding to sinks that are made up: what comes of what they say. */
import { describe, expect, it } from 'vitest';
import type { Evaq } from '../../../src/evaq.js';
import { forward, type Sink, SinkError, type SinkRecord } from '../../../src/forward.js';
import { callUntyped, newDisk, openSim, passTime } from '../store/store-fixture.js';

interface Recording extends Sink {
  readonly batches: SinkRecord[][];
  closed: number;
}

function newSink(deliver: Sink['deliver'] = async () => undefined, more: Partial<Sink> = {}): Recording {
  const batches: SinkRecord[][] = [];
  const sink: Recording = {
    name: 'test',
    batches,
    closed: 0,
    deliver: (records, context) => {
      batches.push([...records]);
      return deliver(records, context);
    },
    close: async () => {
      sink.closed++;
    },
    ...more,
  };
  return sink;
}

async function lettersOf(evaq: Evaq): Promise<unknown[]> {
  const letters: unknown[] = [];
  for await (const { reason, error, payload } of evaq.wal.deadLetters.list()) {
    letters.push({ reason, payload: payload.toString(), error: error?.message, cause: error?.cause?.message });
  }
  return letters;
}

describe('forwarding', () => {
  it('hands out batches with all that belongs to a record, removes what has arrived, and closes the sink once', async () => {
    const evaq = await openSim(newDisk());
    await evaq.wal.push('a', { headers: { kind: 'x' } });
    await evaq.wal.push('b');
    const sink = newSink();
    const forwarding = forward(evaq.wal, sink, { key: ({ headers }) => headers?.['kind'] });
    await forwarding.drained();
    const sent = sink.batches.flat();
    expect(sent.every(({ timestamp }) => timestamp > 0)).toBe(true);
    expect(sent).toMatchObject([
      {
        id: 1,
        payload: Buffer.from('a'),
        headers: { kind: 'x' },
        deliveryId: `${evaq.storeId}:wal:1`,
        attempt: 1,
        key: 'x',
      },
      {
        id: 2,
        payload: Buffer.from('b'),
        headers: {},
        deliveryId: `${evaq.storeId}:wal:2`,
        attempt: 1,
        key: undefined,
      },
    ]);
    expect(evaq.wal.size).toBe(0);
    expect(sink.closed).toBe(0);
    await forwarding.stop();
    await forwarding.stop();
    expect(sink.closed).toBe(1);
    expect(await forwarding.done).toMatchObject({ delivered: 2 });
    await evaq.close();
  });

  it('keeps to the limits of the sink, and sends to the dead letters what is larger before it meets the wire', async () => {
    const evaq = await openSim(newDisk());
    await evaq.wal.pushMany(['1', '22', '333', '4444', '55555']);
    const sink = newSink(undefined, { limits: { maxRecords: 2, recordBytesMax: 3, inFlight: 1 } });
    const forwarding = forward(evaq.wal, sink, { concurrency: 8, batch: { maxRecords: 100 } });
    await forwarding.drained();
    expect(sink.batches.map((batch) => batch.length)).toEqual([2, 1]);
    expect(await lettersOf(evaq)).toEqual([
      { reason: 'too-large', payload: '4444', error: 'too-large', cause: "4 bytes, of at most 3 that 'test' takes" },
      { reason: 'too-large', payload: '55555', error: 'too-large', cause: "5 bytes, of at most 3 that 'test' takes" },
    ]);
    await evaq.close();
    expect(sink.closed).toBe(1);
  });

  it('what the destination rejects is a dead letter with its reason, whether it is named or the batch is thrown', async () => {
    const evaq = await openSim(newDisk());
    await evaq.wal.pushMany(['good', 'bad', 'fine', 'ugly', 'nice']);
    const rejection = (): SinkError => new SinkError('rejected', 'no such exchange', { reason: 'NO_ROUTE' });
    const sink = newSink(async (records) => {
      if (records.some(({ payload }) => payload.equals(Buffer.from('ugly')))) throw rejection();
      const bad = records.filter(({ payload }) => payload.equals(Buffer.from('bad')));
      return { failed: bad.map(({ id }) => ({ id, error: rejection() })) };
    });
    const forwarding = forward(evaq.wal, sink);
    await forwarding.drained();
    const dead = { reason: 'NO_ROUTE', error: 'NO_ROUTE', cause: 'no such exchange' };
    const letters = await lettersOf(evaq);
    expect(letters).toHaveLength(2);
    expect(letters).toContainEqual({ ...dead, payload: 'bad' });
    expect(letters).toContainEqual({ ...dead, payload: 'ugly' });
    await evaq.close();
  });

  it('P16: while the destination is down nobody loses an attempt, the probe is asked, and it goes on by itself', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.pushMany(Array.from({ length: 20 }, (_, i) => `${i}`));
    let isDown = true;
    let probes = 0;
    const down = (): SinkError => new SinkError('unavailable', 'nobody at home');
    const sink = newSink(
      async () => {
        if (isDown) throw down();
      },
      {
        probe: async () => {
          probes++;
          if (isDown) throw down();
        },
      },
    );
    const forwarding = forward(evaq.wal, sink, { batch: { maxRecords: 5 }, breaker: { failures: 2, openMs: 20 } });
    for (let i = 0; i < 1000 && probes < 3; i++) await passTime(disk, 5);
    isDown = false;
    await forwarding.drained();
    expect(probes).toBeGreaterThan(3);
    expect(sink.batches.at(-1)?.every(({ attempt }) => attempt === 1)).toBe(true);
    expect(await lettersOf(evaq)).toEqual([]);
    await evaq.close();
  });

  it('a destination that says when: all wait so long', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.pushMany(['a', 'b', 'c']);
    const times: number[] = [];
    const sink = newSink(async () => {
      times.push(disk.host.elapsed());
      if (times.length === 1) throw new SinkError('unavailable', 'slow down', { retryAfterMs: 5000 });
    });
    const forwarding = forward(evaq.wal, sink, { batch: { maxRecords: 1 }, concurrency: 1 });
    for (let i = 0; i < 1000 && evaq.wal.size > 0; i++) await passTime(disk, 20);
    const [first = 0, second = 0] = times;
    expect(second - first).toBeGreaterThanOrEqual(5000);
    await forwarding.stop();
    await evaq.close();
  });

  it('a destination that lets nobody in ends it: done says why, health says so, nobody has lost an attempt', async () => {
    const evaq = await openSim(newDisk());
    await evaq.wal.pushMany(['a', 'b', 'c']);
    const refusal = new SinkError('unauthorized', 'bad password');
    const sink = newSink(async () => {
      throw refusal;
    });
    const forwarding = forward(evaq.wal, sink);
    await expect(forwarding.done).rejects.toMatchObject({
      name: 'StopDelivery',
      reason: 'bad password',
      cause: refusal,
    });
    expect(sink.closed).toBe(1);
    const { reasons } = await evaq.health({ minFreeBytes: 0 });
    expect(reasons).toMatchObject([{ code: 'delivery-stopped', queue: 'wal' }]);
    expect(evaq.wal.size).toBe(3);
    await evaq.close();
  });

  it('P16: what has arrived of a batch that takes too long is not sent again', async () => {
    const evaq = await openSim(newDisk());
    await evaq.wal.pushMany(['a', 'slow', 'b']);
    const sent: string[] = [];
    let isFirst = true;
    const sink = newSink(async (records, { arrived, signal }) => {
      for (const { id, payload } of records) {
        sent.push(payload.toString());
        if (isFirst && payload.toString() === 'slow') {
          isFirst = false;
          await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        }
        arrived?.(id);
      }
    });
    const forwarding = forward(evaq.wal, sink, { concurrency: 1, timeoutMs: 1000 });
    await forwarding.drained();
    expect([...sent].sort()).toEqual(['a', 'b', 'slow', 'slow']);
    await forwarding.stop();
    await evaq.close();
  });

  it('a refusal of what was on its way at a stop is told: by a record, and by a batch', async () => {
    for (const isNamed of [true, false]) {
      const evaq = await openSim(newDisk());
      await evaq.wal.push('a');
      let answer: () => void = () => undefined;
      const asked = new Promise<void>((resolve) => {
        answer = resolve;
      });
      const refusal = new SinkError('unauthorized', 'expired');
      let begin: () => void = () => undefined;
      const begun = new Promise<void>((resolve) => {
        begin = resolve;
      });
      const sink = newSink(async () => {
        begin();
        await asked;
        if (isNamed) return { failed: [{ id: 1, error: refusal }] };
        throw refusal;
      });
      const forwarding = forward(evaq.wal, sink);
      await begun;
      const stopped = forwarding.stop();
      answer();
      await stopped;
      await expect(forwarding.done).rejects.toMatchObject({ name: 'StopDelivery', reason: 'expired' });
      const { reasons } = await evaq.health({ minFreeBytes: 0 });
      expect(reasons).toMatchObject([{ code: 'delivery-stopped', queue: 'wal' }]);
      expect(evaq.wal.size).toBe(1);
      await evaq.close();
    }
  });

  it('P16: a record that was on its way when the destination went does not wait longer than it is away', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.push('a');
    let isDown = true;
    const sink = newSink(async () => {
      if (isDown) throw new SinkError('unavailable', 'nobody at home');
    });
    const forwarding = forward(evaq.wal, sink, { breaker: { failures: 1, openMs: 1000, maxOpenMs: 2000 } });
    for (let i = 0; i < 50_000 && sink.batches.length < 15; i++) await passTime(disk, 20);
    isDown = false;
    const backMs = disk.host.elapsed();
    for (let i = 0; i < 5000 && evaq.wal.size > 0; i++) await passTime(disk, 20);
    expect(disk.host.elapsed() - backMs).toBeLessThan(3000);
    await forwarding.stop();
    await evaq.close();
  });

  it('map changes and drops; what map and key throw is the record’s', async () => {
    const evaq = await openSim(newDisk());
    await evaq.wal.pushMany(['keep', 'drop', 'throw', 'key']);
    const sink = newSink();
    const forwarding = forward(evaq.wal, sink, {
      retry: { maxAttempts: 1 },
      map: (record) => {
        const text = record.payload.toString();
        if (text === 'drop') return undefined;
        if (text === 'throw') throw new Error('cannot be mapped');
        return { ...record, payload: Buffer.from(text.toUpperCase()) };
      },
      key: ({ payload }) => {
        if (payload.toString() === 'key') throw new Error('has no key');
        return 'k';
      },
    });
    await forwarding.drained();
    expect(sink.batches.flat().map(({ payload }) => payload.toString())).toEqual(['KEEP']);
    expect((await lettersOf(evaq)).map((letter) => JSON.stringify(letter))).toEqual([
      expect.stringContaining('cannot be mapped'),
      expect.stringContaining('has no key'),
    ]);
    await evaq.close();
  });

  it('P16: a batch is halved though something was found out of others before: the guilty one alone is a dead letter', async () => {
    const evaq = await openSim(newDisk());
    await evaq.wal.pushMany(['a', 'drop', 'b', 'bad', 'c', 'large payload', 'd']);
    const sink = newSink(
      async (records) => {
        if (records.some(({ payload }) => payload.toString() === 'bad')) {
          throw new SinkError('rejected', 'of its schema', { reason: 'schema' });
        }
      },
      { limits: { recordBytesMax: 5 } },
    );
    const forwarding = forward(evaq.wal, sink, {
      map: (record) => (record.payload.toString() === 'drop' ? undefined : record),
    });
    await forwarding.drained();
    expect(await lettersOf(evaq)).toHaveLength(2);
    expect(await lettersOf(evaq)).toMatchObject([
      { reason: expect.stringMatching(/schema|too-large/) },
      { reason: expect.stringMatching(/schema|too-large/) },
    ]);
    expect(forwarding.stats()).toMatchObject({ delivered: 5, deadLettered: 2 });
    await evaq.close();
  });

  it('order fifo: a batch is one record, so that none overtakes one that has failed', async () => {
    const evaq = await openSim(newDisk());
    await evaq.wal.pushMany(['a', 'b', 'c']);
    let tries = 0;
    const sink = newSink(async () => {
      if (++tries === 1) throw new SinkError('retry', 'once');
    });
    const forwarding = forward(evaq.wal, sink, { order: 'fifo', retry: { backoff: { baseMs: 1 } } });
    await forwarding.drained();
    expect(sink.batches.map((batch) => batch.map(({ payload }) => payload.toString()))).toEqual([
      ['a'],
      ['a'],
      ['b'],
      ['c'],
    ]);
    await evaq.close();
  });

  it('errors that are no SinkError are judged as those of handlers, or by retry.classify', async () => {
    const evaq = await openSim(newDisk());
    await evaq.wal.pushMany(['a']);
    const sink = newSink(async () => {
      throw Object.assign(new Error('of a schema'), { status: 422 });
    });
    const forwarding = forward(evaq.wal, sink);
    await forwarding.drained();
    expect(await lettersOf(evaq)).toMatchObject([{ reason: 'dead', error: 'of a schema' }]);
    await forwarding.stop();
    await evaq.wal.push('b');
    const other = forward(evaq.wal, sink, { retry: { classify: () => 'drop' } });
    await other.drained();
    expect(other.stats()).toMatchObject({ dropped: 1 });
    await evaq.close();
  });

  it('a sink that names a stranger, or answers anything, fails its batch', async () => {
    const evaq = await openSim(newDisk());
    await evaq.wal.pushMany(['a']);
    const answers: unknown[] = [{ failed: [{ id: 99 }] }, { failed: 'all' }, { failed: [null] }];
    const sink = newSink(() => Promise.resolve(JSON.parse(JSON.stringify(answers.shift() ?? null))));
    const forwarding = forward(evaq.wal, sink, { retry: { backoff: { baseMs: 1 }, maxAttempts: 3 } });
    await forwarding.drained();
    expect(answers).toEqual([]);
    expect(await lettersOf(evaq)).toMatchObject([{ reason: 'attempts' }]);
    await evaq.close();
  });

  it('wrong arguments are told before anything begins', async () => {
    const evaq = await openSim(newDisk());
    const wrong: [unknown, unknown, unknown][] = [
      [undefined, newSink(), undefined],
      [{}, newSink(), undefined],
      [evaq.wal, undefined, undefined],
      [evaq.wal, { deliver: 1, name: 'x' }, undefined],
      [evaq.wal, { deliver: () => undefined }, undefined],
      [evaq.wal, newSink(undefined, JSON.parse('{"limits":{"maxRecord":1}}')), undefined],
      [evaq.wal, newSink(), { kye: () => 'x' }],
      [evaq.wal, newSink(), { key: 'x' }],
      [evaq.wal, newSink(), { map: {} }],
      [evaq.wal, newSink(), null],
    ];
    for (const [queue, sink, options] of wrong) {
      await expect(callUntyped({ forward }, 'forward', queue, sink, options)).rejects.toThrow(TypeError);
    }
    expect(evaq.stats().deliveries).toEqual([]);
    expect(() => new SinkError(JSON.parse('"gone"'), 'x')).toThrow(TypeError);
    for (const retryAfterMs of [Number.NaN, -1, 0, Infinity]) {
      expect(new SinkError('unavailable', '', { retryAfterMs })).toMatchObject({
        retryAfterMs: undefined,
        message: 'unavailable',
      });
    }
    for (const more of [
      { probe: 5 },
      { close: 5 },
      { limits: { maxRecords: Number.NaN } },
      { limits: { recordBytesMax: -1 } },
    ]) {
      await expect(callUntyped({ forward }, 'forward', evaq.wal, { ...newSink(), ...more })).rejects.toThrow();
    }
    await evaq.close();
  });
});
