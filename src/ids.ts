/**
 * The integers that name things. On disk all of them are 64 bits wide, little-endian; in memory they are safe integers,
 * so a value past 2^53 - 1 in a file is treated as damage, never rounded.
 */

/** Names one segment file of a store. Store-wide, increasing, never reused. */
export type SegmentId = number & { readonly __segmentId: never };

/** The only way to make a `SegmentId`. */
export function segmentId(value: number): SegmentId {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`segment ID must be a safe integer, got ${value}`);
  return value as SegmentId;
}

/** The first ID of a queue. */
export const FIRST_RECORD_ID = 1;

/**
 * The ID that the next record gets is at most this, and then there is none any more: the largest ID of a record is the one before. So the ID behind
 * any record can be written down.
 */
export const NEXT_ID_MAX: number = Number.MAX_SAFE_INTEGER;

/** The next ID where all below are given out, or may be: whatever a file says, none is past the end. */
export function nextIdBehind(...given: readonly number[]): number {
  return Math.min(Math.max(...given), NEXT_ID_MAX);
}

/** A closed range of record IDs: both ends belong to it. */
export interface IdRange {
  readonly first: number;
  readonly last: number;
}

/** The IDs of records that were pushed together. */
export interface IdSpan {
  readonly firstId: number;
  readonly lastId: number;
}

/** A number that stands this far above all others was given by nobody: no store lives long enough to get there. */
const STRAY_GAP: number = 2 ** 40;

/**
 * The highest of numbers that are given out in order: `vouched` stands in a file that is intact, the others in the names of files, which anybody can
 * make. A name that is far above all the rest is a stray, and does not count: behind it there might be no number left.
 */
export function highestGiven(vouched: number, named: Iterable<number>): number {
  let highest = vouched;
  for (const one of [...named].sort((a, b) => a - b)) {
    if (one > highest + STRAY_GAP) break;
    highest = Math.max(highest, one);
  }
  return highest;
}

const TWO_32 = 0x1_0000_0000;

export function writeU64(target: Buffer, value: number, offset: number): void {
  target.writeUInt32LE(value >>> 0, offset);
  target.writeUInt32LE(Math.floor(value / TWO_32), offset + 4);
}

/** Reads an unsigned 64-bit integer; `-1` where it is past the safe integers (the caller's validity check refuses it). */
export function readU64(source: Buffer, offset: number): number {
  const high = source.readUInt32LE(offset + 4);
  if (high > 0x1f_ffff) return -1;
  return high * TWO_32 + source.readUInt32LE(offset);
}

/** Throws a `TypeError` or `RangeError` that names the argument unless `value` is a record ID. */
export function requireRecordId(value: unknown, argument: string): asserts value is number {
  if (typeof value !== 'number')
    throw new TypeError(`${argument} must be a record ID (a number), got ${describe(value)}`);
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${argument} must be a record ID (a safe integer from 0 up), got ${value}`);
  }
}

/** Throws a `TypeError` or `RangeError` that names the argument unless `value` is a whole number of at least `min`. */
export function requireCount(value: unknown, argument: string, min: number): asserts value is number {
  if (typeof value !== 'number') throw new TypeError(`${argument} must be a number, got ${describe(value)}`);
  if (!Number.isSafeInteger(value) || value < min) {
    throw new RangeError(`${argument} must be a whole number of at least ${min}, got ${value}`);
  }
}

/** `record 7`, or `records 7 to 9`. */
export function recordsText(first: number, last: number): string {
  return first === last ? `record ${first}` : `records ${first} to ${last}`;
}

/** The name of a store as it is written. */
export function uuidText(uuid: Buffer): string {
  return uuid.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** A short, safe rendering of a wrong argument for an error message. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return value.length > 40 ? `a string of ${value.length} characters` : JSON.stringify(value);
    case 'object':
      return value === null ? 'null' : `an object (${classNameOf(value)})`;
    case 'function':
      return 'a function';
    case 'bigint':
      return `${value}n`;
    case 'symbol':
      return value.toString();
    case 'number':
    case 'boolean':
      return String(value);
    default:
      return 'undefined';
  }
}

/** Looking at what a caller gives may throw: a getter, or a proxy that was revoked. */
function classNameOf(value: object): string {
  try {
    const name: unknown = value.constructor?.name;
    return typeof name === 'string' && name !== '' ? name : 'no prototype';
  } catch {
    return 'that cannot be looked at';
  }
}
