/**
 * Publishes the records of one queue. What comes while a batch is on its way goes with the next one: that is its group commit. A batch is atomic, so its
 * records have IDs in a row.
 *
 * Invariants
 * - One batch at a time, in the order of the calls.
 * - A unit (a `push`, a `pushMany`) is never split.
 * - None waits longer than `timeoutMs` for those before it, unless the queue waits for room; then a close ends it, and its signal.
 * - Whoever waits is sent nothing of when his signal is aborted.
 */
import { randomUUID } from 'node:crypto';
import { EvaqError } from '../errors.js';
import type { RecordMeta } from '../frame/metadata.js';
import type { IdSpan } from '../ids.js';
import type { ResolvedLimits } from '../queue/limit-options.js';
import { elapsedMs } from '../vfs/own-timers.js';
import { type JsApi, NOT_STORED, type Refusal, refusedError } from './js-api.js';
import { type Message, MessageSender, type Outcome } from './message-sender.js';
import { pause } from './pause.js';
import { ownIdOf, packedId } from './record-message.js';
import type { StreamPlace } from './stream-config.js';

/** Of the server: error 10199. */
export const BATCH_RECORDS_MAX = 1000;
/** A batch that takes longer than ten seconds on its way is given up by the server. */
const BATCH_BYTES = 8 * 1024 * 1024;
const TOO_LARGE = 10_054;
const NO_ATOMIC = 10_174;
/** What the server counts of a message beside its payload and subject, at least. */
const STORED_BYTES = 30;
/** How often it is looked for room. */
const FULL_PAUSE_MS = 50;

export interface Outgoing {
  readonly payload: Uint8Array;
  readonly meta: RecordMeta | undefined;
  /** Of the message; made here where the caller has none. */
  readonly messageId: string | undefined;
}

interface Unit {
  readonly messages: readonly Message[];
  readonly bytes: number;
  /** With IDs of the caller's: one that is known would refuse all that is with it. */
  readonly isAlone: boolean;
  readonly since: number;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (result: IdSpan) => void;
  readonly reject: (error: unknown) => void;
}

export interface PublisherOptions {
  readonly queue: string;
  readonly place: StreamPlace;
  readonly api: JsApi;
  /** As far as this handle knows them. */
  readonly limits: ResolvedLimits | undefined;
  /** Of the store. */
  readonly isOpen: () => boolean;
}

export class Publisher {
  readonly #options: PublisherOptions;
  readonly #queue: string;
  readonly #sender: MessageSender;
  /** For IDs of messages: another handle has another. */
  readonly #prefix = randomUUID();
  #count = 0;
  readonly #waiting: Unit[] = [];
  #isRunning = false;
  /** All that was pushed has ended. */
  #settled: Promise<void> = Promise.resolve();

  constructor(options: PublisherOptions) {
    const { queue, place, api } = options;
    this.#options = options;
    this.#queue = queue;
    this.#sender = new MessageSender(queue, place, api);
  }

  /**
   * Of at least one and at most `BATCH_RECORDS_MAX` records. Resolves when the stream has acknowledged them. `signal`: aborted before they are sent they are
   * withdrawn.
   */
  push(records: readonly Outgoing[], signal?: AbortSignal): Promise<IdSpan> {
    const messages = records.map(({ payload, meta, messageId }) => ({
      payload,
      meta,
      id: messageId === undefined ? ownIdOf(`${this.#prefix}:${++this.#count}`) : packedId(messageId),
    }));
    const bytes = messages.reduce((sum, { payload }) => sum + payload.length, 0);
    const tooLarge = this.#neverFits(messages.length, bytes);
    if (tooLarge !== undefined) return Promise.reject(tooLarge);
    const isAlone = records.some(({ messageId }) => messageId !== undefined);
    const pushed = new Promise<IdSpan>((resolve, reject) => {
      this.#waiting.push({ messages, bytes, isAlone, since: elapsedMs(), signal, resolve, reject });
      if (!this.#isRunning) void this.#run();
    });
    this.#settled = Promise.allSettled([this.#settled, pushed]).then(() => undefined);
    return pushed;
  }

  #neverFits(records: number, payloadBytes: number): EvaqError | undefined {
    const { limits, place } = this.#options;
    const need = { records, bytes: payloadBytes + records * (STORED_BYTES + place.subject.length) };
    for (const exceeded of ['records', 'bytes'] as const) {
      const limit = limits?.[exceeded];
      const wanted = need[exceeded];
      if (limit === undefined || wanted <= limit) continue;
      return new EvaqError(
        'EVAQ_RECORD_TOO_LARGE',
        `a push has ${wanted} ${exceeded}; queue '${this.#queue}' may hold ${limit} in all`,
        { details: { queue: this.#queue, exceeded, limit, wanted } },
      );
    }
    return undefined;
  }

  /** Under an ID that says what it is a copy of: a repeat of it resolves with the ID that it has. */
  async copy(payload: Uint8Array, meta: RecordMeta, what: string): Promise<number> {
    const outcome = await this.#sender.single({ payload, meta, id: ownIdOf(what) });
    return this.#idsOf(outcome).firstId;
  }

  /** Resolves when what was pushed before the call is there, or has failed. What waits for room fails when the store is closed. */
  async settled(): Promise<void> {
    await this.#settled;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    // What is pushed in the same turn goes along.
    await Promise.resolve();
    for (let units = this.#take(); units.length > 0; units = this.#take()) await this.#publish(units);
    this.#isRunning = false;
  }

  /** As many units as fit a batch. */
  #take(): Unit[] {
    this.#withdraw();
    this.#giveUp();
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

  #withdraw(): void {
    const isAborted = ({ signal }: Unit): boolean => signal?.aborted === true;
    if (!this.#waiting.some(isAborted)) return;
    const all = this.#waiting.splice(0);
    for (const unit of all) {
      if (isAborted(unit)) unit.reject(unit.signal?.reason);
      else this.#waiting.push(unit);
    }
  }

  get #waitsForRoom(): boolean {
    return this.#options.limits?.whenFull === 'wait';
  }

  /** Those that have waited too long: nothing of them was sent. */
  #giveUp(): void {
    if (this.#waitsForRoom) return;
    const since = elapsedMs() - this.#options.api.timeoutMs;
    const late = this.#waiting.findIndex((unit) => unit.since >= since);
    for (const { reject } of this.#waiting.splice(0, late < 0 ? this.#waiting.length : late)) {
      reject(
        new EvaqError('EVAQ_IO', `queue '${this.#queue}': NATS does not answer; this was not sent`, {
          details: { queue: this.#queue },
        }),
      );
    }
  }

  async #publish(units: readonly Unit[]): Promise<void> {
    const [only] = units;
    try {
      // It may have waited behind one that waited for room.
      if (units.length === 1) only?.signal?.throwIfAborted();
      const outcome = await this.#send(units.flatMap((unit) => unit.messages));
      if (outcome.kind !== 'stored' && units.length > 1) {
        // One of them is too much: who is it?
        for (const unit of units) await this.#publish([unit]);
        return;
      }
      const isWaiting = outcome.kind === 'refused' && isFull(outcome.refusal) && this.#waitsForRoom;
      let { firstId } = isWaiting && only !== undefined ? await this.#whenRoom(only) : this.#idsOf(outcome);
      for (const unit of units) {
        const lastId = firstId + unit.messages.length - 1;
        unit.resolve({ firstId, lastId });
        firstId = lastId + 1;
      }
    } catch (error) {
      for (const unit of units) unit.reject(error);
    }
  }

  #send(messages: readonly Message[]): Promise<Outcome> {
    const [first] = messages;
    return first !== undefined && messages.length === 1 ? this.#sender.single(first) : this.#sender.batch(messages);
  }

  /** Those behind it wait, too: in the order of the calls. */
  async #whenRoom({ messages, signal }: Unit): Promise<IdSpan> {
    for (;;) {
      await pause(FULL_PAUSE_MS);
      signal?.throwIfAborted();
      if (!this.#options.isOpen()) {
        throw new EvaqError('EVAQ_CLOSED', `queue '${this.#queue}' was closed before there was room`, {
          details: { queue: this.#queue },
        });
      }
      const outcome = await this.#send(messages);
      if (outcome.kind !== 'refused' || !isFull(outcome.refusal)) return this.#idsOf(outcome);
    }
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
