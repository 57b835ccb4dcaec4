/** Opening one file of a store by itself, for reading: its header says what it is, and what its checksums are tied to. */
import { EvaqError, isNotFound, reported } from '../errors.js';
import { decodeFileHeader, FILE_HEADER_BYTES, type FileHeader, type FileKind } from '../frame/file-header.js';
import type { Vfs, VfsFile } from '../vfs/vfs.js';
import { ReadOnlyVfs } from './read-only-vfs.js';

export interface RawFile {
  readonly file: VfsFile;
  /** When it was opened. */
  readonly size: number;
  readonly header: FileHeader;
  readonly seed: number;
  /** One of the two copies of the header is damaged. */
  readonly damaged: boolean;
}

const WHAT: Readonly<Record<FileKind, string>> = {
  store: 'the STORE file',
  segment: 'a segment',
  tombstones: 'a tombstone log',
  delivery: 'a delivery log',
  intake: 'an intake log',
};

/**
 * The file stays open.
 * @throws EVAQ_NOT_A_STORE if it is none of that kind (or a new one that is still blank), EVAQ_UNSUPPORTED_VERSION, EVAQ_IO;
 *   EVAQ_CORRUPT if both copies of the header are damaged
 */
export async function openRawFile(at: string, kind: FileKind, vfs: Vfs): Promise<RawFile> {
  let file: VfsFile | undefined;
  try {
    file = await new ReadOnlyVfs(vfs).open(at, 'read');
    const size = await file.size();
    const head = Buffer.alloc(FILE_HEADER_BYTES);
    const read = await file.readAt(head, 0, FILE_HEADER_BYTES, 0);
    const decoding = decodeFileHeader(head.subarray(0, read), kind);
    if (decoding.kind !== 'ok') throw headerError(at, kind, decoding, head.toString('latin1', 0, 3) === 'Evq');
    return { file, size, header: decoding.header, seed: decoding.seed, damaged: decoding.damaged };
  } catch (error) {
    await file?.close().catch(() => undefined);
    if (isNotFound(error)) {
      throw new EvaqError('EVAQ_NOT_A_STORE', `there is no file ${at}`, { cause: error, details: { path: at } });
    }
    throw reported(error, `reading ${at}`, { path: at });
  }
}

function headerError(
  path: string,
  kind: FileKind,
  decoding: { kind: 'unsupported'; major: number } | { kind: 'blank' | 'bad' },
  ours: boolean,
): EvaqError {
  const details = { path };
  if (decoding.kind === 'unsupported') {
    return new EvaqError(
      'EVAQ_UNSUPPORTED_VERSION',
      `${path} has format ${decoding.major}, which this version of evaq does not know`,
      { details, hint: 'Read it with the newer evaq that wrote it.' },
    );
  }
  if (decoding.kind === 'bad' && ours) {
    return new EvaqError(
      'EVAQ_CORRUPT',
      `${path}: the header is damaged in both of its copies, or is not that of ${WHAT[kind]}`,
      {
        details: { ...details, offset: 0, bytes: FILE_HEADER_BYTES },
      },
    );
  }
  const why = decoding.kind === 'blank' ? 'it is blank, or too short' : 'it begins with something else';
  return new EvaqError('EVAQ_NOT_A_STORE', `${path} is not ${WHAT[kind]} of an evaq store: ${why}`, { details });
}
