/** The sink for NATS JetStream, against a nats-server; atomic batches where the server has them. */
import type { JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type NatsSinkOptions, natsSink } from '../../src/forward/nats.js';
import type { Sink } from '../../src/forward.js';
import { because, startNats, WHY_NOT } from './brokers.js';
import { type Arrived, forwardThroughKill, lettersOf } from './forward-through-kill.js';
import type { Server } from './servers.js';

const missing = WHY_NOT.nats;

describe.skipIf(missing !== undefined)(`a real nats-server${because(missing)}`, () => {
  let server: Server;
  let connection: NatsConnection;
  let manager: JetStreamManager;
  let sinkOf: (options: Pick<NatsSinkOptions<never>, 'subject' | 'mode' | 'stream' | 'ackTimeoutMs'>) => Sink;

  beforeAll(async () => {
    server = await startNats();
    const { connect, headers } = await import('@nats-io/transport-node');
    const { jetstreamManager } = await import('@nats-io/jetstream');
    connection = await connect({ port: server.port, reconnectTimeWait: 20, maxReconnectAttempts: -1 });
    manager = await jetstreamManager(connection);
    sinkOf = (options) => natsSink({ connection, headers, ...options });
  });
  afterAll(async () => {
    await connection.close();
    await server.end();
  });

  async function messagesOf(stream: string): Promise<Arrived[]> {
    const { state } = await manager.streams.info(stream);
    const arrived: Arrived[] = [];
    for (let seq = state.first_seq; seq <= state.last_seq && state.messages > 0; seq++) {
      const message = await manager.streams.getMessage(stream, { seq });
      if (message === null) throw new Error('it is gone');
      arrived.push({ payload: Buffer.from(message.data), deliveryId: message.header.get('Nats-Msg-Id') });
    }
    return arrived;
  }

  test('killed in the middle: each arrives once', async () => {
    await manager.streams.add({ name: 'killed', subjects: ['killed.*'] });
    const { doubles } = await forwardThroughKill({
      sink: sinkOf({ subject: ({ key }) => `killed.${key}`, stream: 'killed', ackTimeoutMs: 2000 }),
      server,
      arrived: () => messagesOf('killed'),
    });
    expect(doubles).toBe(0);
  });

  test('what is too large for the stream is a dead letter', async () => {
    await manager.streams.add({ name: 'small', subjects: ['small'], max_msg_size: 1000 });
    const letters = await lettersOf(sinkOf({ subject: 'small' }), ['a', 'x'.repeat(2000), 'b']);
    expect(letters).toMatchObject([
      { reason: 'too-large', cause: expect.stringContaining('message size exceeds maximum allowed') },
    ]);
    expect((await messagesOf('small')).map(({ payload }) => payload.toString())).toEqual(['a', 'b']);
  });

  test('a subject without a stream, a full stream, another stream, no permission', async () => {
    const record = { id: 1, payload: Buffer.from('a'), headers: {}, timestamp: 1, attempt: 1, key: undefined };
    const records = [{ ...record, deliveryId: 's:wal:1' }];
    const context = { signal: new AbortController().signal, queue: 'wal' };
    const kindOf = async (sink: Sink): Promise<unknown> => (await sink.deliver(records, context))?.failed[0]?.error;
    expect(await kindOf(sinkOf({ subject: 'nobody' }))).toMatchObject({ kind: 'unavailable' });
    await manager.streams.add({ name: 'full', subjects: ['full'], max_msgs: 1, discard: 'new' as never });
    await connection.request('full', 'there');
    expect(await kindOf(sinkOf({ subject: 'full' }))).toMatchObject({
      kind: 'unavailable',
      message: /maximum messages/,
    });
    expect(await kindOf(sinkOf({ subject: 'full', stream: 'other' }))).toMatchObject({ kind: 'unauthorized' });
    const { connect, headers } = await import('@nats-io/transport-node');
    const few = await connect({ port: server.port, user: 'few', pass: 'x' });
    const subject = 'full';
    expect(await kindOf(natsSink({ connection: few, headers, subject }))).toMatchObject({ kind: 'unauthorized' });
    await few.close();
    await sinkOf({ subject }).probe?.(context);
  });

  test("mode: 'atomic': by a server that has it; another is told from it, and nothing is lost", async (context) => {
    await manager.streams.add({ name: 'whole', subjects: ['whole'], allow_atomic: true } as never);
    const { config } = await manager.streams.info('whole');
    const sink = sinkOf({ subject: 'whole', mode: 'atomic', ackTimeoutMs: 2000 });
    if (!Reflect.get(config, 'allow_atomic')) {
      await expect(lettersOf(sink, ['a', 'b'])).rejects.toMatchObject({ name: 'StopDelivery' });
      context.skip(`nats-server ${connection.info?.version} has no atomic batches`);
    }
    const { doubles } = await forwardThroughKill({ sink, server, arrived: () => messagesOf('whole') });
    expect(doubles).toBe(0);
  });
});
