/** What a path is to evaq, by its name and by what is around it: so that each is read as what it is, and said to be that. */
import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { parseDeliveryFileName } from '../delivery/delivery-log-name.js';
import { FILE_HEADER_BYTES } from '../frame/file-header.js';
import { parseIntakeFileName } from '../intake/intake-name.js';
import { LOCK_FILE, QUEUES_DIR, STORE_FILE } from '../layout/store-file.js';
import { parseSegmentFileName } from '../segment/segment-name.js';
import { parseTombstoneFileName } from '../tombstone/tombstone-name.js';

export type PathKind =
  | { readonly kind: 'store' }
  /** `store` is where it is part of one. */
  | { readonly kind: 'queue'; readonly store: string; readonly queue: string }
  /** Segment files, without what would say which of their records are live. */
  | { readonly kind: 'files'; readonly what: string; readonly files: readonly string[] }
  | { readonly kind: 'segment'; readonly what: string | undefined }
  | { readonly kind: 'tombstones' | 'deliveries' | 'intake' | 'store-file' | 'lock'; readonly what: string }
  | { readonly kind: 'other-file' }
  /** A folder of something else, or nothing at all. */
  | { readonly kind: 'none' };

const MAGIC_BYTES = 4;
const QUARANTINE_DIR = 'quarantine';
/** What `repair` leaves of the files that it changes. */
const REPAIR_BACKUP = /^\.evaq-backup-/;
const SEGMENT_LIKE = /\.seg(?:\.|$)|\.free$/;

export function pathKind(path: string): PathKind {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return { kind: 'none' };
  return stat.isDirectory() ? folderKind(resolve(path)) : fileKind(resolve(path));
}

function folderKind(path: string): PathKind {
  const name = basename(path);
  if (REPAIR_BACKUP.test(name)) return filesIn(path, 'what a repair left of the files that it changed');
  if (name === QUARANTINE_DIR)
    return filesIn(path, 'files that were set aside, for they are damaged or not of this queue');
  if (isThere(join(path, STORE_FILE)) || isThere(join(path, QUEUES_DIR))) return { kind: 'store' };
  const above = dirname(path);
  if (basename(above) === QUEUES_DIR && isThere(join(dirname(above), STORE_FILE))) {
    return { kind: 'queue', store: dirname(above), queue: name };
  }
  // Not in what is below: it may be anything.
  const alone = filesIn(path, 'segments without their store', false);
  return alone.files.length === 0 ? { kind: 'none' } : alone;
}

function filesIn(path: string, what: string, recursive = true): Extract<PathKind, { kind: 'files' }> {
  const files = readdirSync(path, { recursive, withFileTypes: true })
    .filter((entry) => entry.isFile() && SEGMENT_LIKE.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  return { kind: 'files', what, files };
}

function fileKind(path: string): PathKind {
  const name = basename(path);
  const segment = parseSegmentFileName(name);
  if (segment !== undefined) return { kind: 'segment', what: segmentWhat(path, segment.kind) };
  if (parseTombstoneFileName(name) !== undefined) {
    return { kind: 'tombstones', what: 'a tombstone log: it tells which records were removed, and holds none' };
  }
  if (parseDeliveryFileName(name) !== undefined) {
    return { kind: 'deliveries', what: 'a delivery log: it tells of attempts and due times, and holds no records' };
  }
  if (parseIntakeFileName(name) !== undefined) {
    return { kind: 'intake', what: 'an intake log: it tells which messages came in, and holds no records' };
  }
  if (name === STORE_FILE)
    return { kind: 'store-file', what: 'the file that makes its folder a store; it holds no records' };
  if (name === LOCK_FILE) return { kind: 'lock', what: 'the lock of a store; it holds no records' };
  return kindByMagic(path);
}

/** Of a file that was copied out under another name. */
function kindByMagic(path: string): PathKind {
  switch (frontOf(path, MAGIC_BYTES).toString('latin1')) {
    case 'EvqT':
      return { kind: 'tombstones', what: 'a tombstone log: it tells which records were removed, and holds none' };
    case 'EvqD':
      return { kind: 'deliveries', what: 'a delivery log: it tells of attempts and due times, and holds no records' };
    case 'EvqI':
      return { kind: 'intake', what: 'an intake log: it tells which messages came in, and holds no records' };
    case 'EvqM':
      return { kind: 'store-file', what: 'the file that makes its folder a store; it holds no records' };
    default:
      return { kind: 'other-file' };
  }
}

function segmentWhat(path: string, kind: 'segment' | 'unfinished' | 'free'): string | undefined {
  if (kind === 'free') return 'a dead segment, kept to be overwritten: what it holds was removed';
  if (kind === 'unfinished') return 'a segment in the making: it is no part of the queue';
  return basename(dirname(path)) === QUARANTINE_DIR ? 'a segment that was set aside' : undefined;
}

/** Made ahead, or emptied, for the next segment or log: zeros where its header will be. A file that has its own name already has one. */
export function isSpare(path: string): boolean {
  if (!/\.(?:tmp|free)$/.test(path)) return false;
  return frontOf(path, FILE_HEADER_BYTES).every((byte) => byte === 0);
}

function frontOf(path: string, length: number): Buffer {
  const front = Buffer.alloc(length);
  const fd = openSync(path, 'r');
  try {
    return front.subarray(0, readSync(fd, front, 0, length, 0));
  } finally {
    closeSync(fd);
  }
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}
