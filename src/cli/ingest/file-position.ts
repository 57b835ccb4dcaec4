/**
 * How far a file has been read, as it stands in a checkpoint: which file, by its inode and by a hash of the bytes before the place; so one that has another
 * name since is found, and one that has only got the inode, or was truncated and written anew, is told from it.
 */
import { createHash } from 'node:crypto';
import type { Inside } from './line-cutter.js';

export interface FilePosition {
  readonly inode: string;
  readonly offset: number;
  /** Of the last `MARK_BYTES` bytes before the offset; '' at the beginning. */
  readonly mark: string;
  /** When the file was written last, in ms since the epoch. */
  readonly writtenMs: number;
  /** When it was made, which decides where two were written at the same time. */
  readonly bornMs: number;
  readonly inside: Inside;
}

export const MARK_BYTES = 1024;
const MARK_CHARACTERS = 22;

export function markOf(bytes: Uint8Array): string {
  if (bytes.length === 0) return '';
  return createHash('sha256').update(bytes).digest('base64url').slice(0, MARK_CHARACTERS);
}

export function encodePosition({ inode, offset, mark, writtenMs, bornMs, inside }: FilePosition): string {
  return JSON.stringify([inode, offset, mark, writtenMs, bornMs, inside]);
}

/** `undefined` for what is none. */
export function decodePosition(text: string | number | undefined): FilePosition | undefined {
  let parts: unknown;
  try {
    parts = JSON.parse(String(text));
  } catch {
    return undefined;
  }
  if (!Array.isArray(parts)) return undefined;
  const [inode, offset, mark, writtenMs, bornMs, inside]: unknown[] = parts;
  if (typeof inode !== 'string' || typeof offset !== 'number' || typeof mark !== 'string') return undefined;
  if (typeof writtenMs !== 'number' || typeof bornMs !== 'number') return undefined;
  if (inside !== 'none' && inside !== 'split' && inside !== 'skip') return undefined;
  return { inode, offset, mark, writtenMs, bornMs, inside };
}
