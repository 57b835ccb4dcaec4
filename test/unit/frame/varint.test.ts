import { describe, expect, it } from 'vitest';
import {
  readVarint,
  VARINT_BYTES_MAX,
  VarintWriter,
  varintBytes,
  varintCursor,
  writeVarint,
} from '../../../src/frame/varint.js';

const borders: number[] = [0, 1];
for (let bits = 7; bits <= 49; bits += 7) borders.push(2 ** bits - 1, 2 ** bits, 2 ** bits + 1);
borders.push(2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER);

describe('a varint', () => {
  it.each(borders)('%d comes back, in as many bytes as were foretold', (value) => {
    const bytes = new Uint8Array(VARINT_BYTES_MAX + 1);
    const end = writeVarint(bytes, 0, value);
    expect(end).toBe(varintBytes(value));
    expect(end).toBeLessThanOrEqual(VARINT_BYTES_MAX);
    const cursor = varintCursor(bytes, 0, end);
    expect(readVarint(cursor)).toBe(value);
    expect(cursor).toMatchObject({ at: end, failed: false });
  });

  it('that is cut off fails, and so does all that is read behind it', () => {
    for (const value of borders.filter((one) => one >= 128)) {
      const bytes = new Uint8Array(VARINT_BYTES_MAX);
      const end = writeVarint(bytes, 0, value);
      for (let held = 0; held < end; held++) {
        const cursor = varintCursor(bytes, 0, held);
        readVarint(cursor);
        expect(cursor.failed).toBe(true);
      }
    }
  });

  it('past 2^53 - 1 fails and is never rounded', () => {
    const tooLarge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x10];
    const cursor = varintCursor(Uint8Array.from(tooLarge), 0, 8);
    readVarint(cursor);
    expect(cursor.failed).toBe(true);
    const endless = varintCursor(new Uint8Array(20).fill(0x80), 0, 20);
    readVarint(endless);
    expect(endless.failed).toBe(true);
  });

  it('a run of them grows as it must', () => {
    const writer = new VarintWriter();
    const values = Array.from({ length: 3000 }, (_, i) => (i * 2_654_435_761) % Number.MAX_SAFE_INTEGER);
    for (const value of values) writer.push(value);
    const bytes = writer.bytes();
    expect(bytes.length).toBe(writer.length);
    const cursor = varintCursor(bytes, 0, bytes.length);
    expect(values.map(() => readVarint(cursor))).toEqual(values);
    expect(cursor).toMatchObject({ at: bytes.length, failed: false });
  });
});
