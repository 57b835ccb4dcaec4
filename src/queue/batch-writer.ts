/**
 * Brings the bytes of a batch to its file: whole, or piece by piece while the rest of it is still being framed.
 *
 * The pieces of one commit may be written in any order and at the same time: until its last one is there the commit is not valid, and until
 * the sync that follows nobody is told of it. A writer is done only when no write of it is under way any more, failed or not, since the
 * file may be cut then and the buffers used again.
 */
import type { CommitBuilder } from '../frame/commit-builder.js';
import type { VfsChunk, VfsFile } from '../vfs/vfs.js';
import type { PushBatch } from './push-batch.js';

/** Writes of one commit that are under way at the same time: the next one is there when one ends. */
const WRITES_MAX = 2;

/** Pieces that a batch is written in while it is framed. */
const PIECES = 8;
const PIECE_BYTES_MIN = 32 * 1024;
const PIECE_BYTES_MAX = 1024 * 1024;

/** From this size on it pays to write the front of a batch while the rest is framed. */
export const STREAM_BYTES_MIN: number = 2 * PIECE_BYTES_MIN;

/** All of a placed batch, as one writes it at once. */
export function chunksOf(batch: PushBatch): VfsChunk[] {
  return batch.builder.chunks.map(({ buffer, at, length }) => ({
    source: buffer,
    length,
    position: batch.offset + at,
  }));
}

/** Writes a placed batch. */
export async function writeBatch(file: VfsFile, batch: PushBatch): Promise<void> {
  const { chunks } = batch.builder;
  const [only] = chunks;
  if (chunks.length === 1 && only !== undefined) return file.writeAt(only.buffer, 0, only.length, batch.offset);
  const rest = chunks.values();
  const writeRest = async (): Promise<void> => {
    for (const { buffer, length, at } of rest) await file.writeAt(buffer, 0, length, batch.offset + at);
  };
  await allDone(Array.from({ length: WRITES_MAX }, writeRest));
}

/** Writes a batch that has its place while it is being framed. */
export class BatchStream {
  readonly #file: VfsFile;
  readonly #builder: CommitBuilder;
  readonly #offset: number;
  readonly #pieceBytes: number;
  readonly #writes: Promise<void>[] = [];
  /** The front is held back for the header, which is made last. */
  #frontBytes = 0;
  #written = 0;
  #nextAt: number;

  /** For `bytes` in all. */
  constructor(file: VfsFile, batch: PushBatch, bytes: number) {
    this.#file = file;
    this.#builder = batch.builder;
    this.#offset = batch.offset;
    this.#pieceBytes = Math.min(PIECE_BYTES_MAX, Math.max(PIECE_BYTES_MIN, Math.ceil(bytes / PIECES)));
    this.#nextAt = this.#pieceBytes;
  }

  /** To be called when a record was added. */
  added(): void {
    const { length } = this.#builder;
    if (length < this.#nextAt) return;
    this.#nextAt = length + this.#pieceBytes;
    this.#builder.advance();
    if (this.#frontBytes === 0) this.#frontBytes = length;
    else this.#write(this.#written, length);
    this.#written = length;
  }

  /** The commit is finished: writes what is left. Resolves, or rejects with the first failure, when nothing is under way any more. */
  finish(): Promise<void> {
    this.#write(this.#written, this.#builder.length);
    this.#write(0, this.#frontBytes);
    return this.abandon();
  }

  /** The same, but nothing more is written. */
  abandon(): Promise<void> {
    return allDone(this.#writes);
  }

  #write(from: number, to: number): void {
    for (const { buffer, at, length } of this.#builder.chunks) {
      const first = Math.max(0, from - at);
      const end = Math.min(length, to - at);
      if (first >= end) continue;
      const writing = this.#file.writeAt(buffer, first, end - first, this.#offset + at + first);
      writing.catch(() => undefined);
      this.#writes.push(writing);
    }
  }
}

/** Resolves, or rejects with the first failure, when all have ended. */
export async function allDone(writes: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(writes)) if (outcome.status === 'rejected') throw outcome.reason;
}
