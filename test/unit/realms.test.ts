/** Values and errors of another realm, as Jest gives them: made in a context of their own, where every class is another one. */
import { runInNewContext } from 'node:vm';
import { describe, expect, test, vi } from 'vitest';
import { codeOf, EvaqError, ioError, isNoSpace, isNotFound, isPassing, messageOf } from '../../src/errors.js';
import { Evaq } from '../../src/evaq.js';
import { SyncFailure } from '../../src/fail-stop.js';
import type { Payload } from '../../src/queue/push-entry.js';
import type { Vfs } from '../../src/vfs/vfs.js';
import { newDisk, openSim, rejection, SIM_PATH } from './store/store-fixture.js';

/** The same error, made there. */
function abroad(error: unknown): unknown {
  const { message, code, errno, syscall } = Object(error);
  return runInNewContext('Object.assign(new Error(message), { code, errno, syscall })', {
    message,
    code,
    errno,
    syscall,
  });
}

/** A file system all of whose errors are of another realm. */
function foreign<T extends object>(port: T): T {
  return new Proxy(port, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key);
      if (typeof value === 'object' && value !== null) return foreign(value);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        try {
          const result: unknown = Reflect.apply(value, target, args);
          if (typeof result !== 'object' || result === null || !('then' in result)) return result;
          return Promise.resolve(result).then(
            (one: unknown) => (typeof one === 'object' && one !== null && !Array.isArray(one) ? foreign(one) : one),
            (error: unknown) => {
              throw abroad(error);
            },
          );
        } catch (error) {
          throw abroad(error);
        }
      };
    },
  });
}

describe('errors of another realm', () => {
  const notFound: unknown = runInNewContext("Object.assign(new Error('gone'), { code: 'ENOENT', errno: -2 })");

  test('are what their code and number say', () => {
    expect(Object(notFound) instanceof Error).toBe(false);
    expect([codeOf(notFound), messageOf(notFound), isNotFound(notFound)]).toEqual(['ENOENT', 'gone', true]);
    const full: unknown = runInNewContext("Object.assign(new Error('full'), { code: 'ENOSPC', errno: -28 })");
    expect([isNoSpace(full), isPassing(full), ioError(full, 'writing').code]).toEqual([true, true, 'EVAQ_NO_SPACE']);
    expect(ioError(notFound, 'reading').message).toBe('input/output error while reading: gone');
    expect(new SyncFailure(notFound, '/x').message).toBe('gone');
  });

  test.each([undefined, null, 'text', 7, {}, { code: 5 }, { code: 'ENOENT' }, { errno: -2 }])(
    '%j is none of the operating system',
    (thrown) => {
      expect([isNotFound(thrown), isNoSpace(thrown), isPassing(thrown)]).toEqual([false, false, false]);
      expect(ioError(thrown, 'reading').code).toBe('EVAQ_IO');
    },
  );

  test('P1, P14: a store on a file system that throws them is made, fails as it should, and goes on', async () => {
    const disk = newDisk();
    const vfs: Vfs = foreign(disk.vfs);
    const evaq = await Evaq.open(SIM_PATH, { ports: { vfs, host: disk.host } });
    await evaq.wal.push('one');
    disk.fault({ on: ['write', 'writeBlocking'], path: /\.seg/, error: 'ENOSPC', nth: 1 });
    await rejection(evaq.wal.push('two'), 'EVAQ_NO_SPACE');
    await evaq.wal.push('three');
    expect((await evaq.wal.read()).map(({ payload }) => payload.toString())).toEqual(['one', 'three']);
    await evaq.close();
    await rejection(Evaq.openReadOnly('/nothing', { ports: { vfs, host: disk.host } }), 'EVAQ_NOT_A_STORE');
  });
});

describe('values of another realm', () => {
  const bytes = (expression: string): Payload => runInNewContext(expression);

  test.each([
    'new Uint8Array([1, 2, 3])',
    'new Uint8Array(new ArrayBuffer(8), 2, 3).fill(7)',
    'new Uint8Array(new SharedArrayBuffer(3)).fill(9)',
    'new (class extends Uint8Array { static get [Symbol.species]() { return Array; } })([4, 5, 6])',
  ])('%s is a payload, also where it has to wait for room', async (expression) => {
    const payload = bytes(expression);
    const disk = newDisk();
    const evaq = await openSim(disk, { maxPendingBytes: 1 });
    await Promise.all([evaq.wal.push(payload), evaq.wal.push(payload), evaq.wal.pushMany([payload])]);
    const found = await evaq.wal.read();
    expect(found.map((record) => [...record.payload])).toEqual(
      Array.from({ length: 3 }, () => [...Buffer.from(payload)]),
    );
    await evaq.close();
  });

  test.each(['new Uint16Array(2)', 'new ArrayBuffer(2)', 'new DataView(new ArrayBuffer(2))', '({ length: 1, 0: 1 })'])(
    '%s is not',
    async (expression) => {
      const evaq = await openSim(newDisk());
      await expect(evaq.wal.push(bytes(expression))).rejects.toThrow(TypeError);
      await evaq.close();
    },
  );

  test('arrays, promises and what was thrown are taken as they are', async () => {
    const evaq = await openSim(newDisk());
    await evaq.wal.pushMany(runInNewContext('["a", "b", "c"]'));
    const error: unknown = runInNewContext(
      "Object.assign(new TypeError('boom'), { code: 'E1', cause: new Error('why') })",
    );
    const letter = await evaq.deadLetter(1, { reason: 'test', error });
    expect((await evaq.deadLetters.get(letter))?.error).toEqual({
      name: 'TypeError',
      message: 'boom',
      code: 'E1',
      cause: { name: 'Error', message: 'why' },
    });
    expect(await evaq.redrive(runInNewContext('() => Promise.resolve(false)'))).toEqual([]);
    expect(await evaq.wal.removeMany(runInNewContext('[2, 3]'))).toBe(2);
    const stop: unknown = runInNewContext('new Error("enough")');
    const aborted = new AbortController();
    aborted.abort(stop);
    await expect(evaq.wal.tail({ signal: aborted.signal }).next()).rejects.toBe(stop);
    await evaq.close();
  });
});

describe('EvaqError of another copy of the package', () => {
  test('is an EvaqError to instanceof, and nothing else is', async () => {
    vi.resetModules();
    const other = await import('../../src/errors.js');
    expect(other.EvaqError).not.toBe(EvaqError);
    const error = new other.EvaqError('EVAQ_CLOSED', 'closed');
    expect([error instanceof EvaqError, new EvaqError('EVAQ_IO', 'x') instanceof other.EvaqError]).toEqual([
      true,
      true,
    ]);
    expect(ioError(error, 'closing')).toBe(error);
    class Special extends EvaqError {}
    expect([error instanceof Special, new Special('EVAQ_IO', 'x') instanceof Special]).toEqual([false, true]);
    expect(new Special('EVAQ_IO', 'x') instanceof other.EvaqError).toBe(true);
    for (const no of [undefined, null, 1, 'x', {}, new Error('x'), { name: 'EvaqError', code: 'EVAQ_IO' }]) {
      expect(Object(no) instanceof EvaqError).toBe(false);
    }
    expect(Reflect.ownKeys(error)).not.toContain(Symbol.for('evaq.EvaqError'));
  });
});
