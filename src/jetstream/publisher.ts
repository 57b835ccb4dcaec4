/**
 * Publishes the records of one queue. What comes while a batch is on its way goes with the next one: that is its group commit. A batch is atomic on the server
 * (ADR-50, by headers), so its records have IDs in a row; each message has an ID of its own, by which the server knows a repeat after an answer that was lost.
 *
 * Invariants
 * - One batch at a time, in the order of the calls.
 * - A unit (a `push`, a `pushMany`) is never split.
 */
import { randomUUID } from 'node:crypto';
import { EvaqError } from '../errors.js';
import type { RecordMeta } from '../frame/metadata.js';
import type { IdSpan } from '../queue/commit-pipeline.js';
import { type Answer, type JsApi, NOT_STORED, numberIn, type Refusal, refusedError } from './js-api.js';
import type { NatsHeaders } from './nats-client.js';
import { pause } from './pause.js';
import { MESSAGE_ID, ownIdOf, packedId, writeMeta } from './record-message.js';
import type { StreamPlace } from './stream-config.js';

/** Of the server: error 10199. */
export const BATCH_RECORDS_MAX = 1000;
/** A batch that takes longer than ten seconds on its way is given up by the server. */
const BATCH_BYTES = 8 * 1024 * 1024;
const HOLDS_DUPLICATE = 10_201;
const TOO_LARGE = 10_054;
const NO_ATOMIC = 10_174;
/** How often it is looked for room. */
const FULL_PAUSE_MS = 50;

export interface Outgoing {
  readonly payload: Uint8Array;
  readonly meta: RecordMeta | undefined;
  /** Of the message; made here where the caller has none. */
  readonly messageId: string | undefined;
}

interface Message {
  readonly payload: Uint8Array;
  readonly meta: RecordMeta | undefined;
  readonly id: string;
}

interface Unit {
  readonly messages: readonly Message[];
  readonly bytes: number;
  /** With IDs of the caller's: one that is known would refuse all that is with it. */
  readonly isAlone: boolean;
  readonly resolve: (result: IdSpan) => void;
  readonly reject: (error: unknown) => void;
}

type Outcome =
  | { readonly kind: 'stored'; readonly span: IdSpan }
  | { readonly kind: 'duplicate' }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

export class Publisher {
  readonly #queue: string;
  readonly #place: StreamPlace;
  readonly #api: JsApi;
  readonly #waitsForRoom: () => boolean;
  /** For IDs of messages: another handle has another. */
  readonly #prefix = randomUUID();
  #count = 0;
  readonly #waiting: Unit[] = [];
  #running: Promise<void> | undefined;

  constructor(queue: string, place: StreamPlace, api: JsApi, waitsForRoom: () => boolean) {
    this.#queue = queue;
    this.#place = place;
    this.#api = api;
    this.#waitsForRoom = waitsForRoom;
  }

  /** Of at least one and at most `BATCH_RECORDS_MAX` records. Resolves when the stream has acknowledged them. */
  push(records: readonly Outgoing[]): Promise<IdSpan> {
    const messages = records.map(({ payload, meta, messageId }) => ({
      payload,
      meta,
      id: messageId === undefined ? ownIdOf(`${this.#prefix}:${++this.#count}`) : packedId(messageId),
    }));
    const bytes = messages.reduce((sum, { payload }) => sum + payload.length, 0);
    const isAlone = records.some(({ messageId }) => messageId !== undefined);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ messages, bytes, isAlone, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Under an ID that says what it is a copy of: a repeat of it resolves with the ID that it has. */
  async copy(payload: Uint8Array, meta: RecordMeta, what: string): Promise<number> {
    const outcome = await this.#single({ payload, meta, id: ownIdOf(what) });
    return this.#idsOf(outcome).firstId;
  }

  /** Resolves when what was pushed before is there, or has failed. */
  async settled(): Promise<void> {
    await new Promise<void>((resolve) => {
      if (this.#running === undefined) resolve();
      else void this.#running.then(resolve);
    });
  }

  async #run(): Promise<void> {
    // What is pushed in the same turn goes along.
    await Promise.resolve();
    for (let units = this.#take(); units.length > 0; units = this.#take()) await this.#publish(units);
    this.#running = undefined;
    if (this.#waiting.length > 0) this.#running = this.#run();
  }

  /** As many units as fit a batch. */
  #take(): Unit[] {
    const taken: Unit[] = [];
    let records = 0;
    let bytes = 0;
    for (const unit of this.#waiting) {
      const isFirst = taken.length === 0;
      if (!isFirst && (unit.isAlone || taken[0]?.isAlone === true)) break;
      if (!isFirst && (records + unit.messages.length > BATCH_RECORDS_MAX || bytes + unit.bytes > BATCH_BYTES)) break;
      taken.push(unit);
      records += unit.messages.length;
      bytes += unit.bytes;
    }
    this.#waiting.splice(0, taken.length);
    return taken;
  }

  async #publish(units: readonly Unit[]): Promise<void> {
    const messages = units.flatMap((unit) => unit.messages);
    try {
      const outcome = await this.#together(messages);
      if (outcome.kind !== 'stored' && units.length > 1) {
        // One of them is too much: who is it?
        for (const unit of units) await this.#publish([unit]);
        return;
      }
      let { firstId } = this.#idsOf(outcome);
      for (const unit of units) {
        const lastId = firstId + unit.messages.length - 1;
        unit.resolve({ firstId, lastId });
        firstId = lastId + 1;
      }
    } catch (error) {
      for (const unit of units) unit.reject(error);
    }
  }

  async #together(messages: readonly Message[]): Promise<Outcome> {
    for (;;) {
      const [first] = messages;
      const outcome =
        first !== undefined && messages.length === 1 ? await this.#single(first) : await this.#batch(messages);
      if (outcome.kind !== 'refused' || !isFull(outcome.refusal) || !this.#waitsForRoom()) return outcome;
      await pause(FULL_PAUSE_MS);
    }
  }

  async #single(message: Message): Promise<Outcome> {
    const answer = await this.#api.request(this.#place.subject, message.payload, () => this.#headersOf(message));
    return outcomeOf(answer, 1);
  }

  /** Only the last one is answered; after an answer that was lost all goes again, under the same IDs. */
  async #batch(messages: readonly Message[]): Promise<Outcome> {
    const last = messages.at(-1);
    if (last === undefined) throw new TypeError('a batch has messages');
    const { connection } = this.#api;
    let tries = 0;
    const newHeaders = (): NatsHeaders => {
      const batch = randomUUID();
      tries++;
      const headersAt = (message: Message, i: number): NatsHeaders => {
        const headers = this.#headersOf(message);
        headers.set('Nats-Batch-Id', batch);
        headers.set('Nats-Batch-Sequence', String(i + 1));
        return headers;
      };
      for (const [i, message] of messages.slice(0, -1).entries())
        connection.publish(this.#place.subject, message.payload, { headers: headersAt(message, i) });
      const headers = headersAt(last, messages.length - 1);
      headers.set('Nats-Batch-Commit', '1');
      return headers;
    };
    const answer = await this.#api.request(this.#place.subject, last.payload, newHeaders);
    if (answer.refusal?.errCode === HOLDS_DUPLICATE && tries > 1) return this.#found(messages, last);
    return outcomeOf(answer, messages.length);
  }

  /** It had come in: as a whole, as batches do. Where it is each end says when it is sent again. */
  async #found(messages: readonly Message[], last: Message): Promise<Outcome> {
    const [first = last] = messages;
    const ends = [await this.#single(first), await this.#single(last)];
    const [begin, end] = ends.map((one) => (one.kind === 'stored' ? one.span.firstId : undefined));
    if (begin !== undefined && end === begin + messages.length - 1) {
      return { kind: 'stored', span: { firstId: begin, lastId: end } };
    }
    throw new EvaqError('EVAQ_IO', `queue '${this.#queue}': a batch was answered twice, in two ways`, {
      hint: 'Whether it was pushed is not known: the window of duplicates is too short, or the stream was made anew.',
    });
  }

  #headersOf({ meta, id }: Message): NatsHeaders {
    const headers = this.#api.client.headers();
    writeMeta(headers, meta);
    headers.set(MESSAGE_ID, id);
    headers.set('Nats-Expected-Stream', this.#place.stream);
    return headers;
  }

  #idsOf(outcome: Outcome): IdSpan {
    if (outcome.kind === 'stored') return outcome.span;
    const details = { queue: this.#queue };
    if (outcome.kind === 'duplicate') {
      throw new EvaqError('EVAQ_DUPLICATE', `queue '${this.#queue}' knows a message of these`, { details });
    }
    const { refusal } = outcome;
    const text = `${refusal.description} (${refusal.errCode})`;
    if (isFull(refusal)) {
      throw new EvaqError('EVAQ_QUEUE_FULL', `queue '${this.#queue}' is full: ${text}`, { details });
    }
    if (refusal.errCode === TOO_LARGE) {
      throw new EvaqError('EVAQ_RECORD_TOO_LARGE', `queue '${this.#queue}': ${text}`, { details });
    }
    if (refusal.errCode === NO_ATOMIC) {
      throw new EvaqError('EVAQ_UNSUPPORTED', `queue '${this.#queue}': ${text}`, { details });
    }
    throw refusedError(`a push to '${this.#queue}'`, refusal);
  }
}

function isFull({ errCode, description }: Refusal): boolean {
  return errCode === NOT_STORED && description.startsWith('maximum ');
}

function outcomeOf({ body, refusal }: Answer, count: number): Outcome {
  if (refusal !== undefined)
    return refusal.errCode === HOLDS_DUPLICATE ? { kind: 'duplicate' } : { kind: 'refused', refusal };
  const lastId = numberIn(body, 'seq');
  if (lastId === undefined || lastId < count) {
    return { kind: 'refused', refusal: { code: 500, errCode: 0, description: 'the answer is none of JetStream' } };
  }
  return { kind: 'stored', span: { firstId: lastId - count + 1, lastId } };
}
