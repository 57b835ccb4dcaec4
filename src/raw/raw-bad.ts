/** A range of a file in which no valid commit stands. */
import { KIND_RECORDS } from '../frame/commit-header.js';
import type { CommitScanner } from '../frame/commit-scanner.js';

/** Damage, or behind the last commit a torn tail, zeros, or leftovers of the file's former life. */
export interface RawBad {
  readonly kind: 'bad';
  readonly offset: number;
  readonly bytes: number;
  /** The header's checksum holds and only the body's does not: then, in a segment, the next two say what it held. */
  readonly headerIntact: boolean;
  readonly firstId?: number;
  readonly count?: number;
  readonly allZero: boolean;
}

/** That on which the scanner stands. */
export function badOf({ bad, header }: CommitScanner): RawBad {
  const { offset, end, headerIntact, allZero } = bad;
  const held = headerIntact && header.kind === KIND_RECORDS ? { firstId: header.firstId, count: header.count } : {};
  return { kind: 'bad', offset, bytes: end - offset, headerIntact, ...held, allZero };
}
