/**
 * Names of the tombstone logs in a queue's folder: `<generation, 16 hex>.tomb`, and `.tomb.tmp` for one in the making, which is swept at the
 * next open.
 */
import { crc32 } from '../checksum.js';

export interface TombstoneFileName {
  readonly kind: 'log' | 'unfinished';
  readonly generation: number;
}

const LOG = /^([0-9a-f]{16})\.tomb(\.tmp)?$/;

export function tombstoneFileName(generation: number): string {
  return `${generation.toString(16).padStart(16, '0')}.tomb`;
}

export function unfinishedTombstoneFileName(generation: number): string {
  return `${tombstoneFileName(generation)}.tmp`;
}

export function parseTombstoneFileName(name: string): TombstoneFileName | undefined {
  const match = LOG.exec(name);
  if (match?.[1] === undefined) return undefined;
  const generation = Number.parseInt(match[1], 16);
  if (!Number.isSafeInteger(generation)) return undefined;
  return { kind: match[2] === undefined ? 'log' : 'unfinished', generation };
}

/** What a log says of the queue that it belongs to: CRC-32 of the name of the folder it is in. Generations of all queues count alike. */
export function queueMark(path: string): number {
  return crc32(Buffer.from(path.split('/').at(-2) ?? '', 'utf8'));
}
