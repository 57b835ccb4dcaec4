/** Metadata blocks (FORMAT.md, 6): the first is what it should be, the others are not. */
import { encode } from '@msgpack/msgpack';

function deep(byte: number, times: number): Buffer {
  return Buffer.alloc(times, byte);
}

const HUGE = [0xff, 0xff, 0xff, 0xff];
const key = (name: string): number[] => [0xa1, name.charCodeAt(0)];

export const bombs: readonly Buffer[] = [
  Buffer.from(encode({ h: { k: 'v' }, a: 1 })),
  // Arrays and maps in one another.
  deep(0x91, 20_000),
  deep(0x81, 20_000),
  Buffer.concat([Buffer.from([0x81, ...key('h')]), deep(0x91, 5000), Buffer.from([0xc0])]),
  // More than is there.
  Buffer.from([0xdf, ...HUGE]),
  Buffer.from([0xdd, ...HUGE]),
  Buffer.from([0xdb, ...HUGE]),
  Buffer.from([0xc6, ...HUGE]),
  Buffer.from([0xc9, ...HUGE, 1]),
  Buffer.from([0x81, ...key('h'), 0xdf, ...HUGE]),
  Buffer.from([0x81, ...key('o'), 0xdd, ...HUGE]),
  // Nothing, something else, and bytes behind.
  Buffer.alloc(0),
  Buffer.from([0xc1]),
  Buffer.from([0x80, 0x80]),
  Buffer.from(encode('text')),
  // Times that are no dates, numbers that are none, keys with a meaning in JavaScript.
  Buffer.from(encode({ o: ['wal', 1, Number.NaN], d: Number.POSITIVE_INFINITY, a: -1, v: 1.5 })),
  Buffer.from(encode({ o: ['wal', 2 ** 53 - 2, 2 ** 60], f: [2 ** 60, -(2 ** 60)], d: 2 ** 62 })),
  Buffer.from(encode({ o: ['../../outside', 1, 1], i: ['../../outside', 1] })),
  Buffer.from([0x81, ...key('o'), 0x93, 0xa3, 0x77, 0x61, 0x6c, 0xcf, ...HUGE, ...HUGE, 0xcf, ...HUGE, ...HUGE]),
  Buffer.from(
    encode({ h: JSON.parse('{"__proto__": "x", "constructor": "y", "toString": "z"}') as Record<string, string> }),
  ),
  Buffer.from([0x81, 0xa9, ...Buffer.from('__proto__'), 0x81, ...key('h'), 0x01]),
  Buffer.from(
    encode({
      e: { message: 'm', cause: { message: 'n', cause: { message: 'o' } }, errors: [{ message: 1 }, 2, null] },
    }),
  ),
  Buffer.from(encode({ m: 'id', c: ['source', 'position', 2 ** 53 - 1] })),
  Buffer.from(encode({ m: 'x'.repeat(5000), c: ['source', {}, -1] })),
  Buffer.from([0x81, ...key('d'), 0xd7, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]),
];
