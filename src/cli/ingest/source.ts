/** What `evaq ingest` reads from. One file each, beside this. */
import type { SourceIntake } from './source-intake.js';

export interface IngestFlags {
  /** The name of the source in the queue's checkpoints. */
  readonly source?: string;
  readonly follow: boolean;
  /** Of a file: lines end with a NUL byte. */
  readonly null: boolean;
  /** Of a file: what a line has at most, where that is less than the queue takes. */
  readonly lineBytes?: number;
  /** Of a file: what becomes of a longer one. */
  readonly long: 'split' | 'skip';
  /** Of a file: one that was renamed is left when it was not written to for so long. */
  readonly leaveMs: number;
}

export interface SourceContext {
  /** Of a record. */
  readonly bytesMax: number;
  readonly storeId: string;
  readonly queue: string;
  readonly signal: AbortSignal;
}

export interface Source {
  readonly name: string;
  /** Resolves at the end of what is there; where it follows, when the signal is aborted. */
  run(intake: SourceIntake, context: SourceContext): Promise<void>;
}
