/** The sink for RabbitMQ, with a broker that is made up; `test/forward/rabbitmq.test.ts` has a real one. */
import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import {
  type AmqpChannelLike,
  type AmqpConnectionLike,
  type AmqpPublishOptions,
  rabbitmqSink,
} from '../../../src/forward/rabbitmq.js';
import { CONTEXT, failuresOf, recordOf } from './sink-fixture.js';

interface Published {
  readonly exchange: string;
  readonly routingKey: string;
  readonly text: string;
  readonly options: AmqpPublishOptions;
  readonly channel: number;
}

/** Answers by the text of a message: 'return', 'nack', a code that closes the channel, 'throw', 'gone', 'never'; anything else is confirmed. */
class Broker {
  readonly published: Published[] = [];
  channels = 0;
  connections = 0;
  closed = 0;
  channelsClosed = 0;
  failsWith: Error | undefined;

  readonly connect = async (): Promise<AmqpConnectionLike> => {
    if (this.failsWith !== undefined) throw this.failsWith;
    this.connections++;
    const connection = new EventEmitter();
    const createConfirmChannel = async (): Promise<AmqpChannelLike> => this.#newChannel(connection);
    const close = async (): Promise<void> => {
      this.closed++;
    };
    return Object.assign(connection, { createConfirmChannel, close });
  };

  #newChannel(connection: EventEmitter): AmqpChannelLike {
    const channel = new EventEmitter();
    const number = ++this.channels;
    let pending: ((error: unknown) => void)[] = [];
    let isOpen = true;
    const shut = (error?: Error): void => {
      isOpen = false;
      if (error !== undefined) channel.emit('error', error);
      channel.emit('close');
      for (const confirmed of pending) confirmed(new Error('channel closed'));
      pending = [];
    };
    const settle = (confirmed: (error: unknown) => void, error: unknown): void => {
      if (!pending.includes(confirmed)) return;
      pending = pending.filter((one) => one !== confirmed);
      confirmed(error);
    };
    const publish: AmqpChannelLike['publish'] = (exchange, routingKey, content, options, confirmed) => {
      const text = content.toString();
      if (!isOpen) throw Object.assign(new Error('Channel closed'), { name: 'IllegalOperationError' });
      if (text === 'throw') throw new TypeError('cannot be encoded');
      this.published.push({ exchange, routingKey, text, options, channel: number });
      pending.push(confirmed);
      setImmediate(() => {
        if (!isOpen || text === 'never') return;
        if (text === 'return') {
          channel.emit('return', { fields: { replyText: 'NO_ROUTE' }, properties: { messageId: options.messageId } });
        }
        if (text === 'gone') {
          shut();
          connection.emit('close');
        } else if (/^\d+ /.test(text)) shut(Object.assign(new Error(text), { code: Number(text.slice(0, 3)) }));
        else settle(confirmed, text === 'nack' ? new Error('message nacked') : null);
      });
      return true;
    };
    const close = async (): Promise<void> => {
      this.channelsClosed++;
    };
    return Object.assign(channel, { publish, close });
  }
}

describe('rabbitmqSink', () => {
  it('publishes persistent and mandatory, with the deliveryId as messageId; the next batch has the same channel', async () => {
    const broker = new Broker();
    const sink = rabbitmqSink({ connect: broker.connect, exchange: 'x' });
    const headers = { a: 'b', 'content-type': 'text/plain' };
    const record = recordOf(1, 'one', { key: 'k', headers, timestamp: 5999 });
    expect(await failuresOf(sink, [record, recordOf(2, 'two')])).toEqual([]);
    expect(await failuresOf(sink, [recordOf(3, 'three')])).toEqual([]);
    const options = { messageId: 's:wal:1', timestamp: 5, persistent: true, mandatory: true, headers };
    expect(broker.published[0]).toEqual({
      exchange: 'x',
      routingKey: 'k',
      text: 'one',
      options: { ...options, contentType: 'text/plain' },
      channel: 1,
    });
    expect(broker.published.map(({ text, routingKey }) => [text, routingKey])).toEqual([
      ['one', 'k'],
      ['two', ''],
      ['three', ''],
    ]);
    expect([broker.connections, broker.channels]).toEqual([1, 1]);
    await sink.close?.();
    expect(broker.closed).toBe(1);
  });

  it('what is returned is rejected, though it is confirmed; a nack is the destination’s', async () => {
    const broker = new Broker();
    const sink = rabbitmqSink({ connect: broker.connect });
    const records = ['a', 'return', 'nack', 'throw'].map((text, i) => recordOf(i + 1, text));
    expect(await failuresOf(sink, records)).toMatchObject([
      { id: 2, kind: 'rejected', reason: 'NO_ROUTE' },
      { id: 3, kind: 'unavailable', message: 'rabbitmq: message nacked' },
      { id: 4, kind: 'rejected', message: 'cannot be encoded' },
    ]);
    // The same again: what was returned before is not returned now.
    expect(await failuresOf(sink, [recordOf(2, 'a')])).toEqual([]);
  });

  it('after a throw of the client nothing more is published on that channel; what is behind it has another one', async () => {
    const broker = new Broker();
    const sink = rabbitmqSink({ connect: broker.connect });
    const records = ['a', 'throw', 'b', 'throw', 'c'].map((text, i) => recordOf(i + 1, text));
    expect(await failuresOf(sink, records)).toMatchObject([
      { id: 2, kind: 'rejected', message: 'cannot be encoded' },
      { id: 4, kind: 'rejected' },
    ]);
    expect(broker.published.map(({ text, channel }) => [text, channel])).toEqual([
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ]);
    expect(broker.channelsClosed).toBe(2);
  });

  it('a text that is too long for a short string is never published, and is the record’s', async () => {
    const broker = new Broker();
    const sink = rabbitmqSink({ connect: broker.connect });
    const long = `${'é'.repeat(127)}ab`;
    const longest = long.slice(1);
    const records = [
      recordOf(1, 'a', { key: long }),
      recordOf(2, 'a', { headers: { 'content-type': long } }),
      recordOf(3, 'a', { deliveryId: long }),
      recordOf(4, 'a', { headers: { [long]: '' } }),
      recordOf(5, 'b', { key: longest, deliveryId: longest, headers: { 'content-type': longest, [longest]: long } }),
    ];
    expect(await failuresOf(sink, records)).toMatchObject(
      ['routing key', 'content-type', 'messageId', 'name of a header'].map((what, i) => ({
        id: i + 1,
        kind: 'rejected',
        message: expect.stringContaining(`${what} of 256 bytes`),
      })),
    );
    expect(broker.published.map(({ text }) => text)).toEqual(['b']);
    expect(broker.channels).toBe(1);
  });

  it('an attempt to connect that hangs is given up in its time; it is closed should it come later', async () => {
    const broker = new Broker();
    let arrive: () => void = () => undefined;
    const hanging = new Promise<void>((resolve) => {
      arrive = resolve;
    });
    let attempts = 0;
    const connect = async (): Promise<AmqpConnectionLike> => {
      if (++attempts === 1) await hanging;
      return broker.connect();
    };
    const sink = rabbitmqSink({ connect, ackTimeoutMs: 10 });
    await expect(failuresOf(sink, [recordOf(1, 'a')])).rejects.toMatchObject({ kind: 'unavailable' });
    // The attempt began a little later than the batch.
    await expect.poll(() => failuresOf(sink, [recordOf(1, 'a')]).catch(String)).toEqual([]);
    expect([attempts, broker.closed]).toEqual([2, 0]);
    arrive();
    await expect.poll(() => broker.closed).toBe(1);
    expect(await failuresOf(sink, [recordOf(2, 'a')])).toEqual([]);
    expect([attempts, broker.closed]).toEqual([2, 1]);
    await sink.close?.();
    expect(broker.closed).toBe(2);
  });

  it('a broker that opens no channel is left for another connection; what was to go there does not go late', async () => {
    const broker = new Broker();
    let arrive: () => void = () => undefined;
    const hanging = new Promise<void>((resolve) => {
      arrive = resolve;
    });
    const connect = async (): Promise<AmqpConnectionLike> => {
      const connection = await broker.connect();
      if (broker.connections > 1) return connection;
      const open = connection.createConfirmChannel.bind(connection);
      connection.createConfirmChannel = async () => {
        await hanging;
        return open();
      };
      return connection;
    };
    const sink = rabbitmqSink({ connect, ackTimeoutMs: 10 });
    await expect(failuresOf(sink, [recordOf(1, 'late')])).rejects.toMatchObject({ kind: 'unavailable' });
    await expect.poll(() => failuresOf(sink, [recordOf(2, 'a')]).catch(String)).toEqual([]);
    expect([broker.connections, broker.closed]).toEqual([2, 1]);
    arrive();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(broker.published.map(({ text }) => text)).toEqual(['a']);
  });

  it('what is connected too late publishes nothing of a batch that was given up', async () => {
    const broker = new Broker();
    const connect = async (): Promise<AmqpConnectionLike> => {
      const connection = await broker.connect();
      const open = connection.createConfirmChannel.bind(connection);
      connection.createConfirmChannel = async () => {
        // Later than the batch, in time for itself.
        await new Promise((resolve) => setTimeout(resolve, 60));
        return open();
      };
      await new Promise((resolve) => setTimeout(resolve, 60));
      return connection;
    };
    const sink = rabbitmqSink({ connect, ackTimeoutMs: 100 });
    await expect(failuresOf(sink, [recordOf(1, 'late')])).rejects.toMatchObject({ kind: 'unavailable' });
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(broker.channels).toBe(1);
    expect(broker.published).toEqual([]);
    // The channel that came is used by the next.
    expect(await failuresOf(sink, [recordOf(2, 'a')])).toEqual([]);
    expect([broker.channels, broker.published.length]).toEqual([1, 1]);
  });

  it('says at once what was confirmed, also where the batch takes too long', async () => {
    const broker = new Broker();
    const sink = rabbitmqSink({ connect: broker.connect, ackTimeoutMs: 20 });
    const arrived: number[] = [];
    const context = { ...CONTEXT, arrived: (id: number) => arrived.push(id) };
    const batch = sink.deliver([recordOf(1, 'a'), recordOf(2, 'never'), recordOf(3, 'b')], context);
    await expect(batch).rejects.toMatchObject({ kind: 'unavailable' });
    expect(arrived).toEqual([1, 3]);
  });

  it('closing waits for no attempt to connect, and for no broker that hangs', async () => {
    const broker = new Broker();
    let arrive: () => void = () => undefined;
    const hanging = new Promise<void>((resolve) => {
      arrive = resolve;
    });
    const late = rabbitmqSink({ connect: () => hanging.then(broker.connect) });
    const batch = failuresOf(late, [recordOf(1, 'a')]).catch((error: unknown) => error);
    await late.close?.();
    expect(await batch).toMatchObject({ kind: 'unavailable' });
    arrive();
    await expect.poll(() => broker.closed).toBe(1);

    const silent = async (): Promise<AmqpConnectionLike> =>
      Object.assign(await broker.connect(), { close: () => new Promise<never>(() => undefined) });
    const sink = rabbitmqSink({ connect: silent, ackTimeoutMs: 10 });
    await sink.probe?.(CONTEXT);
    await sink.close?.();
  });

  it('who closes the channel is found; all others arrive, in their order', async () => {
    const broker = new Broker();
    const sink = rabbitmqSink({ connect: broker.connect });
    const texts = ['a', '406 PRECONDITION_FAILED', 'b', '406 message size 9 is larger than', 'c'];
    const records = texts.map((text, i) => recordOf(i + 1, text));
    expect(await failuresOf(sink, records)).toMatchObject([
      { id: 2, kind: 'rejected', reason: 'PRECONDITION_FAILED' },
      { id: 4, kind: 'rejected', reason: 'too-large' },
    ]);
    expect(broker.published.map(({ text }) => text)).toEqual([...texts, ...texts.slice(1)]);
  });

  it('a code about the destination is told of all that were not confirmed, and of nobody else', async () => {
    for (const [text, kind] of [
      ['403 ACCESS_REFUSED', 'unauthorized'],
      ['404 NOT_FOUND', 'unavailable'],
      ['gone', 'unavailable'],
    ]) {
      const broker = new Broker();
      const sink = rabbitmqSink({ connect: broker.connect });
      const records = ['a', String(text), 'b'].map((one, i) => recordOf(i + 1, one));
      expect(await failuresOf(sink, records), text).toMatchObject([
        { id: 2, kind },
        { id: 3, kind },
      ]);
      expect(broker.published).toHaveLength(3);
      expect(await failuresOf(sink, [recordOf(4, 'c')])).toEqual([]);
      expect(broker.connections, 'connected anew where it has gone').toBe(text === 'gone' ? 2 : 1);
    }
  });

  it('no connection is the destination’s fault, unless it is refused; the next batch tries again', async () => {
    const broker = new Broker();
    const sink = rabbitmqSink({ connect: broker.connect });
    broker.failsWith = new Error('connect ECONNREFUSED');
    await expect(failuresOf(sink, [recordOf(1, 'a')])).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(sink.probe?.(CONTEXT)).rejects.toMatchObject({ kind: 'unavailable' });
    broker.failsWith = new Error('Handshake terminated by server: 403 (ACCESS-REFUSED)');
    await expect(failuresOf(sink, [recordOf(1, 'a')])).rejects.toMatchObject({ kind: 'unauthorized' });
    broker.failsWith = undefined;
    await sink.probe?.(CONTEXT);
    expect(await failuresOf(sink, [recordOf(1, 'a')])).toEqual([]);
    expect([broker.connections, broker.channels]).toEqual([1, 1]);
  });

  it('what is never confirmed is the destination’s fault, and its channel is nobody else’s', async () => {
    const broker = new Broker();
    const sink = rabbitmqSink({ connect: broker.connect, ackTimeoutMs: 10 });
    await expect(failuresOf(sink, [recordOf(1, 'never')])).rejects.toMatchObject({ kind: 'unavailable' });
    await failuresOf(sink, [recordOf(2, 'a')]);
    expect(broker.published.map(({ channel }) => channel)).toEqual([1, 2]);
  });

  it('what routingKey throws, or gives that is no text, is the record’s', async () => {
    const broker = new Broker();
    const routingKey = ({ id }: { id: number }): string => (id === 1 ? JSON.parse('7') : JSON.parse('{'));
    const sink = rabbitmqSink({ connect: broker.connect, routingKey });
    expect(await failuresOf(sink, [recordOf(1, 'a'), recordOf(2, 'b')])).toMatchObject([
      { id: 1, kind: 'other' },
      { id: 2, kind: 'other' },
    ]);
  });

  it('says what is wrong with its options', () => {
    const connect = new Broker().connect;
    for (const options of [
      undefined,
      {},
      { connect: {} },
      { connect, exchange: 7 },
      { connect, routingKey: 7 },
      { connect, persistent: 'yes' },
      { connect, mandatory: 1 },
      { connect, queue: 'q' },
    ]) {
      expect(() => Reflect.apply(rabbitmqSink, undefined, [options])).toThrow(TypeError);
    }
    for (const wrong of [
      { ackTimeoutMs: 0 },
      { ackTimeoutMs: 2 ** 31 },
      { exchange: 'x'.repeat(256) },
      { routingKey: 'x'.repeat(256) },
    ]) {
      expect(() => rabbitmqSink({ connect, ...wrong })).toThrow(RangeError);
    }
  });
});
