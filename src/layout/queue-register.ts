/**
 * The register of queues: which queues there have been, in the file STORE, behind its header. It is evidence: a queue that is in it had a log of
 * removals and a segment, both durable, and never is without them again. So where its folder is gone, or empty, it was taken away (a disk that is not
 * mounted, half a restore): that is damage, and no new queue.
 *
 *     header, twice (128 bytes) | entry 1 | its twin | entry 2 | its twin | ...
 *
 * An entry is a commit of its own kind with the name as its body, written before the queue is used for the first time. What is torn at the end says
 * nothing; and an entry that is valid is true, whenever it was written, since what it says was durable before.
 */
import {
  COMMIT_HEADER_BYTES,
  commitBodyCrc,
  encodeCommitHeader,
  KIND_QUEUE,
  newCommitHeader,
} from '../frame/commit-header.js';
import { CommitScanner, type ScanSource } from '../frame/commit-scanner.js';
import { FILE_HEADER_BYTES } from '../frame/file-header.js';

export interface QueueRegister {
  readonly names: ReadonlySet<string>;
  /** Where the next entry goes. */
  readonly end: number;
  /** Bytes below the highest durable offset that are no entry: a twin is damaged, or a name is lost. */
  readonly damaged: boolean;
}

export const EMPTY_REGISTER: QueueRegister = { names: new Set(), end: FILE_HEADER_BYTES, damaged: false };

/** The entry of one queue with its twin, for offset `at`; all below it is durable. */
export function encodeRegistration(name: string, seed: number, at: number, nowMs: number): Buffer {
  const body = Buffer.from(name, 'ascii');
  const entryBytes = COMMIT_HEADER_BYTES + body.length;
  const bytes = Buffer.alloc(2 * entryBytes);
  const header = newCommitHeader();
  header.kind = KIND_QUEUE;
  header.bodyBytes = body.length;
  header.durableOffset = at;
  header.timestamp = nowMs;
  for (const twin of [0, entryBytes]) {
    header.bodyCrc = commitBodyCrc(body, seed, at + twin);
    encodeCommitHeader(bytes, twin, seed, at + twin, header);
    body.copy(bytes, twin + COMMIT_HEADER_BYTES);
  }
  return bytes;
}

/** Several entries in a row, from the front of the register on. */
export function encodeRegister(names: Iterable<string>, seed: number, nowMs: number): Buffer {
  const entries: Buffer[] = [];
  let at = FILE_HEADER_BYTES;
  for (const name of names) {
    const entry = encodeRegistration(name, seed, at, nowMs);
    entries.push(entry);
    at += entry.length;
  }
  return Buffer.concat(entries);
}

/** Reads the register of a file of `bytes` bytes. Rejects with the system error. */
export async function readRegister(file: ScanSource, seed: number, bytes: number): Promise<QueueRegister> {
  const names = new Set<string>();
  let end = FILE_HEADER_BYTES;
  let durable = 0;
  let badFrom = Infinity;
  const scanner = new CommitScanner(file, seed, FILE_HEADER_BYTES, bytes, 'resync');
  for (;;) {
    const outcome = await scanner.next();
    if (outcome === 'end') break;
    if (outcome === 'bad') {
      badFrom = Math.min(badFrom, scanner.bad.offset);
      continue;
    }
    const { header, buffer, bodyAt, offset } = scanner;
    durable = Math.max(durable, header.durableOffset);
    end = offset + COMMIT_HEADER_BYTES + header.bodyBytes;
    const name = buffer.toString('latin1', bodyAt, bodyAt + header.bodyBytes);
    if (header.kind === KIND_QUEUE) names.add(name);
  }
  return { names, end, damaged: badFrom < durable };
}
