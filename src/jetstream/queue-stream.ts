/**
 * The stream of one queue: made, looked at, read, and removed from. What it is asked it asks the server; it keeps nothing but what it knows to be gone.
 *
 * Single records are read from the leader. Ranges are read by direct get, which any replica may answer: one that lags behind may leave out what is new, and
 * show what is gone. What this handle removed a moment ago it leaves out itself, and what it pushed it waits for.
 */
import { randomUUID } from 'node:crypto';
import { EvaqError } from '../errors.js';
import type { QueueRecord } from '../log/queue-record.js';
import { after, elapsedMs } from '../vfs/own-timers.js';
import { type JsApi, numberIn, objectIn, refusedError, textIn } from './js-api.js';
import { entriesOf, type NatsMessage } from './nats-client.js';
import { pause } from './pause.js';
import { headersIn, recordOf } from './record-message.js';
import {
  type StreamDefaults,
  type StreamOptions,
  type StreamPlace,
  streamChanges,
  streamConfig,
} from './stream-config.js';

export interface StreamFigures {
  readonly messages: number;
  readonly bytes: number;
  readonly firstId: number;
  readonly lastId: number;
  readonly replicas: number;
  readonly leader: string | undefined;
  /** Of the others, those that are there and up to date. */
  readonly current: number;
  /** How the stream is made, as the server has it. */
  readonly config: object;
}

/** What a batch of a range came to. */
export interface ReadBatch {
  readonly records: readonly QueueRecord[];
  /** Nothing was behind it. */
  readonly isEnd: boolean;
}

const NOT_FOUND = 10_059;
const IN_USE = 10_058;
const NO_MESSAGE = 10_037;
const GONE: ReadonlySet<number> = new Set([10_043, 10_057]);
const BATCH_RECORDS = 500;
const BATCH_TRY_MS = 5000;
/** Before a replica that lags behind is asked again. */
const LAG_MS = 20;
/** Of what is removed, so much is remembered: replicas follow within moments. */
const REMOVED_MAX = 10_000;

export class QueueStream {
  readonly queue: string;
  readonly place: StreamPlace;
  readonly api: JsApi;
  readonly #removed = new Set<number>();
  /** More than one, as far as it was said when it was made or found. */
  #isReplicated = false;
  /** The newest ID that was acknowledged to this handle. */
  #acknowledgedId = 0;

  constructor(queue: string, place: StreamPlace, api: JsApi) {
    this.queue = queue;
    this.place = place;
    this.api = api;
  }

  /**
   * Makes it if there is none; of one that is there is changed what options say, and nothing else. Resolves with false where there is none, and none is to be made.
   * @throws EVAQ_UNSUPPORTED for a server that is too old
   */
  async ensure(defaults: StreamDefaults, options: StreamOptions, metadata: Record<string, string>): Promise<boolean> {
    const { stream } = this.place;
    const config = streamConfig(this.place, defaults, options);
    const found = await this.api.ask(`STREAM.INFO.${stream}`);
    let has = objectIn(found.body, 'config');
    if (found.refusal !== undefined) {
      if (found.refusal.errCode !== NOT_FOUND) throw refusedError(`the stream ${stream}`, found.refusal);
      if (!defaults.creates) return false;
      const made = await this.api.ask(`STREAM.CREATE.${stream}`, { ...config, metadata });
      // Somebody else has made it meanwhile.
      if (made.refusal?.errCode === IN_USE) return this.ensure(defaults, options, metadata);
      if (made.refusal !== undefined) throw refusedError(`the stream ${stream}`, made.refusal);
      has = objectIn(made.body, 'config');
    } else {
      const changes = streamChanges({ ...has }, options);
      const changed = changes === undefined ? undefined : { ...has, ...changes };
      if (changed !== undefined) has = objectIn(await this.api.demand(`STREAM.UPDATE.${stream}`, changed), 'config');
    }
    if (has === undefined || Reflect.get(has, 'allow_atomic') !== true) throw tooOldError(stream);
    this.#isReplicated = (numberIn(has, 'num_replicas') ?? 1) > 1;
    return true;
  }

  async figures(): Promise<StreamFigures> {
    const body = await this.api.demand(`STREAM.INFO.${this.place.stream}`);
    const state = objectIn(body, 'state');
    const config = objectIn(body, 'config') ?? {};
    const cluster = objectIn(body, 'cluster');
    const followers: unknown = cluster === undefined ? [] : Reflect.get(cluster, 'replicas');
    const current = Array.isArray(followers)
      ? followers.filter((one) => Reflect.get(Object(one), 'current') === true)
      : [];
    return {
      messages: numberIn(state, 'messages') ?? 0,
      bytes: numberIn(state, 'bytes') ?? 0,
      firstId: numberIn(state, 'first_seq') ?? 0,
      lastId: numberIn(state, 'last_seq') ?? 0,
      replicas: numberIn(config, 'num_replicas') ?? 1,
      leader: textIn(cluster, 'leader'),
      current: current.length,
      config,
    };
  }

  /** Of the leader. */
  async get(id: number): Promise<QueueRecord | undefined> {
    if (id < 1) return undefined;
    return this.#ofLeader({ seq: id });
  }

  /** The last record of a subject; of the leader. */
  async last(subject: string): Promise<QueueRecord | undefined> {
    return this.#ofLeader({ last_by_subj: subject });
  }

  async #ofLeader(wanted: Record<string, unknown>): Promise<QueueRecord | undefined> {
    const { body, refusal } = await this.api.ask(`STREAM.MSG.GET.${this.place.stream}`, wanted);
    if (refusal?.errCode === NO_MESSAGE) return undefined;
    if (body === undefined) throw refusedError(`a record of '${this.queue}'`, refusal);
    const message = objectIn(body, 'message');
    return recordOf({
      sequence: numberIn(message, 'seq') ?? 0,
      timeMs: timeOf(textIn(message, 'time')),
      data: Buffer.from(textIn(message, 'data') ?? '', 'base64'),
      headers: headersIn(Buffer.from(textIn(message, 'hdrs') ?? '', 'base64').toString()),
    });
  }

  /** The next records from an ID on: of so many bytes at most, as the server counts them, but one. @throws EVAQ_IO */
  async readOn(from: number, maxRecords: number, maxBytes: number): Promise<ReadBatch> {
    const deadline = elapsedMs() + this.api.timeoutMs;
    for (;;) {
      const wanted = { seq: Math.max(1, from), batch: Math.min(maxRecords, BATCH_RECORDS), max_bytes: maxBytes };
      const read = await this.#direct(wanted);
      if (read !== undefined) {
        const records = read.records.filter(({ id }) => !this.#removed.has(id));
        const isOver = read.isEnd || read.records.length === 0;
        if (records.length > 0)
          return { records, isEnd: read.isEnd && !this.#mayLag((records.at(-1)?.id ?? from) + 1) };
        if (isOver && (elapsedMs() > deadline || !(await this.#lagsBehind(from)))) return { records, isEnd: true };
        if (isOver) await pause(LAG_MS);
        else from = (read.records.at(-1)?.id ?? from) + 1;
      } else if (elapsedMs() > deadline || this.api.connection.isClosed()) {
        throw new EvaqError('EVAQ_IO', `no answer from NATS while reading queue '${this.queue}'`, {
          details: { queue: this.queue },
        });
      }
    }
  }

  /** A replica has not yet what this handle was told is there. */
  async #lagsBehind(from: number): Promise<boolean> {
    if (!this.#mayLag(from)) return false;
    return (await this.#ofLeader({ seq: Math.max(1, from), next_by_subj: this.place.subject })) !== undefined;
  }

  #mayLag(from: number): boolean {
    return this.#isReplicated && from <= this.#acknowledgedId;
  }

  noteAcknowledged(id: number): void {
    this.#acknowledgedId = Math.max(this.#acknowledgedId, id);
  }

  /** `undefined`: no answer in time. */
  #direct(wanted: Record<string, unknown>): Promise<ReadBatch | undefined> {
    const { connection } = this.api;
    const { stream, subject } = this.place;
    const inbox = `_INBOX.evaq.${randomUUID()}`;
    const records: QueueRecord[] = [];
    return new Promise((resolve) => {
      const finish = (result: ReadBatch | undefined): void => {
        cancel();
        subscription.unsubscribe();
        resolve(result);
      };
      const cancel = after(BATCH_TRY_MS, () => finish(undefined));
      const subscription = connection.subscribe(inbox, {
        callback: (error, message) => {
          const code = message.headers?.code ?? 0;
          if (error !== null || code === 503 || code === 408) return;
          if (code === 404) finish({ records, isEnd: true });
          else if (code >= 300) finish(undefined);
          else if (code === 204)
            finish({ records, isEnd: Number(message.headers?.get('Nats-Num-Pending') ?? '0') === 0 });
          else records.push(directRecordOf(message));
        },
      });
      connection.publish(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify({ ...wanted, next_by_subj: subject }), {
        reply: inbox,
      });
    });
  }

  /** Of several callers one is told 'removed'. 'maybe': this call did it, or another. */
  async remove(id: number): Promise<'removed' | 'maybe' | 'gone'> {
    if (id < 1) return 'gone';
    const asked = { seq: id, no_erase: true };
    const { body, refusal, again } = await this.api.ask(`STREAM.MSG.DELETE.${this.place.stream}`, asked);
    if (body !== undefined) {
      this.#removed.add(id);
      if (this.#removed.size > REMOVED_MAX) for (const oldest of this.#removed) return this.#forget(oldest);
      return 'removed';
    }
    if (refusal === undefined || !GONE.has(refusal.errCode)) throw refusedError(`the removal of ${id}`, refusal);
    return again ? 'maybe' : 'gone';
  }

  #forget(oldest: number): 'removed' {
    this.#removed.delete(oldest);
    return 'removed';
  }

  /** What is acknowledged is removed, too. */
  noteRemoved(id: number): void {
    this.#removed.add(id);
    if (this.#removed.size > REMOVED_MAX) for (const oldest of this.#removed) return void this.#removed.delete(oldest);
  }

  /** All up to and with an ID; how many there were. */
  async removeThrough(id: number): Promise<number> {
    const { lastId } = await this.figures();
    // More than there are would raise the next ID.
    const upTo = Math.min(id, lastId);
    if (upTo < 1) return 0;
    return numberIn(await this.api.demand(`STREAM.PURGE.${this.place.stream}`, { seq: upTo + 1 }), 'purged') ?? 0;
  }
}

function directRecordOf({ data, headers }: NatsMessage): QueueRecord {
  const fields = entriesOf(headers);
  return recordOf({
    sequence: Number(fields.get('Nats-Sequence') ?? '0'),
    timeMs: timeOf(fields.get('Nats-Time-Stamp')),
    data,
    headers: fields,
  });
}

function timeOf(text: string | undefined): number {
  const time = Date.parse(text ?? '');
  return Number.isNaN(time) ? 0 : time;
}

export function tooOldError(stream: string): EvaqError {
  return new EvaqError('EVAQ_UNSUPPORTED', `the stream ${stream} takes no atomic batches`, {
    hint: 'It needs a NATS server from 2.12.1 on, and a stream with allow_atomic.',
  });
}
