/**
 * What a scan finds in a segment that tells what came in once: the message IDs of its records, and how far sources had come.
 */
import { MessageEntries, messageHash } from './message-entries.js';
import type { RecordCheckpoint, RecordMeta } from './metadata.js';

export class IntakeMarks {
  readonly messages: MessageEntries = new MessageEntries();
  /** Of each source the last. */
  readonly checkpoints: Map<string, RecordCheckpoint> = new Map();

  note(meta: RecordMeta, id: number, timeMs: number): void {
    if (meta.messageId !== undefined) this.messages.add(messageHash(meta.messageId), id, timeMs);
    if (meta.checkpoint !== undefined) noteLater(this.checkpoints, meta.checkpoint);
  }
}

/** Of two positions of a source the one that was committed later counts, in whatever order they are met. */
export function noteLater(checkpoints: Map<string, RecordCheckpoint>, checkpoint: RecordCheckpoint): void {
  const known = checkpoints.get(checkpoint.source);
  if (known === undefined || known.sequence < checkpoint.sequence) checkpoints.set(checkpoint.source, checkpoint);
}
