/**
 * What is remembered of records that were delivered and have not arrived: the last message of a subject for each, in a stream beside those of the queues.
 *
 * The server counts how often it handed a record out. A note says how many of these count as attempts; deliveries since then of which nothing was noted are
 * those of processes that died. So an attempt that was nobody's fault (destination down, a stop) costs none, and one that killed its process costs one.
 */
import type { RetryEntry } from '../delivery/retry-table.js';
import { type JsApi, numberIn, objectIn, refusedError, textIn } from './js-api.js';
import { triesStreamOf, triesSubjectOf, triesSubjectsOf } from './stream-names.js';

/** `deliveries`: as the server counts them, the one that it is about among them. */
export interface TriesNote {
  readonly entry: RetryEntry;
  readonly deliveries: number;
}

const NANOS = 1_000_000;
/** What nobody asks for any more goes by itself. */
const KEPT_MS = 30 * 24 * 3600 * 1000;

export class Tries {
  readonly #api: JsApi;
  readonly #store: string;
  #made: Promise<void> | undefined;

  constructor(store: string, api: JsApi) {
    this.#store = store;
    this.#api = api;
  }

  /** The stream is there. */
  ensure(replicas: number): Promise<void> {
    this.#made ??= this.#make(replicas);
    this.#made.catch(() => {
      this.#made = undefined;
    });
    return this.#made;
  }

  async #make(replicas: number): Promise<void> {
    const stream = triesStreamOf(this.#store);
    const { refusal } = await this.#api.ask(`STREAM.INFO.${stream}`);
    if (refusal === undefined) return;
    await this.#api.demand(`STREAM.CREATE.${stream}`, {
      name: stream,
      subjects: [triesSubjectsOf(this.#store)],
      retention: 'limits',
      storage: 'file',
      num_replicas: replicas,
      max_msgs_per_subject: 1,
      max_age: KEPT_MS * NANOS,
      discard: 'old',
    });
  }

  /** Resolves when it is kept. */
  async note(queue: string, id: number, { entry, deliveries }: TriesNote): Promise<void> {
    const subject = triesSubjectOf(this.#store, queue, id);
    const { refusal } = await this.#api.request(subject, JSON.stringify({ ...entry, deliveries }), undefined);
    if (refusal !== undefined) throw refusedError(`a note on record ${id}`, refusal);
  }

  async read(queue: string, id: number): Promise<TriesNote | undefined> {
    const { body } = await this.#api.ask(`STREAM.MSG.GET.${triesStreamOf(this.#store)}`, {
      last_by_subj: triesSubjectOf(this.#store, queue, id),
    });
    const data = textIn(objectIn(body, 'message'), 'data');
    return data === undefined ? undefined : noteIn(Buffer.from(data, 'base64').toString());
  }

  /** The record is gone: nobody asks any more. */
  forget(queue: string, id: number): void {
    const filter = JSON.stringify({ filter: triesSubjectOf(this.#store, queue, id) });
    try {
      this.#api.connection.publish(`$JS.API.STREAM.PURGE.${triesStreamOf(this.#store)}`, filter);
    } catch {
      // It goes by its age.
    }
  }
}

function noteIn(text: string): TriesNote | undefined {
  let note: unknown;
  try {
    note = JSON.parse(text);
  } catch {
    return undefined;
  }
  const deliveries = numberIn(note, 'deliveries');
  if (deliveries === undefined) return undefined;
  const entry = {
    attempts: numberIn(note, 'attempts') ?? 0,
    crashes: numberIn(note, 'crashes') ?? 0,
    dueMs: numberIn(note, 'dueMs') ?? 0,
    firstFailureMs: numberIn(note, 'firstFailureMs') ?? 0,
  };
  return { entry, deliveries };
}
