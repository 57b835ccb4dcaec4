/**
 * What crosses a link between the thread that has the store and one that has not. A post is a list of messages, those of one turn together, which take effect
 * in their order. Both sides come from one package; where a bundle has two copies of it the version says whether they understand each other.
 */

import type { FailureClass } from '../delivery/classify.js';
import type { DeliveryReport, DeliveryStats } from '../delivery/delivery-report.js';
import type { MoveProgress } from '../queue/move-options.js';
import type { PackedRecords } from './packed-records.js';
import type { PackedThrown } from './packed-thrown.js';

/** Counted up with each change of what stands here. */
export const LINK_VERSION = 3;
/** Lies in a port of ours from the first moment on, so that whoever has it knows it for one. */
export const LINK_GREETING = 'evaq.connect()';

/** A queue as the other side knows it. */
export interface LinkedQueueFacts {
  readonly index: number;
  readonly name: string;
  readonly recordBytesMax: number;
  /** The queue that its dead letters are in. */
  readonly deadLetters: string;
  /** Where pushes may be refused or made to wait: what it may hold. */
  readonly limits: { readonly records: number | undefined; readonly bytes: number | undefined } | undefined;
}

/** Records that are meant, as it is sent: by a function, which stays where it is and is asked about each. */
export type SentSelection =
  | { readonly kind: 'asked' }
  /** IDs, criteria, or all. */
  | { readonly kind: 'said'; readonly selection: unknown };

/** The key of a record, or why there is none. */
export type SentKey = { readonly key: string | undefined } | { readonly error: PackedThrown };

/** What is asked of the thread that has a function of the caller's. */
export type LinkQuestion =
  /** Whether the record, or dead letter, is one of those that the call is about. */
  | { readonly kind: 'is meant'; readonly call: number; readonly record: PackedRecords }
  | { readonly kind: 'keys'; readonly delivery: number; readonly records: PackedRecords };

export type LinkAnswer =
  | { readonly kind: 'meant'; readonly isMeant: boolean }
  | { readonly kind: 'keys'; readonly keys: readonly SentKey[] }
  | { readonly kind: 'threw'; readonly error: PackedThrown };

/** Of a call's last argument, where that is an object of options. */
export interface CallSignal {
  /** The place of the argument whose `signal` stays on the other side. */
  readonly at: number;
}

/** How a handler ended that a delivery had called over the link. */
export type LinkEnded =
  | { readonly kind: 'returned'; readonly value: LinkResult | undefined; readonly verdicts: readonly Verdict[] }
  | { readonly kind: 'threw'; readonly error: PackedThrown; readonly verdicts: readonly Verdict[] };

/** What a batch handler returned. `failed`: as a list, or what stood in its place. */
export interface LinkResult {
  readonly failed:
    | { readonly kind: 'list'; readonly items: readonly { readonly id: unknown; readonly error: PackedThrown }[] }
    | { readonly kind: 'wrong'; readonly value: unknown };
}

/** What `retry.classify`, which stays on its side, says of a record's failure. */
export interface Verdict {
  readonly id: number;
  readonly verdict: FailureClass;
}

export type ToStore =
  | { readonly kind: 'hello'; readonly version: number }
  /** Pushes of payloads with nothing beside them, one behind the other in one buffer. */
  | {
      readonly kind: 'pack';
      readonly queue: number;
      readonly pack: number;
      readonly lengths: Uint32Array;
      readonly bytes: Uint8Array;
    }
  /** A call of a queue; without `queue` one of the store. `run`: made by the handler of that one. */
  | {
      readonly kind: 'call';
      readonly call: number;
      readonly queue: number | undefined;
      readonly method: string;
      readonly args: readonly unknown[];
      readonly signal: CallSignal | undefined;
      readonly run: number | undefined;
    }
  | { readonly kind: 'abort'; readonly call: number }
  | {
      readonly kind: 'deliver';
      readonly delivery: number;
      readonly queue: number;
      readonly isBatch: boolean;
      /** Without functions and signal, which stay where they are. */
      readonly options: Readonly<Record<string, unknown>>;
      readonly keyHeader: string | undefined;
      /** The function that gives keys is to be asked. */
      readonly asksKeys: boolean;
      readonly classifies: boolean;
      readonly deadClassifies: boolean;
      readonly probes: boolean;
    }
  | { readonly kind: 'steer'; readonly delivery: number; readonly how: 'pause' | 'resume' }
  /** The signal of a delivery was aborted. */
  | { readonly kind: 'halt'; readonly delivery: number; readonly reason: PackedThrown }
  | {
      readonly kind: 'ask';
      readonly call: number;
      readonly delivery: number;
      readonly what: 'drained' | 'stop' | 'stats';
      readonly args: readonly unknown[];
    }
  /** Of these runs each handler has returned, and named nobody. */
  | { readonly kind: 'done'; readonly runs: readonly number[] }
  | { readonly kind: 'ended'; readonly run: number; readonly ended: LinkEnded }
  | { readonly kind: 'ack'; readonly run: number; readonly id: number }
  | {
      readonly kind: 'fail';
      readonly run: number;
      readonly id: number;
      readonly error: PackedThrown;
      readonly verdict: FailureClass | undefined;
    }
  | { readonly kind: 'probed'; readonly probe: number; readonly error: PackedThrown | undefined }
  | { readonly kind: 'answer'; readonly question: number; readonly answer: LinkAnswer }
  /** The last one, in order: nothing is under way any more. */
  | { readonly kind: 'bye' };

/** A handler that is to be called. */
export interface LinkRun {
  readonly run: number;
  readonly delivery: number;
  /** Of the records that come with it, how many are its own. */
  readonly count: number;
  readonly attempts: readonly number[];
  readonly crashes: readonly number[];
  readonly queue: string;
}

export type FromStore =
  | {
      readonly kind: 'welcome';
      readonly version: number;
      readonly storeId: string;
      readonly path: string;
      readonly wal: LinkedQueueFacts;
      readonly deadLetters: LinkedQueueFacts;
    }
  | { readonly kind: 'refused'; readonly version: number }
  /** IDs in a row. */
  | { readonly kind: 'packed'; readonly queue: number; readonly pack: number; readonly firstId: number }
  /** Each by itself: an ID, or why there is none. */
  | {
      readonly kind: 'singly';
      readonly queue: number;
      readonly pack: number;
      readonly outcomes: readonly (number | PackedThrown)[];
    }
  | { readonly kind: 'value'; readonly call: number; readonly value: unknown }
  | {
      readonly kind: 'records';
      readonly call: number;
      readonly records: PackedRecords;
      /** The value is the one record. */
      readonly isOne: boolean;
    }
  | { readonly kind: 'error'; readonly call: number; readonly error: PackedThrown }
  /** The call waited for something when its signal was aborted, and waits no longer. */
  | { readonly kind: 'aborted'; readonly call: number }
  | { readonly kind: 'runs'; readonly runs: readonly LinkRun[]; readonly records: PackedRecords }
  | { readonly kind: 'abort run'; readonly run: number; readonly reason: PackedThrown }
  | { readonly kind: 'probe'; readonly probe: number; readonly delivery: number }
  | { readonly kind: 'question'; readonly number: number; readonly question: LinkQuestion }
  /** How far a call has come. */
  | { readonly kind: 'progress'; readonly call: number; readonly progress: MoveProgress }
  | {
      readonly kind: 'delivered';
      readonly delivery: number;
      readonly report: DeliveryReport;
      readonly stats: DeliveryStats;
    }
  | { readonly kind: 'undelivered'; readonly delivery: number; readonly error: PackedThrown }
  /** The last one. */
  | { readonly kind: 'bye' };
