/**
 * Sends messages of one stream: one, or a batch, which is atomic on the server (ADR-50, by headers). Each message has an ID of its own, by which the server
 * knows a repeat after an answer that was lost: all goes again under the same IDs.
 *
 * Nothing is stored by asking what became of a message: the question is a message under its ID that the server cannot store.
 */
import { randomUUID } from 'node:crypto';
import { EvaqError } from '../errors.js';
import type { RecordMeta } from '../frame/metadata.js';
import type { IdSpan } from '../ids.js';
import { elapsedMs } from '../vfs/own-timers.js';
import { type Answer, type JsApi, numberIn, type Refusal } from './js-api.js';
import type { NatsHeaders } from './nats-client.js';
import { pause } from './pause.js';
import { isOwnId, MESSAGE_ID, writeMeta } from './record-message.js';
import type { StreamPlace } from './stream-config.js';

export interface Message {
  readonly payload: Uint8Array;
  readonly meta: RecordMeta | undefined;
  readonly id: string;
}

export type Outcome =
  | { readonly kind: 'stored'; readonly span: IdSpan }
  | { readonly kind: 'duplicate' }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

const HOLDS_DUPLICATE = 10_201;
/** A batch that the server has not, or not all of: also where others have more of them under way than it keeps. */
const INCOMPLETE = 10_176;
const INCOMPLETE_PAUSE_MS = 100;
/** No way to roll up: a server refuses it after it has looked for a repeat, and before anything is stored or proposed to replicas. */
const NO_ROLLUP = 'never';

export class MessageSender {
  readonly #queue: string;
  readonly #place: StreamPlace;
  readonly #api: JsApi;

  constructor(queue: string, place: StreamPlace, api: JsApi) {
    this.#queue = queue;
    this.#place = place;
    this.#api = api;
  }

  /** A repeat is stored: where it is. */
  async single(message: Message): Promise<Outcome> {
    const answer = await this.#api.request(this.#place.subject, message.payload, () => this.#headersOf(message));
    return outcomeOf(answer, 1);
  }

  /** All of them in a row, or none. 'duplicate': none, for one of the callers' IDs is known. */
  async batch(messages: readonly Message[]): Promise<Outcome> {
    const deadline = elapsedMs() + this.#api.timeoutMs;
    for (let again = false; ; ) {
      const answer = await this.#sendBatch(messages);
      again ||= answer.again;
      const errCode = answer.refusal?.errCode;
      if (errCode === HOLDS_DUPLICATE) return this.#known(messages, again);
      if (errCode !== INCOMPLETE || elapsedMs() > deadline) return outcomeOf(answer, messages.length);
      again = true;
      await pause(INCOMPLETE_PAUSE_MS);
    }
  }

  /** Only the last one is answered. */
  #sendBatch(messages: readonly Message[]): Promise<Answer> {
    const last = messages.at(-1);
    if (last === undefined) throw new TypeError('a batch has messages');
    const { connection } = this.#api;
    const newHeaders = (): NatsHeaders => {
      const batch = randomUUID();
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
    return this.#api.request(this.#place.subject, last.payload, newHeaders);
  }

  /**
   * The server knows one of them. An ID that was made here it can only know from this very batch, which came in as a whole; IDs of callers it may know from
   * before, and then the batch is refused. So all of these are looked up: in a row they are the batch.
   */
  async #known(messages: readonly Message[], again: boolean): Promise<Outcome> {
    const areOwn = messages.every(({ id }) => isOwnId(id));
    if (!areOwn && !again) return { kind: 'duplicate' };
    const begin = await this.#whereIs(messages[0]);
    const ends = areOwn ? messages.slice(-1) : messages;
    const found = await Promise.all(ends.map((message) => this.#whereIs(message)));
    const firstAt = messages.length - ends.length;
    if (begin !== undefined && found.every((at, i) => at === begin + firstAt + i))
      return { kind: 'stored', span: { firstId: begin, lastId: begin + messages.length - 1 } };
    if (!areOwn) return { kind: 'duplicate' };
    throw new EvaqError('EVAQ_IO', `queue '${this.#queue}': a batch was answered twice, in two ways`, {
      hint: 'Whether it was pushed is not known: the window of duplicates is too short, or the stream was made anew.',
    });
  }

  /** The ID of the record that a message came in as; `undefined` where the server does not know it. */
  async #whereIs(message: Message | undefined): Promise<number | undefined> {
    if (message === undefined) return undefined;
    const { body, refusal } = await this.#api.request(this.#place.subject, '', () => {
      const headers = this.#headersOf({ payload: message.payload, meta: undefined, id: message.id });
      headers.set('Nats-Rollup', NO_ROLLUP);
      return headers;
    });
    return refusal === undefined ? numberIn(body, 'seq') : undefined;
  }

  #headersOf({ meta, id }: Message): NatsHeaders {
    const headers = this.#api.client.headers();
    writeMeta(headers, meta);
    headers.set(MESSAGE_ID, id);
    headers.set('Nats-Expected-Stream', this.#place.stream);
    return headers;
  }
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
