/** The sink for JetStream, with a server that is made up; `test/forward/nats.test.ts` has a real one. */
import { describe, expect, it } from 'vitest';
import { natsSink } from '../../../src/forward/nats.js';
import type { Sink } from '../../../src/forward.js';
import { CONTEXT, failuresOf, recordOf } from './sink-fixture.js';

type Headers = Map<string, string>;

interface Message {
  readonly subject: string;
  readonly text: string;
  readonly headers: Record<string, string>;
  readonly isAsked: boolean;
}

const OK = { stream: 'S', seq: 1 };

/** A connection that answers by what it is told to: an object is JSON, a text is sent as it is, an error is thrown. */
function newConnection(answer: (message: Message) => unknown = () => OK) {
  const messages: Message[] = [];
  let flushes: () => Promise<void> = async () => undefined;
  const note = (subject: string, payload: Uint8Array, headers: Headers | undefined, isAsked: boolean): Message => {
    const text = Buffer.from(payload).toString();
    const message = { subject, text, headers: Object.fromEntries(headers ?? []), isAsked };
    messages.push(message);
    return message;
  };
  const connection = {
    request: async (subject: string, payload: Uint8Array, { headers }: { timeout: number; headers?: Headers }) => {
      const answered = answer(note(subject, payload, headers, true));
      if (answered instanceof Error) throw answered;
      return { data: Buffer.from(typeof answered === 'string' ? answered : JSON.stringify(answered)) };
    },
    publish: (subject: string, payload: Uint8Array, { headers }: { headers: Headers }) => {
      note(subject, payload, headers, false);
    },
    flush: () => flushes(),
  };
  const sink = (options: { mode?: 'single' | 'atomic'; stream?: string } = {}): Sink =>
    natsSink({ connection, headers: () => new Map<string, string>(), subject: 'orders', ...options });
  return {
    connection,
    messages,
    sink,
    failFlush: (error: Error) => {
      flushes = () => Promise.reject(error);
    },
  };
}

function named(name: string, message: string, cause?: unknown): Error {
  return Object.assign(new Error(message, { cause }), { name });
}

const errorOf = (code: number, errCode: number, description: string): unknown => ({
  error: { code, err_code: errCode, description },
});

describe('natsSink', () => {
  it('publishes each with the deliveryId as Nats-Msg-Id, and only such headers as can be', async () => {
    const { sink, messages } = newConnection();
    const headers = { a: 'b', 'bad name': 'x', bad: 'x\ny', 'Nats-Rollup': 'all', 'nats-msg-id': 'mine' };
    const records = [recordOf(1, 'one', { headers, key: 'k' }), recordOf(2, 'two')];
    expect(await failuresOf(sink({ stream: 'S' }), records)).toEqual([]);
    const own = { 'Nats-Msg-Id': 's:wal:1', 'Nats-Expected-Stream': 'S' };
    expect(messages).toEqual([
      { subject: 'orders', text: 'one', headers: { a: 'b', 'evaq-key': 'k', ...own }, isAsked: true },
      { subject: 'orders', text: 'two', headers: { ...own, 'Nats-Msg-Id': 's:wal:2' }, isAsked: true },
    ]);
  });

  it('has arrived what JetStream says it has, and nothing else', async () => {
    const answers: Record<string, [unknown, string, string?]> = {
      duplicate: [{ ...OK, duplicate: true }, 'ok'],
      empty: ['', 'unavailable'],
      text: ['hello', 'unavailable'],
      json: [{ hello: 1 }, 'unavailable'],
      null: [null, 'unavailable'],
      full: [errorOf(503, 10_077, 'maximum messages exceeded'), 'unavailable'],
      large: [errorOf(400, 10_054, 'message size exceeds maximum allowed'), 'rejected', 'too-large'],
      other: [errorOf(400, 10_060, 'expected stream does not match'), 'unauthorized'],
      bad: [errorOf(400, 10_071, 'wrong last sequence'), 'rejected', '10071'],
      nobody: [named('RequestError', 'no responders', named('NoRespondersError', 'x')), 'unavailable'],
      late: [named('TimeoutError', 'timeout'), 'unavailable'],
      closed: [named('ClosedConnectionError', 'closed connection'), 'unavailable'],
      denied: [named('RequestError', 'x', named('PermissionViolationError', 'Permissions Violation')), 'unauthorized'],
      expired: [named('UserAuthenticationExpiredError', 'expired'), 'unauthorized'],
      payload: [named('InvalidArgumentError', "'payload' max_payload size exceeded"), 'rejected', 'too-large'],
      subject: [named('InvalidSubjectError', "illegal subject: 'a b'"), 'rejected', 'subject'],
    };
    const { sink } = newConnection(({ text }) => answers[text]?.[0]);
    const names = Object.keys(answers);
    const said = new Map(
      (
        await failuresOf(
          sink(),
          names.map((name, i) => recordOf(i, name)),
        )
      ).map((one) => [one.id, one]),
    );
    names.forEach((name, i) => {
      const [, kind, reason] = answers[name] ?? [];
      expect(said.get(i)?.kind ?? 'ok', name).toBe(kind);
      if (reason !== undefined) expect(said.get(i)?.reason, name).toBe(reason);
    });
  });

  it("mode: 'atomic': one batch, its first and its last are answered", async () => {
    const { sink, messages } = newConnection(({ headers }) =>
      headers['Nats-Batch-Commit'] === '1' ? { ...OK, batch: headers['Nats-Batch-Id'], count: 4 } : '',
    );
    const atomic = sink({ mode: 'atomic' });
    expect(atomic.limits).toEqual({ maxRecords: 1000 });
    expect(
      await failuresOf(
        atomic,
        [1, 2, 3, 4].map((id) => recordOf(id, `${id}`)),
      ),
    ).toEqual([]);
    const [first] = messages;
    const batch = { 'Nats-Batch-Id': first?.headers['Nats-Batch-Id'] };
    expect(messages.map(({ headers, isAsked }) => [headers, isAsked])).toEqual([
      [{ 'Nats-Msg-Id': 's:wal:1', 'Nats-Batch-Sequence': '1', ...batch }, true],
      [{ 'Nats-Msg-Id': 's:wal:2', 'Nats-Batch-Sequence': '2', ...batch }, false],
      [{ 'Nats-Msg-Id': 's:wal:3', 'Nats-Batch-Sequence': '3', ...batch }, false],
      [{ 'Nats-Msg-Id': 's:wal:4', 'Nats-Batch-Sequence': '4', 'Nats-Batch-Commit': '1', ...batch }, true],
    ]);
  });

  it("mode: 'atomic': what holds a duplicate goes singly; a record alone is no batch", async () => {
    const { sink, messages } = newConnection(({ headers }) => {
      if (headers['Nats-Batch-Commit'] === '1') return errorOf(400, 10_201, 'contains duplicate message id');
      return headers['Nats-Batch-Id'] === undefined ? OK : '';
    });
    const atomic = sink({ mode: 'atomic' });
    expect(await failuresOf(atomic, [recordOf(1, 'a'), recordOf(2, 'b')])).toEqual([]);
    expect(messages.map(({ headers }) => headers['Nats-Batch-Sequence'])).toEqual(['1', '2', undefined, undefined]);
    expect(await failuresOf(atomic, [recordOf(3, 'c')])).toEqual([]);
    expect(messages.at(-1)?.headers).toEqual({ 'Nats-Msg-Id': 's:wal:3' });
  });

  it("mode: 'atomic': a server or a stream that has no batches stops it; a batch that is refused is thrown", async () => {
    const records = [recordOf(1, 'a'), recordOf(2, 'b')];
    for (const [answer, kind] of [
      [OK, 'unauthorized'],
      [errorOf(400, 10_174, 'atomic publish is disabled'), 'unauthorized'],
      [errorOf(503, 10_077, 'maximum messages exceeded'), 'unavailable'],
      [errorOf(400, 10_054, 'message size exceeds maximum allowed'), 'rejected'],
    ]) {
      const { sink, messages } = newConnection(() => answer);
      await expect(failuresOf(sink({ mode: 'atomic' }), records)).rejects.toMatchObject({ kind });
      expect(messages, 'nothing follows').toHaveLength(1);
    }
    // Committed by nobody: the answer names no batch.
    const { sink } = newConnection(({ headers }) => (headers['Nats-Batch-Commit'] === '1' ? OK : ''));
    await expect(failuresOf(sink({ mode: 'atomic' }), records)).rejects.toMatchObject({ kind: 'unauthorized' });
  });

  it('a probe is a round trip to the server', async () => {
    const { sink, failFlush } = newConnection();
    await sink().probe?.(CONTEXT);
    failFlush(named('ClosedConnectionError', 'closed connection'));
    await expect(sink().probe?.(CONTEXT)).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('what `subject` gives that is none is the record’s', async () => {
    const { connection } = newConnection();
    const subject = ({ id }: { id: number }): string => (id === 1 ? '' : 'fine');
    const sink = natsSink({ connection, headers: () => new Map<string, string>(), subject });
    expect(await failuresOf(sink, [recordOf(1, 'a'), recordOf(2, 'b')])).toMatchObject([{ id: 1, kind: 'other' }]);
  });

  it('says what is wrong with its options', () => {
    const { connection } = newConnection();
    const fine = { connection, headers: () => new Map<string, string>(), subject: 's' };
    for (const options of [
      undefined,
      {},
      { ...fine, connection: {} },
      { ...fine, headers: undefined },
      { ...fine, headers: {} },
      { ...fine, subject: '' },
      { ...fine, mode: 'both' },
      { ...fine, stream: 7 },
      { ...fine, subjects: ['s'] },
    ]) {
      expect(() => Reflect.apply(natsSink, undefined, [options])).toThrow(TypeError);
    }
    expect(() => natsSink({ ...fine, ackTimeoutMs: 0 })).toThrow(RangeError);
  });
});
