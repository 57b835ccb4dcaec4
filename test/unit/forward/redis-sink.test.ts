/** The sink for Redis streams, with clients that are made up; `test/forward/redis.test.ts` has a real one. */
import { describe, expect, it } from 'vitest';
import { redisSink } from '../../../src/forward/redis.js';
import { CONTEXT, failuresOf, recordOf } from './sink-fixture.js';

type Argument = string | Buffer;

/** As ioredis, and as node-redis; each notes what it is asked. */
function newClients(answer: (command: string, args: readonly Argument[]) => unknown): {
  readonly asked: (readonly Argument[])[];
  readonly ioredis: { call(command: string, ...args: Argument[]): Promise<unknown>; sendCommand(): never };
  readonly nodeRedis: { sendCommand(args: Argument[]): Promise<unknown> };
} {
  const asked: (readonly Argument[])[] = [];
  const ask = async (command: string, args: readonly Argument[]): Promise<unknown> => {
    asked.push([command, ...args]);
    const answered = answer(command, args);
    if (answered instanceof Error) throw answered;
    return answered;
  };
  return {
    asked,
    ioredis: {
      call: (command, ...args) => ask(command, args),
      sendCommand: () => {
        throw new TypeError('of another kind');
      },
    },
    nodeRedis: { sendCommand: ([command = '', ...args]) => ask(String(command), args) },
  };
}

/** A stream of a server whose consumer deletes every entry at once. */
class Stream {
  readonly added: string[] = [];
  newest: string;

  constructor(newest: string) {
    this.newest = newest;
  }

  answer(command: string, [, id, , deliveryId]: readonly Argument[]): unknown {
    if (command === 'XINFO') return ['length', 0, 'last-generated-id', this.newest];
    if (command === 'XRANGE') return [];
    if (orderOf(String(id)) <= orderOf(this.newest)) {
      return new Error('ERR The ID specified in XADD is equal or smaller than the target stream top item');
    }
    this.newest = String(id);
    this.added.push(String(deliveryId));
    return this.newest;
  }
}

function orderOf(id: string): bigint {
  const [high = '', low = ''] = id.split('-');
  return (BigInt(high) << 64n) + BigInt(low);
}

describe('redisSink', () => {
  it('adds an entry for each record, with all that belongs to it, by either client', async () => {
    for (const name of ['ioredis', 'nodeRedis'] as const) {
      const clients = newClients(() => '1-1');
      const sink = redisSink({ client: clients[name], stream: ({ key }) => `s:${key}`, maxLen: 9 });
      const binary = Buffer.from([0, 255]);
      const records = [recordOf(1, binary, { key: 'k', headers: { a: 'b' } }), recordOf(2, 'x', { key: 'l' })];
      expect(await failuresOf(sink, records)).toEqual([]);
      expect(clients.asked).toEqual([
        ...[['XADD', 's:k', 'MAXLEN', '~', '9', '*', 'evaq-id', 's:wal:1', 'payload', binary, 'timestamp', '5']].map(
          (args) => [...args, 'key', 'k', 'header:a', 'b'],
        ),
        ['XADD', 's:l', 'MAXLEN', '~', '9', '*', 'evaq-id', 's:wal:2', 'payload', Buffer.from('x')].concat([
          'timestamp',
          '5',
          'key',
          'l',
        ]),
      ]);
      await sink.probe?.(CONTEXT);
      expect(clients.asked.at(-1)).toEqual(['PING']);
    }
  });

  it('tells whose fault it is by the word of the server; what is none is the connection’s', async () => {
    const kinds: Record<string, [string, string]> = {
      'OOM command not allowed': ['unavailable', 'OOM'],
      'LOADING Redis is loading': ['unavailable', 'LOADING'],
      "READONLY You can't write": ['unavailable', 'READONLY'],
      'NOAUTH Authentication required.': ['unauthorized', 'NOAUTH'],
      'NOPERM this user has no permissions': ['unauthorized', 'NOPERM'],
      'WRONGTYPE Operation against a key': ['rejected', 'WRONGTYPE'],
      'ERR string exceeds maximum allowed size': ['rejected', 'too-large'],
      'ERR something': ['retry', 'ERR'],
      'Connection is closed.': ['unavailable', 'rejected'],
      "Stream isn't writeable": ['unavailable', 'rejected'],
    };
    for (const [message, [kind, reason]] of Object.entries(kinds)) {
      const { ioredis } = newClients(() => new Error(message));
      const sink = redisSink({ client: ioredis, stream: 's' });
      expect(await failuresOf(sink, [recordOf(1, 'a')]), message).toMatchObject([{ id: 1, kind, reason }]);
      await expect(sink.probe?.(CONTEXT), message).rejects.toMatchObject({ kind });
    }
  });

  it('what `stream` throws, or gives that is no key, is the record’s', async () => {
    const { ioredis } = newClients(() => '1-1');
    const stream = ({ id }: { id: number }): string => (id === 1 ? JSON.parse('7') : JSON.parse('{'));
    const sink = redisSink({ client: ioredis, stream });
    expect(await failuresOf(sink, [recordOf(1, 'a'), recordOf(2, 'b')])).toMatchObject([
      { id: 1, kind: 'other', message: expect.stringContaining('stream must be a text') },
      { id: 2, kind: 'other' },
    ]);
  });

  it("ids: 'record': refused and there is arrived; refused and not there goes behind the newest", async () => {
    const refusal = new Error('ERR The ID specified in XADD is equal or smaller than the target stream top item');
    for (const info of [
      ['length', 2, 'last-generated-id', Buffer.from('9-3')],
      new Map([['last-generated-id', '9-3']]),
      { 'last-generated-id': '9-3' },
    ]) {
      const there: Record<string, unknown> = {
        '1-0': [['1-0', ['evaq-id', 's:wal:1']]],
        '2-0': [['2-0', ['evaq-id', 'of another']]],
        '3-0': [],
      };
      const { ioredis, asked } = newClients((command, args) => {
        if (command === 'XADD') return args[1] === '9-4' || args[1] === '9-5' ? args[1] : refusal;
        return command === 'XRANGE' ? there[String(args[1])] : info;
      });
      const sink = redisSink({ client: ioredis, stream: 's', ids: 'record' });
      expect(sink.limits?.inFlight).toBe(1);
      const records = [recordOf(1, 'a'), recordOf(2, 'b'), recordOf(3, 'c')];
      expect(await failuresOf(sink, records)).toEqual([]);
      const behind = asked.filter(([command, , id]) => command === 'XADD' && String(id).startsWith('9-'));
      expect(behind.map((args) => [args[2], args[4]])).toEqual([
        ['9-4', 's:wal:2'],
        ['9-5', 's:wal:3'],
      ]);
    }
  });

  it("ids: 'record': a batch that was overtaken goes behind as a whole, in its order, with one question a stream", async () => {
    const streams = { s: new Stream('1000-18446744073709551614'), t: new Stream('2000-0') };
    const { ioredis, asked } = newClients((command, args) =>
      (args.slice(0, 2).includes('t') ? streams.t : streams.s).answer(command, args),
    );
    const stream = ({ id }: { id: number }): string => (id % 2 === 0 ? 't' : 's');
    const sink = redisSink({ client: ioredis, stream, ids: 'record' });
    const ids = Array.from({ length: 20 }, (_, i) => i + 1);
    const records = ids.map((id) => recordOf(id, 'a'));
    expect(await failuresOf(sink, records)).toEqual([]);
    expect(streams.s.added).toEqual(ids.filter((id) => id % 2 === 1).map((id) => `s:wal:${id}`));
    expect(streams.t.added).toEqual(ids.filter((id) => id % 2 === 0).map((id) => `s:wal:${id}`));
    expect(streams.s.newest, 'the second half of an ID is full').toBe('1001-8');
    expect(asked.filter(([command]) => command === 'XINFO')).toHaveLength(2);
  });

  it("ids: 'record': asks again where another writer came between; not for ever", async () => {
    const one = new Stream('1000-0');
    let writes = 2;
    const { ioredis, asked } = newClients((command, args) => {
      const answer = one.answer(command, args);
      // Another one writes right after the question.
      if (command === 'XINFO' && writes-- > 0) one.answer('XADD', ['s', `${one.newest}0`, 'evaq-id', 'another']);
      return answer;
    });
    const sink = redisSink({ client: ioredis, stream: 's', ids: 'record' });
    const records = [1, 2, 3].map((id) => recordOf(id, 'a'));
    writes = 2;
    one.newest = '1000-1';
    expect(await failuresOf(sink, records)).toEqual([]);
    expect(one.added).toEqual(['another', 'another', 's:wal:1', 's:wal:2', 's:wal:3']);
    expect(asked.filter(([command]) => command === 'XINFO')).toHaveLength(3);
    writes = Number.POSITIVE_INFINITY;
    expect(await failuresOf(sink, records)).toMatchObject([1, 2, 3].map((id) => ({ id, kind: 'retry' })));
  });

  it("ids: 'record': where the newest cannot be asked for, all that had to go behind have failed, and nobody else", async () => {
    const one = new Stream('2-0');
    const { ioredis } = newClients((command, args) =>
      command === 'XINFO' ? new Error('NOPERM no XINFO') : one.answer(command, args),
    );
    const sink = redisSink({ client: ioredis, stream: 's', ids: 'record' });
    const records = [1, 2, 3].map((id) => recordOf(id, 'a'));
    expect(await failuresOf(sink, records)).toMatchObject([
      { id: 1, kind: 'unauthorized' },
      { id: 2, kind: 'unauthorized' },
    ]);
    expect(one.added).toEqual(['s:wal:3']);
  });

  it('waits for replicas and for the disk where it is asked to, once a batch', async () => {
    let replies: Record<string, unknown> = { XADD: '1-1', WAIT: 2, WAITAOF: [1, 0] };
    const { ioredis, asked } = newClients((command) => replies[command]);
    const sink = redisSink({ client: ioredis, stream: 's', wait: { replicas: 2 }, waitAof: { timeoutMs: 7 } });
    const records = [recordOf(1, 'a'), recordOf(2, 'b')];
    expect(await failuresOf(sink, records)).toEqual([]);
    expect(asked.slice(2)).toEqual([
      ['WAIT', '2', '5000'],
      ['WAITAOF', '1', '0', '7'],
    ]);
    replies = { ...replies, WAITAOF: [0, 0] };
    await expect(failuresOf(sink, records)).rejects.toMatchObject({ kind: 'unavailable' });
    replies = { ...replies, WAIT: 1 };
    await expect(failuresOf(sink, records)).rejects.toMatchObject({ kind: 'unavailable' });
    replies = { ...replies, WAIT: new Error("ERR unknown command 'WAIT'") };
    await expect(failuresOf(sink, records)).rejects.toMatchObject({ kind: 'unauthorized' });
  });

  it('no answer in time is the destination’s fault; an aborted batch is nobody’s', async () => {
    const client = { call: () => new Promise<never>(() => undefined) };
    const sink = redisSink({ client, stream: 's', ackTimeoutMs: 5 });
    await expect(failuresOf(sink, [recordOf(1, 'a')])).rejects.toMatchObject({ kind: 'unavailable' });
    const reason = new Error('over');
    const context = { signal: AbortSignal.abort(reason), queue: 'wal' };
    await expect(sink.deliver([recordOf(1, 'a')], context)).rejects.toBe(reason);
  });

  it('says what is wrong with its options', () => {
    const client = { call: async () => 1 };
    for (const options of [
      undefined,
      {},
      { client, stream: '' },
      { client: {}, stream: 's' },
      { client, stream: 's', ids: 'own' },
      { client, stream: 's', wait: { replica: 1 } },
      { client, stream: 's', maxLen: '7' },
      { client, stream: 's', steam: 't' },
    ]) {
      expect(() => Reflect.apply(redisSink, undefined, [options])).toThrow(TypeError);
    }
    for (const wrong of [
      { maxLen: 0 },
      { wait: { replicas: 0 } },
      { waitAof: { replicas: -1 } },
      { ackTimeoutMs: 0 },
      { ackTimeoutMs: 2 ** 31 },
    ]) {
      expect(() => redisSink({ client, stream: 's', ...wrong })).toThrow(RangeError);
    }
    redisSink({ client, stream: 's', ackTimeoutMs: 2 ** 31 - 1 });
    expect(() => redisSink({ client, stream: 's', waitAof: JSON.parse('{"local":2}') })).toThrow(RangeError);
  });
});
