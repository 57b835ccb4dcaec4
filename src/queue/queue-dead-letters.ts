/**
 * The public face of a queue's dead letters: checks arguments, then leaves the work to the store, for what goes back goes to another queue.
 */
import { untilAborted, type WaitOptions, waitOf } from '../abortable.js';
import { optionNames, requireNoMore, requireOptions, requireSignal } from '../arguments.js';
import { requireCount } from '../ids.js';
import { type Beginning, RecordIterator } from '../log/record-iterator.js';
import type { DeadLetter, DeadLetterSummary } from './dead-letter.js';
import {
  type MoveResult,
  type PurgeOptions,
  type PurgeResult,
  type RedriveOptions,
  type ResolvedMove,
  resolvePurge,
  resolveRedrive,
} from './move-options.js';
import {
  CRITERIA_NAMES,
  type RangeSelection,
  type RecordCriteria,
  type RecordSelection,
  type ResolvedSelection,
  rangeOfCriteria,
  requireCriteria,
  selectionOf,
} from './record-selection.js';

/** Which dead letters are listed: those for which all holds that is given. */
export interface DeadLetterListOptions extends RecordCriteria {
  /** So many at most. Default: no bound. */
  readonly limit?: number;
  /** Ends the iteration: it throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/** The store's part. */
export interface DeadLetterHost {
  readonly list: (selection: RangeSelection<DeadLetter>, limit: number) => Beginning<DeadLetter>['source'];
  readonly summary: (signal: AbortSignal | undefined) => Promise<DeadLetterSummary>;
  readonly redrive: (selection: ResolvedSelection<DeadLetter>, options: ResolvedMove) => Promise<MoveResult>;
  readonly purge: (
    selection: ResolvedSelection<DeadLetter>,
    dryRun: boolean,
    signal: AbortSignal | undefined,
  ) => Promise<PurgeResult>;
}

const LIST_NAMES = optionNames(...CRITERIA_NAMES, 'limit', 'signal');

export interface Listing {
  readonly limit: number;
  readonly signal: AbortSignal | undefined;
  readonly criteria: RecordCriteria;
}

/** What `list` was given; so many arguments. Throws a TypeError or RangeError that names what is wrong. */
export function listingOf(given: number, options: DeadLetterListOptions | undefined): Listing {
  requireNoMore(given, 1, 'list');
  requireOptions(options, 'list', LIST_NAMES);
  const { limit = Infinity, signal, ...criteria } = options ?? {};
  if (limit !== Infinity) requireCount(limit, 'limit', 0);
  requireSignal(signal, 'list');
  requireCriteria(criteria);
  return { limit, signal, criteria };
}

/**
 * The dead letters of one queue. Nothing drops them but `purge`, and the removals of the queue that they are in (`name`). Its calls may be made
 * concurrently; they reject with EVAQ_CLOSED once the store closes, between two batches of a redrive, too.
 */
export class QueueDeadLetters {
  /** The queue that they are in; it is made with the first one. */
  readonly name: string;
  readonly #host: DeadLetterHost;

  /** Made by `Queue.deadLetters`. */
  constructor(name: string, host: DeadLetterHost) {
    this.name = name;
    this.#host = host;
  }

  /**
   * Dead letters in ID order, up to those there are when the iteration gets there: `Queue.records` with their history.
   * @throws EVAQ_CORRUPT, EVAQ_IO, EVAQ_CLOSED
   */
  list(options?: DeadLetterListOptions): AsyncGenerator<DeadLetter, void, undefined> {
    const given = arguments.length;
    return new RecordIterator<DeadLetter>(() => {
      const { limit, signal, criteria } = listingOf(given, options);
      return { source: this.#host.list(rangeOfCriteria(criteria), limit), signal };
    });
  }

  /**
   * Counts them by reason and error code. Reads all that there are at the call; memory for a thousand kinds.
   * @throws EVAQ_CORRUPT, EVAQ_IO, EVAQ_CLOSED
   */
  async summary(options?: WaitOptions): Promise<DeadLetterSummary> {
    const signal = waitOf(arguments.length, 1, options, 'summary');
    return untilAborted(signal, () => this.#host.summary(signal));
  }

  /**
   * Moves dead letters back to the queues that they came from; without a selection all that there are at the call. Each move is atomic (P10), the whole is
   * not. They keep their order, payload, headers, attempts and `deliveryId`; the redrive is counted, and there they have all their tries again. One
   * that has gone back `maxRedrives` times stays, and is counted as `refused`. A function is asked about all of them before any is moved: if it throws,
   * none is. An aborted signal ends the wait; the batch under way is finished, and told to `onProgress`.
   * @throws as `push` to a queue that they go to, and as reading them; EVAQ_CLOSED where the store closes between two batches. No further one is
   * moved then, and `details.done` says how many have been
   */
  async redrive(selection?: RecordSelection<DeadLetter>, options?: RedriveOptions): Promise<MoveResult> {
    requireNoMore(arguments.length, 2, 'redrive');
    const resolved = resolveRedrive(options);
    const chosen = selectionOf<DeadLetter>(selection === undefined ? 'all' : selection, 'redrive');
    return untilAborted(resolved.signal, () => this.#host.redrive(chosen, resolved));
  }

  /**
   * Removes dead letters for good. IDs, a range from the first one on, and all go in one atomic step, others in several. A function is asked about all of
   * them before any is removed.
   * @throws as `removeMany`, and as reading them; where it is done in part `details.done` says how many are removed
   */
  async purge(selection: RecordSelection<DeadLetter>, options?: PurgeOptions): Promise<PurgeResult> {
    requireNoMore(arguments.length, 2, 'purge');
    const { dryRun, signal } = resolvePurge(options);
    const chosen = selectionOf<DeadLetter>(selection, 'purge');
    return untilAborted(signal, () => this.#host.purge(chosen, dryRun, signal));
  }
}
