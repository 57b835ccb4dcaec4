/**
 * Walks everything that a queue has on disk: commit by commit, and record by record, removed ones included, and says which are live. Beside a writer:
 * what GC takes away meanwhile is passed over, and what is damaged likewise. Nothing is written.
 */
import { throwIfAborted } from '../abortable.js';
import { EvaqError, isNotFound } from '../errors.js';
import { loadStable, type QueuePlace } from './raw-picture.js';
import { type RawRecord, RawSegment } from './raw-segment.js';

export interface WalkedSegment {
  readonly path: string;
  /** Of the file. */
  readonly bytes: number;
  readonly sealed: boolean;
}

export interface RecordVisitor {
  /** The records and commits that come next are in it. */
  readonly segment: (segment: WalkedSegment) => void;
  /** `bytes`: with its header. `rewritten`: GC made it, and so does not tell how records were pushed. */
  readonly commit: (records: number, bytes: number, rewritten: boolean) => void;
  readonly record: (record: RawRecord, live: boolean) => void;
  /** Something in the segment cannot be read: records may be missing. */
  readonly damaged: () => void;
}

/** Of each segment first the commits, then the records. Rejects with EVAQ_CORRUPT, EVAQ_UNSUPPORTED_VERSION or EVAQ_IO. */
export async function walkQueue(place: QueuePlace, visitor: RecordVisitor, signal?: AbortSignal): Promise<void> {
  const { loaded } = await loadStable(place);
  for (const { segment, footer, contentEnd } of loaded.found) {
    throwIfAborted(signal);
    try {
      await using raw = await RawSegment.open(segment.path, { vfs: place.vfs });
      visitor.segment({ path: segment.path, bytes: raw.size, sealed: footer !== undefined });
      for await (const commit of raw.commits()) {
        if (commit.kind === 'records' && commit.offset < contentEnd)
          visitor.commit(commit.count, commit.bytes, commit.sparse);
      }
      throwIfAborted(signal);
      for await (const entry of raw.records()) {
        const { offset } = entry.valid ? entry.record : entry.damage;
        if (offset >= contentEnd) continue;
        if (entry.valid) visitor.record(entry.record, segment.live.has(entry.record.id));
        else visitor.damaged();
      }
    } catch (error) {
      if (!isNotFound(error) && !(error instanceof EvaqError && isNotFound(error.cause))) throw error;
    }
  }
}
