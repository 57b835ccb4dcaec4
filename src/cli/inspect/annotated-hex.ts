/** The bytes around an offset, field for field: name, hex digits, and the number that they are. */
import { closeSync, openSync, readSync } from 'node:fs';
import {
  COMMIT_FLAG_SPARSE,
  COMMIT_HEADER_BYTES,
  COMMIT_HEADER_FIELDS,
  type CommitHeader,
  KIND_RECORDS,
} from '../../frame/commit-header.js';
import { CommitScanner } from '../../frame/commit-scanner.js';
import type { Field } from '../../frame/field.js';
import { FILE_HEADER_BYTES, FILE_HEADER_FIELDS, type FileKind } from '../../frame/file-header.js';
import { frameFields, newFrameView, viewFrame } from '../../frame/record-frame.js';
import { openRawFile } from '../../raw/raw-file.js';
import { nodeVfs } from '../../vfs/node-vfs.js';
import { UsageError } from '../exit-code.js';
import type { Output } from '../output.js';
import type { PathKind } from '../path-kind.js';
import { hexdump } from '../records/hexdump.js';

/** Of a field of bytes. */
const SHOWN_BYTES_MAX = 512;
const KINDS: Readonly<Partial<Record<PathKind['kind'], FileKind>>> = {
  segment: 'segment',
  'other-file': 'segment',
  tombstones: 'tombstones',
  deliveries: 'delivery',
  intake: 'intake',
  'store-file': 'store',
};

export async function showAt(path: string, { kind }: PathKind, at: number, out: Output): Promise<void> {
  const fileKind = KINDS[kind];
  if (fileKind === undefined) throw new UsageError(`there is no file of a store at ${path}`);
  const { file, size, seed } = await openRawFile(path, fileKind, nodeVfs);
  try {
    if (at >= size) throw new UsageError(`${path} has ${size} bytes: there is none at ${at}`);
    if (at < FILE_HEADER_BYTES) return await show(path, 'file header', 0, FILE_HEADER_FIELDS, at, out);
    const scanner = new CommitScanner(file, seed, FILE_HEADER_BYTES, size, 'resync');
    for (;;) {
      const outcome = await scanner.next();
      if (outcome === 'end') break;
      if (outcome === 'bad') {
        const { offset, end } = scanner.bad;
        if (at >= end) continue;
        await out.line(`${offset} to ${end - 1}: no valid commit`);
        return await out.write(Buffer.from(hexdump(bytesOf(path, at, Math.min(end - at, SHOWN_BYTES_MAX)), at)));
      }
      if (at < scanner.offset + COMMIT_HEADER_BYTES + scanner.header.bodyBytes)
        return await showCommit(path, scanner, at, out);
    }
    await out.line(`${at}: behind the last commit`);
    await out.write(Buffer.from(hexdump(bytesOf(path, at, Math.min(size - at, SHOWN_BYTES_MAX)), at)));
  } finally {
    await file.close();
  }
}

async function showCommit(path: string, scanner: CommitScanner, at: number, out: Output): Promise<void> {
  const { header, offset, buffer, bodyAt } = scanner;
  await show(path, `commit of kind ${header.kind}, checksums hold`, offset, COMMIT_HEADER_FIELDS, at, out);
  const bodyOffset = offset + COMMIT_HEADER_BYTES;
  if (at < bodyOffset) return;
  if (header.kind !== KIND_RECORDS) {
    const body: Field = { name: 'body', at: 0, bytes: header.bodyBytes, as: 'bytes' };
    return show(path, 'body', bodyOffset, [body], at, out);
  }
  const frame = frameAt(header, buffer, bodyAt, at - bodyOffset);
  if (frame !== undefined) await show(path, `record ${frame.id}`, bodyOffset, frame.fields, at, out);
}

interface FoundFrame {
  readonly id: number;
  /** Their places are those in the body. */
  readonly fields: readonly Field[];
}

function frameAt(header: CommitHeader, buffer: Buffer, bodyAt: number, within: number): FoundFrame | undefined {
  const sparse = (header.flags & COMMIT_FLAG_SPARSE) !== 0;
  const body = buffer.subarray(bodyAt, bodyAt + header.bodyBytes);
  const view = newFrameView();
  let at = 0;
  for (let i = 0; i < header.count; i++) {
    if (!viewFrame(body, at, body.length, sparse, header.firstId + i, header.firstId, header.timestamp, view))
      return undefined;
    if (within < at + view.frameBytes) return { id: view.id, fields: frameFields(at, sparse, view) };
    at += view.frameBytes;
  }
  return undefined;
}

/** The fields of something that begins at `base`; that which holds `at` is marked. */
async function show(
  path: string,
  what: string,
  base: number,
  fields: readonly Field[],
  at: number,
  out: Output,
): Promise<void> {
  await out.line(`${base}: ${what}`);
  for (const { name, at: within, bytes, as } of fields) {
    const offset = base + within;
    const mark = at >= offset && at < offset + bytes ? '>' : ' ';
    const held = bytesOf(path, offset, Math.min(bytes, SHOWN_BYTES_MAX));
    const head = `${mark} ${String(offset).padStart(8)}  ${name.padEnd(16)}`;
    if (as === 'number') {
      await out.line(`${head} ${held.toString('hex').padEnd(16)} = ${numberOf(held)}`);
    } else if (bytes <= 16) {
      await out.line(`${head} ${held.toString('hex')}`);
    } else {
      await out.line(`${head} ${bytes} bytes`);
      await out.write(Buffer.from(hexdump(held, offset).replaceAll(/^/gm, '    ').trimEnd()), Buffer.from('\n'));
      if (held.length < bytes) await out.line(`    … and ${bytes - held.length} more`);
    }
  }
}

function numberOf(bytes: Buffer): string {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = value * 256n + BigInt(bytes[i] ?? 0);
  return value.toString();
}

function bytesOf(path: string, offset: number, length: number): Buffer {
  const fd = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(length);
    return bytes.subarray(0, readSync(fd, bytes, 0, length, offset));
  } finally {
    closeSync(fd);
  }
}
