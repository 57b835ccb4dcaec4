/**
 * The dead letters of a queue of a store that another thread has.
 */
import { onceAborted, type WaitOptions, waitOf } from '../abortable.js';
import { requireNoMore } from '../arguments.js';
import { Callback } from '../callback.js';
import type { QueueRecord } from '../log/queue-record.js';
import { RecordIterator } from '../log/record-iterator.js';
import type { DeadLetter, DeadLetterSummary } from '../queue/dead-letter.js';
import {
  type MoveResult,
  type PurgeOptions,
  type PurgeResult,
  type RedriveOptions,
  resolvePurge,
  resolveRedrive,
} from '../queue/move-options.js';
import { type DeadLetterListOptions, listingOf } from '../queue/queue-dead-letters.js';
import { type RecordSelection, selectionOf } from '../queue/record-selection.js';
import type { SentSelection } from './link-protocol.js';
import { sentArguments } from './linked-arguments.js';
import { LinkedRecords, nextIteration } from './linked-records.js';
import type { ThreadLink } from './thread-link.js';

/**
 * As `QueueDeadLetters`, with the same promises and errors. A function that selects is called in this thread, by one way there and back for each letter; criteria are
 * faster. So is `onProgress`: what it throws ends the call, perhaps a batch later. Where this thread dies a redrive or a purge ends between two batches.
 */
export class LinkedDeadLetters {
  /** The queue that they are in; it is made with the first one. */
  readonly name: string;
  readonly #link: ThreadLink;
  readonly #index: number;

  /** Made by `LinkedQueue.deadLetters`. */
  constructor(link: ThreadLink, index: number, name: string) {
    this.name = name;
    this.#link = link;
    this.#index = index;
  }

  /** As `QueueDeadLetters.list`, by one way there and back for each letter. */
  list(options?: DeadLetterListOptions): AsyncGenerator<DeadLetter, void, undefined> {
    const given = arguments.length;
    return new RecordIterator<DeadLetter>(() => {
      const { signal, limit, criteria } = listingOf(given, options);
      this.#link.requireOpen();
      const number = nextIteration();
      const asked = { ...criteria, ...(limit === Infinity ? {} : { limit }) };
      const source = new LinkedRecords(
        {
          next: () => this.#link.call(this.#index, 'next', [number, 'letters', asked]),
          end: () => this.#link.call(this.#index, 'end', [number]),
        },
        isLetter,
      );
      return { source, signal };
    });
  }

  /** As `QueueDeadLetters.summary`. */
  async summary(options?: WaitOptions): Promise<DeadLetterSummary> {
    const signal = waitOf(arguments.length, 1, options, 'summary');
    const summary = await this.#call('summary', [{}], signal, {});
    if (!isSummary(summary)) throw new TypeError('the other end gave no summary');
    return summary;
  }

  /** As `QueueDeadLetters.redrive`. */
  async redrive(selection?: RecordSelection<DeadLetter>, options?: RedriveOptions): Promise<MoveResult> {
    requireNoMore(arguments.length, 2, 'redrive');
    const { signal, onProgress } = resolveRedrive(options);
    const { sent, isMeant } = sentSelection(selection === undefined ? 'all' : selection, 'redrive');
    const { signal: _, onProgress: __, ...rest } = options ?? {};
    const progress = new Callback(onProgress);
    // What `onProgress` throws ends the call, as a signal does.
    const ending = new AbortController();
    if (signal?.aborted === true) throw signal.reason;
    const over = onceAborted(signal, (reason) => ending.abort(reason));
    const told = onProgress === undefined ? rest : { ...rest, tellsProgress: true };
    try {
      const result = await this.#call('redrive', [sent, told], ending.signal, {
        isMeant,
        onProgress: (event) => {
          try {
            progress.tell(event);
          } catch (error) {
            ending.abort(error);
          }
        },
      });
      progress.throwIfFailed();
      if (!isMoveResult(result)) throw new TypeError('the other end gave no result');
      return result;
    } finally {
      over();
    }
  }

  /** As `QueueDeadLetters.purge`. */
  async purge(selection: RecordSelection<DeadLetter>, options?: PurgeOptions): Promise<PurgeResult> {
    requireNoMore(arguments.length, 2, 'purge');
    const { dryRun, signal } = resolvePurge(options);
    const { sent, isMeant } = sentSelection(selection, 'purge');
    const result = await this.#call('purge', [sent, { dryRun }], signal, { isMeant });
    if (!isPurgeResult(result)) throw new TypeError('the other end gave no result');
    return result;
  }

  /** The last argument has the options. */
  async #call(
    method: 'summary' | 'redrive' | 'purge',
    args: readonly unknown[],
    signal: AbortSignal | undefined,
    asks: Parameters<ThreadLink['call']>[3],
  ): Promise<unknown> {
    this.#link.requireOpen();
    const sent = sentArguments(method, args).args;
    const signalAt = signal === undefined ? undefined : args.length - 1;
    return this.#link.call(this.#index, `deadLetters.${method}`, sent, { signal, signalAt, ...asks });
  }
}

/** Which records are meant, as it is sent, and the function that is asked if it is one. @throws as `selectionOf` */
function sentSelection(
  selection: unknown,
  where: string,
): { readonly sent: SentSelection; readonly isMeant: ((record: QueueRecord) => unknown) | undefined } {
  const chosen = selectionOf<DeadLetter>(selection, where);
  if (chosen.kind === 'ids') return { sent: { kind: 'said', selection: chosen.ids }, isMeant: undefined };
  if (typeof selection !== 'function') return { sent: { kind: 'said', selection }, isMeant: undefined };
  const { accepts } = chosen;
  return { sent: { kind: 'asked' }, isMeant: (record) => isLetter(record) && accepts?.(record) };
}

function isLetter(value: unknown): value is DeadLetter {
  return typeof value === 'object' && value !== null && 'payload' in value && 'deliveryId' in value;
}

function isSummary(value: unknown): value is DeadLetterSummary {
  return typeof value === 'object' && value !== null && 'groups' in value;
}

function isMoveResult(value: unknown): value is MoveResult {
  return typeof value === 'object' && value !== null && 'refusedIds' in value;
}

function isPurgeResult(value: unknown): value is PurgeResult {
  return typeof value === 'object' && value !== null && 'purged' in value;
}
