/**
 * What is asked of a queue's dead letters: list, summary, redrive, purge. A queue of dead letters that is not there yet has none, and is not made for
 * the question.
 */
import { throwIfAborted } from '../abortable.js';
import { FIRST_RECORD_ID } from '../ids.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { RecordSource } from '../log/record-iterator.js';
import { type DeadLetter, type DeadLetterSummary, deadLetterOf } from '../queue/dead-letter.js';
import type { MoveResult, PurgeResult, ResolvedMove } from '../queue/move-options.js';
import type { QueueCore } from '../queue/queue-core.js';
import { QueueDeadLetters } from '../queue/queue-dead-letters.js';
import type { RangeSelection, ResolvedSelection } from '../queue/record-selection.js';
import type { Host } from '../vfs/host.js';
import { IdRuns, type Walk, walkRange } from './chosen-records.js';
import { deadLettersNameOf, holdsDeadLetters, homeNameOf, redrivenMeta } from './dead-letters.js';
import { FilteredSource } from './filtered-source.js';
import { LetterSummary } from './letter-summary.js';
import type { Router } from './move.js';
import { moveMany, requireGoing, withDone } from './move-many.js';
import { eachNamed, eachSelected, LETTER_BATCH } from './selected-records.js';

export interface LetterCallsOptions {
  readonly host: Host;
  readonly storeId: string;
  /** The queue of that name: itself if it is open, else it is opened, and made if there is none. */
  readonly core: (name: string) => QueueCore | Promise<QueueCore>;
  readonly exists: (name: string) => boolean;
  /** Throws EVAQ_CLOSED. */
  readonly requireOpen: () => void;
}

/** Removed together, where it is not all in one step. */
const PURGE_BATCH = 4096;

const NOTHING_MOVED: MoveResult = { moved: 0, queues: {}, gone: 0, refused: 0, refusedIds: [] };

/** The dead letters of `queue`; of a queue that holds dead letters: those in it. */
export function deadLettersOf(queue: string, options: LetterCallsOptions): QueueDeadLetters {
  const calls = new LetterCalls(holdsDeadLetters(queue) ? queue : deadLettersNameOf(queue), options);
  return new QueueDeadLetters(calls.name, calls);
}

class LetterCalls {
  readonly name: string;
  readonly #options: LetterCallsOptions;

  constructor(name: string, options: LetterCallsOptions) {
    this.name = name;
    this.#options = options;
  }

  readonly list = ({ from, to, accepts }: RangeSelection<DeadLetter>, limit: number): RecordSource<DeadLetter> =>
    new FilteredSource({
      open: async () => (await this.#core())?.records(from, to, 'records', LETTER_BATCH),
      shown: (record) => {
        const letter = this.#letter(record);
        return accepts === undefined || accepts(letter) === true ? letter : undefined;
      },
      limit,
      pause: () => this.#options.host.yield(),
    });

  readonly summary = async (signal: AbortSignal | undefined): Promise<DeadLetterSummary> => {
    const core = await this.#core();
    const summary = new LetterSummary();
    const everything = { kind: 'range', from: 0, to: Number.MAX_SAFE_INTEGER, accepts: undefined } as const;
    if (core !== undefined) {
      await eachSelected(core, this.#options.host, everything, signal, (record) => {
        summary.add(record, this.#homeOf(record));
        return true;
      });
    }
    return summary.result();
  };

  readonly redrive = async (selection: ResolvedSelection<DeadLetter>, options: ResolvedMove): Promise<MoveResult> => {
    const found = this.#core();
    // Where it is open the first are claimed before anybody else has his turn.
    const from = found !== undefined && 'then' in found ? await found : found;
    if (from === undefined)
      return selection.kind === 'ids' ? { ...NOTHING_MOVED, gone: selection.ids.length } : NOTHING_MOVED;
    const goesTo = (record: QueueRecord): string | undefined =>
      (record.redrives ?? 0) < options.maxRedrives ? this.#homeOf(record) : undefined;
    const router: Router = (record) => {
      const home = goesTo(record);
      if (home === undefined) return undefined;
      const meta = redrivenMeta(record);
      const to = this.#options.core(home);
      return 'then' in to ? to.then((opened) => ({ to: opened, meta })) : { to, meta };
    };
    return moveMany({ host: this.#options.host, from, selection: this.#ofRecords(selection), router, goesTo, options });
  };

  readonly purge = async (
    selection: ResolvedSelection<DeadLetter>,
    dryRun: boolean,
    signal: AbortSignal | undefined,
  ): Promise<PurgeResult> => {
    const core = await this.#core();
    if (core === undefined) return { purged: 0, gone: selection.kind === 'ids' ? selection.ids.length : 0 };
    const { removing, log } = core;
    if (selection.kind === 'ids') {
      if (dryRun) {
        let purged = 0;
        const gone = await eachNamed(core, selection.ids, signal, () => ++purged > 0);
        return { purged, gone };
      }
      const purged = await core.call(() => removing.removeMany(selection.ids));
      return { purged, gone: selection.ids.length - purged };
    }
    const { from, accepts } = selection;
    const to = Math.min(selection.to, log.lastVisibleId);
    if (!dryRun && accepts === undefined) {
      if (from > FIRST_RECORD_ID) return this.#remove(core, walkRange(core, from, to), signal);
      return { purged: await core.call(() => removing.removeThrough(to)), gone: 0 };
    }
    const runs = new IdRuns();
    await eachSelected(core, this.#options.host, this.#ofRecords(selection), signal, ({ id }) => {
      runs.add(id);
      return true;
    });
    return dryRun ? { purged: runs.count, gone: 0 } : this.#remove(core, runs.walk(), signal);
  };

  async #remove(core: QueueCore, walk: Walk, signal: AbortSignal | undefined): Promise<PurgeResult> {
    let purged = 0;
    let gone = 0;
    for (;;) {
      throwIfAborted(signal);
      const ids = walk.next(PURGE_BATCH);
      if (ids.length === 0) return { purged, gone };
      requireGoing(core, purged);
      try {
        const removed = await core.call(() => core.removing.removeMany(ids));
        purged += removed;
        gone += ids.length - removed;
      } catch (error) {
        throw withDone(error, purged);
      }
    }
  }

  /** The queue they are in; `undefined`: there has been none yet. */
  #core(): QueueCore | Promise<QueueCore> | undefined {
    this.#options.requireOpen();
    return this.#options.exists(this.name) ? this.#options.core(this.name) : undefined;
  }

  /** A function is shown what `list` shows. */
  #ofRecords(selection: RangeSelection<DeadLetter>): RangeSelection<QueueRecord>;
  #ofRecords(selection: ResolvedSelection<DeadLetter>): ResolvedSelection;
  #ofRecords(selection: ResolvedSelection<DeadLetter>): ResolvedSelection {
    if (selection.kind === 'ids') return selection;
    const { accepts } = selection;
    if (accepts === undefined) return { ...selection, accepts };
    return { ...selection, accepts: (record: QueueRecord) => accepts(this.#letter(record)) };
  }

  #letter(record: QueueRecord): DeadLetter {
    return deadLetterOf(record, this.#options.storeId, this.name, this.#homeOf(record));
  }

  /** The queue that it came from, or was pushed to; what was pushed here goes to the queue whose dead letters these are. */
  #homeOf({ origin, identity }: QueueRecord): string {
    for (const queue of [origin?.queue, identity?.queue])
      if (queue !== undefined && !holdsDeadLetters(queue)) return queue;
    return homeNameOf(this.name);
  }
}
