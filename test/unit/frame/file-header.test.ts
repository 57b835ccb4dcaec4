import { describe, expect, it } from 'vitest';
import { crc32 } from '../../../src/checksum.js';
import {
  decodeFileHeader,
  encodeFileHeader,
  FILE_HEADER_BYTES,
  type FileHeader,
  fileSeed,
} from '../../../src/frame/file-header.js';

const header: FileHeader = {
  kind: 'segment',
  flags: 5,
  storeUuid: Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex'),
  fileId: Number.MAX_SAFE_INTEGER,
  baseId: 2 ** 40 + 7,
  idHighWater: 2 ** 33,
  createdMs: 1_767_225_600_123,
  salt: 0xfedc_ba98,
};

/** Another major version in copy `which`, its checksum made good as a newer evaq would. */
function ofVersion(bytes: Buffer, which: 0 | 1, major: number): void {
  const copy = bytes.subarray(which * 64, which * 64 + 64);
  copy.writeUInt8(major, 4);
  copy.writeUInt32LE(crc32(copy.subarray(0, 60)), 60);
}

describe('a file header', () => {
  it('comes back as it was written, with its seed', () => {
    const bytes = encodeFileHeader(header);
    expect(bytes.length).toBe(FILE_HEADER_BYTES);
    expect(decodeFileHeader(bytes, 'segment')).toEqual({ kind: 'ok', header, seed: fileSeed(header), damaged: false });
  });

  it('P9: is readable and reported as damaged whichever bit of either copy has flipped', () => {
    const intact = encodeFileHeader(header);
    for (let bit = 0; bit < intact.length * 8; bit++) {
      const bytes = Buffer.from(intact);
      bytes[bit >>> 3] = (bytes[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
      expect(decodeFileHeader(bytes, 'segment')).toEqual({ kind: 'ok', header, seed: fileSeed(header), damaged: true });
    }
  });

  it('survives the loss of either copy, and is bad without both', () => {
    for (const at of [0, 64]) {
      const bytes = encodeFileHeader(header);
      bytes.fill(0xff, at, at + 64);
      expect(decodeFileHeader(bytes, 'segment')).toMatchObject({ kind: 'ok', damaged: true });
    }
    expect(decodeFileHeader(encodeFileHeader(header).fill(0xff), 'segment')).toEqual({ kind: 'bad' });
  });

  it('a newer major version is unsupported and never corruption', () => {
    const bytes = encodeFileHeader(header);
    ofVersion(bytes, 0, 200);
    ofVersion(bytes, 1, 200);
    expect(decodeFileHeader(bytes, 'segment')).toEqual({ kind: 'unsupported', major: 200 });
    bytes.fill(0xff, 0, 64);
    expect(decodeFileHeader(bytes, 'segment')).toEqual({ kind: 'unsupported', major: 200 });
  });

  it('a version byte that only rotted is damage, not a newer version', () => {
    const bytes = encodeFileHeader(header);
    bytes.writeUInt8(9, 4);
    bytes.writeUInt8(9, 64 + 4);
    expect(decodeFileHeader(bytes, 'segment')).toEqual({ kind: 'bad' });
  });

  it('nothing but zeros, or less than a header, is blank: normal for the newest file after a crash', () => {
    for (const length of [0, 1, 63, FILE_HEADER_BYTES, 4096]) {
      expect(decodeFileHeader(Buffer.alloc(length), 'segment')).toEqual({ kind: 'blank' });
    }
    expect(decodeFileHeader(encodeFileHeader(header).subarray(0, 40), 'segment')).toEqual({ kind: 'blank' });
    const withOneByte = Buffer.alloc(FILE_HEADER_BYTES);
    withOneByte[127] = 1;
    expect(decodeFileHeader(withOneByte, 'segment')).toEqual({ kind: 'bad' });
  });

  it('of another kind of file is bad', () => {
    expect(decodeFileHeader(encodeFileHeader(header), 'tombstones')).toEqual({ kind: 'bad' });
    expect(decodeFileHeader(encodeFileHeader({ ...header, kind: 'store' }), 'segment')).toEqual({ kind: 'bad' });
  });

  it('a number past the safe integers is damage, never rounded', () => {
    for (const at of [24, 32, 40]) {
      const bytes = encodeFileHeader(header);
      for (const copy of [bytes.subarray(0, 64), bytes.subarray(64)]) {
        copy.writeBigUInt64LE(2n ** 53n, at);
        copy.writeUInt32LE(crc32(copy.subarray(0, 60)), 60);
      }
      expect(decodeFileHeader(bytes, 'segment')).toEqual({ kind: 'bad' });
    }
  });

  it('P3: the seed differs with the kind, the store, the file ID and the salt, and with nothing else', () => {
    const others: FileHeader[] = [
      { ...header, kind: 'tombstones' },
      { ...header, storeUuid: Buffer.alloc(16) },
      { ...header, fileId: 1 },
      { ...header, salt: 1 },
    ];
    expect(new Set([header, ...others].map(fileSeed)).size).toBe(5);
    expect(fileSeed({ ...header, flags: 0, baseId: 1, idHighWater: 2, createdMs: 3 })).toBe(fileSeed(header));
  });
});
