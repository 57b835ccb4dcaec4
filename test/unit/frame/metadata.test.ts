import { encode } from '@msgpack/msgpack';
import { describe, expect, it } from 'vitest';
import { decodeMeta, encodeMeta, type RecordMeta } from '../../../src/frame/metadata.js';

const full: RecordMeta = {
  headers: { 'content-type': 'application/json', empty: '', grüße: '\u{1f4ee}', __proto: 'x' },
  origin: { queue: 'wal', id: Number.MAX_SAFE_INTEGER, timestamp: 1_767_225_600_123 },
  reason: 'no route',
  error: { name: 'TypeError', message: 'it broke', code: 'E_BROKE' },
  attempts: 3,
  dueMs: 1_767_225_700_000,
  redrives: 2,
};

describe('metadata', () => {
  it('P3: comes back as it was given, all of it or any part', () => {
    expect(decodeMeta(encodeMeta(full))).toEqual(full);
    expect(decodeMeta(encodeMeta({}))).toEqual({});
    for (const key of ['headers', 'origin', 'reason', 'error', 'attempts', 'dueMs', 'redrives'] as const) {
      const part: RecordMeta = { [key]: full[key] };
      expect(decodeMeta(encodeMeta(part))).toEqual(part);
    }
    expect(decodeMeta(encodeMeta({ error: { message: 'only that' } }))).toEqual({ error: { message: 'only that' } });
  });

  it('a value of an unexpected type counts as absent and keeps nothing else from its reader', () => {
    const strange = encode({
      h: { good: 'yes', bad: 7 },
      o: ['wal', 'seven', 1],
      r: 1,
      e: { name: 'no message' },
      a: '3',
      d: null,
      v: 4,
      later: 'a key of a later version',
    });
    expect(decodeMeta(strange)).toEqual({ headers: { good: 'yes' }, redrives: 4 });
  });

  it.each([Number.NaN, Infinity, -Infinity, -1, 0.5, 2 ** 53, 1e300])(
    'a number that no count can be counts as absent: %d',
    (value) => {
      const strange = encode({ o: ['wal', value, 1], a: value, v: value, r: 'why' });
      expect(decodeMeta(strange)).toEqual({ reason: 'why' });
    },
  );

  it.each([Number.NaN, Infinity, -Infinity])('a number that no time can be counts as absent: %d', (value) => {
    const strange = encode({ o: ['wal', 7, value], d: value, r: 'why' });
    expect(decodeMeta(strange)).toEqual({ reason: 'why' });
  });

  it('bytes that are no map are no metadata, and no error', () => {
    for (const bytes of [
      encode([1, 2]),
      encode('text'),
      encode(null),
      Buffer.from([0xc1]),
      Buffer.alloc(0),
      Buffer.from([0x81]),
    ]) {
      expect(decodeMeta(bytes)).toEqual({});
    }
  });

  it('what is nested more than 64 deep is no metadata, and no error, however deep it is', () => {
    /** A reason, and under another key arrays of one in each other: `x` is 1 deep. */
    const nested = (arrays: number): Uint8Array =>
      Buffer.concat([
        Buffer.from([0x82, 0xa1, 0x72, 0xa3]),
        Buffer.from('why'),
        Buffer.from([0xa1, 0x78]),
        Buffer.alloc(arrays, 0x91),
        Buffer.from([1]),
      ]);
    expect(decodeMeta(nested(63))).toEqual({ reason: 'why' });
    expect(decodeMeta(nested(64))).toEqual({});
    expect(decodeMeta(nested(100_000))).toEqual({});
  });
});
