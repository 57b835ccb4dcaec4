/** A sink into another queue of evaq. */
import { describe, expect, test } from 'vitest';
import { Evaq, EvaqError } from '../../../src/evaq.js';
import { forward, queueSink, SinkError, type SinkRecord } from '../../../src/forward.js';
import { newDisk, openSim } from '../store/store-fixture.js';

const record = (id: number, payload: string): SinkRecord => ({
  id,
  payload: Buffer.from(payload),
  headers: { k: payload },
  timestamp: 0,
  deliveryId: `s:wal:${id}`,
  attempt: 1,
  key: undefined,
});
const context = { signal: new AbortController().signal, queue: 'wal' };

describe('queueSink', () => {
  test('what is forwarded has payload and headers, and is known by its deliveryId', async () => {
    await using near = await openSim(newDisk());
    await using far = await openSim(newDisk());
    const target = await far.queue('inbox', { dedupe: {} });
    const { firstId } = await near.wal.pushMany(['a', { payload: 'b', headers: { k: 'v' } }]);
    const forwarding = forward(near.wal, queueSink(target), { hold: false });
    await forwarding.drained();
    await forwarding.stop();
    expect(near.wal.size).toBe(0);
    const name = (id: number): string => `${near.storeId}:wal:${id}`;
    expect(await target.read()).toMatchObject([
      { payload: Buffer.from('a'), messageId: name(firstId) },
      { payload: Buffer.from('b'), messageId: name(firstId + 1), headers: { k: 'v' } },
    ]);
  });

  test('a batch of which some are known brings the others', async () => {
    await using far = await openSim(newDisk());
    const target = await far.queue('inbox', { dedupe: {} });
    const sink = queueSink(target);
    await sink.deliver([record(1, 'a'), record(2, 'b')], context);
    expect(await sink.deliver([record(2, 'b'), record(3, 'c')], context)).toEqual({ failed: [] });
    expect((await target.read()).map(({ payload }) => payload.toString())).toEqual(['a', 'b', 'c']);
  });

  test('a queue that knows no messages is no place to forward to', async () => {
    await using far = await openSim(newDisk());
    await expect(queueSink(far.wal).deliver([record(1, 'a')], context)).rejects.toMatchObject({ kind: 'unauthorized' });
    expect(far.wal.size).toBe(0);
  });

  test.each(['AuthorizationError', 'PermissionViolationError', 'UserAuthenticationExpiredError'])(
    'a queue behind a server that lets nobody in is no place to forward to: %s',
    async (name) => {
      const refusal = Object.assign(new Error('no'), { name });
      const refusing = (error: Error) => async (): Promise<never> => {
        throw error;
      };
      const wrapped = new EvaqError('EVAQ_IO', 'no answer', { cause: refusal });
      const failing = { name: 'x', push: refusing(wrapped), pushMany: refusing(wrapped) };
      for (const sink of [queueSink(refusing(refusal)), queueSink(failing)]) {
        await expect(sink.deliver([record(1, 'a')], context)).rejects.toMatchObject({ kind: 'unauthorized' });
      }
    },
  );

  test.each([
    ['EVAQ_RECORD_TOO_LARGE', 'rejected'],
    ['EVAQ_QUEUE_FULL', 'unavailable'],
    ['EVAQ_IO', 'unavailable'],
    ['EVAQ_UNSUPPORTED', 'unauthorized'],
    ['EVAQ_UNAUTHORIZED', 'unauthorized'],
  ] as const)('%s is %s', async (code, kind) => {
    const failing = async (): Promise<never> => {
      throw new EvaqError(code, 'no');
    };
    const sink = queueSink({ name: 'x', push: failing, pushMany: failing });
    await expect(sink.deliver([record(1, 'a')], context)).rejects.toMatchObject({ name: 'SinkError', kind });
  });

  test('a queue is opened when it is needed, and again where that failed', async () => {
    await using far = await openSim(newDisk());
    let tries = 0;
    const sink = queueSink(async () => {
      if (++tries === 1) throw new EvaqError('EVAQ_IO', 'not there');
      return far.queue('inbox', { dedupe: {} });
    });
    expect(tries).toBe(0);
    await expect(sink.probe?.(context)).rejects.toBeInstanceOf(SinkError);
    await sink.probe?.(context);
    await sink.deliver([record(1, 'a')], context);
    expect([tries, (await far.queue('inbox')).size]).toEqual([2, 1]);
  });

  test('wrong arguments are told', () => {
    // @ts-expect-error -- what JavaScript may pass
    expect(() => queueSink({})).toThrow(TypeError);
    // @ts-expect-error -- what JavaScript may pass
    expect(() => queueSink(async () => Evaq, { batch: 1 })).toThrow(TypeError);
  });
});
