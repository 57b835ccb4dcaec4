/**
 * What the commit pipeline is doing: one value, that `CommitLoop` changes in one place.
 *
 *     idle -> scheduled -> switching -> writing -> between -> ... -> idle
 *                  \            \          |  \       |
 *                   \            \         |   cutting
 *                    `-> begun ---`--------'          \-> begun (by a waiter of the commit before)
 *
 * A loop is running in all but 'idle' and 'scheduled'.
 */
import { assert } from '../assert.js';
import type { EvaqError } from '../errors.js';
import type { PushBatch } from './push-batch.js';

export type CommitState =
  /** Nothing is pushed that is not settled. */
  | { readonly kind: 'idle' }
  /** The loop begins at the end of this turn: what is pushed until then goes into one commit. */
  | { readonly kind: 'scheduled' }
  /** The next segment is waited for, with the batch that needs it; without one where a roll was asked for. */
  | { readonly kind: 'switching'; readonly batch: PushBatch | undefined }
  /**
   * A batch has its place and is being written, begun by a push; the loop has not taken it over yet. `broken`: it could not be framed to the end,
   * and is to be cut away.
   */
  | {
      readonly kind: 'begun';
      readonly batch: PushBatch;
      readonly written: Promise<void>;
      readonly broken: EvaqError | undefined;
    }
  /** A batch has its place and is being written and synced. */
  | { readonly kind: 'writing'; readonly batch: PushBatch }
  /** A failed write is being cut away: nothing may be written behind it. */
  | { readonly kind: 'cutting'; readonly batch: PushBatch; readonly error: EvaqError }
  /** A commit is settled, and its waiters go on: what they push belongs into the next. */
  | { readonly kind: 'between' };

const NEXT: Readonly<Record<CommitState['kind'], readonly CommitState['kind'][]>> = {
  idle: ['scheduled', 'begun'],
  scheduled: ['idle', 'begun', 'switching', 'writing'],
  switching: ['switching', 'writing', 'between', 'idle'],
  begun: ['writing', 'cutting', 'idle'],
  writing: ['cutting', 'between', 'idle'],
  cutting: ['between', 'idle'],
  between: ['begun', 'switching', 'writing', 'idle'],
};

/** Throws unless the one may follow the other. */
export function checkFollows(before: CommitState, after: CommitState): void {
  assert(NEXT[before.kind].includes(after.kind), `the commit pipeline goes from ${before.kind} to ${after.kind}`);
}

/** The batch that was taken and is not done with. */
export function batchInHand(state: CommitState): PushBatch | undefined {
  return 'batch' in state ? state.batch : undefined;
}

/** Why nothing may be appended for now. */
export function cutUnderWay(state: CommitState): EvaqError | undefined {
  if (state.kind === 'cutting') return state.error;
  return state.kind === 'begun' ? state.broken : undefined;
}

/** Whether somebody sees to it that what is pushed now is committed. */
export function isLooping(state: CommitState): boolean {
  return state.kind !== 'idle' && state.kind !== 'scheduled';
}
