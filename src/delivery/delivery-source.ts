/**
 * What delivery needs of a queue. The store makes it of the queue's parts.
 */
import type { EvaqError } from '../errors.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { Host } from '../vfs/host.js';
import type { FailureFacts } from './failure-facts.js';

export interface DeliverySource {
  readonly queue: string;
  readonly host: Host;
  readonly storeId: string;
  isOpen(): boolean;
  /** Why the store has stopped, if it has. */
  failure(): EvaqError | undefined;
  /** A gapless prefix of the live records from there on, at one moment of the call. */
  read(from: number, maxRecords: number, maxBytes: number): Promise<readonly QueueRecord[]>;
  /** `undefined`: it was gone at some moment of the call. */
  get(id: number): Promise<QueueRecord | undefined>;
  isLive(id: number): boolean;
  /** The lowest live ID from this one on. */
  firstLive(from: number): number | undefined;
  lastVisibleId(): number;
  /** Resolves when the pop or move that has this record has ended; `undefined` where nobody has it. */
  claimEnd(id: number): Promise<unknown> | undefined;
  /** The lowest ID that a pop or a move has. */
  firstClaimed(): number | undefined;
  /** Nobody pops or moves the record while it is leased; whoever tries waits. It must be live and not claimed. */
  lease(id: number): void;
  endLease(id: number): void;
  /** The records that are leased, each with its lease's end: a delivery that has stopped may have some in handlers yet. */
  leases(): ReadonlyMap<number, Promise<void>>;
  /** Removes what is left of these; resolves when that is durable, and ends nothing. */
  remove(ids: readonly number[]): Promise<number>;
  /** Moves a leased record to the dead letters, and ends its lease. Resolves with false where it is gone. */
  deadLetter(id: number, facts: FailureFacts): Promise<boolean>;
  /** Calls `wake` once, at the next news: records came, were given back, or left. The result cancels. */
  onNews(wake: () => void): () => void;
  /** Keeps the process until the result is called. */
  hold(): () => void;
}
