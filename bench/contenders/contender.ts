/**
 * A queue as the rows see it, whoever keeps it. IDs count from 1 in every new store, one per record.
 */
import type { EngineModule } from '../harness/engine.js';
import type { PayloadBatch } from '../harness/payloads.js';

/** 'sync': resolved means durable. 'os': resolved means handed to the operating system. */
export type Mode = 'sync' | 'os';

export interface OpenOptions {
  readonly dir: string;
  readonly mode: Mode;
  readonly engine: EngineModule;
  readonly segmentBytes?: number | undefined;
}

export interface QueueDriver {
  /** A caller's single record; may be called by many at once, unless `callersShareWrites`. */
  push(payload: Buffer): Promise<unknown>;
  /** One batch, as one unit where there is such a thing. */
  pushMany(batch: PayloadBatch): Promise<unknown>;
  /** Single records in one turn of the event loop, awaited together; as a batch where single ones are not what its documentation recommends. */
  pushEach(batch: PayloadBatch): Promise<unknown>;
  /** `pushEach` and the removal of as many older records together. */
  turn(batch: PayloadBatch, removeFrom: number): Promise<unknown>;
  remove(ids: readonly number[]): Promise<void>;
  /** Reads every record in order; resolves with the payload bytes. */
  readAll(): Promise<{ records: number; bytes: number }>;
  close(): Promise<void>;
  /** Counters of the contender's own, at the end of a round. */
  counters?(): Readonly<Record<string, number>>;
  /** Callers do not write on their own: those that wait at the same time are one `pushMany`. */
  readonly callersShareWrites?: boolean;
}

export type OpenContender = (options: OpenOptions) => Promise<QueueDriver>;

/** A peer's package is not there, or does not load. */
export class UnavailableError extends Error {}

/** Loads a package of `bench/package.json`. */
export async function loadPeer<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    const [reason] = (cause instanceof Error ? cause.message : String(cause)).split('\n');
    throw new UnavailableError(`${name} is not available: ${reason}`, { cause });
  }
}
