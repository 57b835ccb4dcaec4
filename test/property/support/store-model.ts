/**
 * What a store may hold, by what its callers were told: dumber than the engine on purpose. It knows neither files nor commits, only
 * calls, acknowledgements and what was read.
 *
 * A payload carries its own number (its token), so that whatever is read says which push it came from. Of each token the model knows
 * whether it was pushed and removed ('yes', 'no', or 'maybe': asked for and not answered) and the places where it may be. Every broken
 * promise is an error of its own that begins with the promise's number.
 */

import type { PromiseTally } from './promise-tally.js';

export type QueueName = 'wal' | 'dead-letters' | 'extra';
export const QUEUES: readonly QueueName[] = ['wal', 'dead-letters', 'extra'];

export type Certainty = 'yes' | 'no' | 'maybe';

/** A place where a record may be. An ID nobody was told is undefined, and above all that were known when it was asked for. */
export interface Home {
  readonly queue: QueueName;
  readonly id: number | undefined;
  readonly above: number;
}

export interface Token {
  readonly number: number;
  readonly bytes: number;
  /** Tokens of one `pushMany` share a batch. */
  readonly batch: number;
  readonly batchIndex: number;
  pushed: Certainty;
  removed: Certainty;
  homes: readonly Home[];
  /** Calls under way that may remove or move it. */
  busy: number;
  /** It was moved, or a move was asked for. */
  moved: boolean;
  /** For messages: what was heard of it last. */
  last: string;
}

/** What was read: one record. */
export interface Seen {
  readonly queue: QueueName;
  readonly id: number;
  readonly payload: Uint8Array;
}

export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise';
  readonly promise: string;

  constructor(promise: string, what: string) {
    super(`${promise}: ${what}`);
    this.promise = promise;
  }
}

/** The payload of a token: three bytes of its number, and text that repeats it. */
export function payloadOf(token: number, bytes: number): Buffer {
  const payload = Buffer.alloc(Math.max(3, bytes), `<${token}>`);
  payload.writeUIntBE(token, 0, 3);
  return payload;
}

function nameOf(token: Token): string {
  const homes = token.homes.map(({ queue, id, above }) => `${queue}/${id ?? `>${above}`}`).join(' or ');
  return `token ${token.number} (${token.bytes} B, ${homes}; ${token.last})`;
}

export class StoreModel {
  readonly tokens: Map<number, Token> = new Map();
  /** Per queue: who has an ID, of all IDs that were ever known. */
  readonly #owners: Map<QueueName, Map<number, number>> = new Map();
  readonly #highest: Map<QueueName, number> = new Map();
  #batches = 0;
  /** The handle has rejected with EVAQ_FAILED. */
  failed = false;
  readonly #tally: PromiseTally | undefined;

  constructor(tally?: PromiseTally) {
    this.#tally = tally;
  }

  clone(): StoreModel {
    const copy = new StoreModel(this.#tally);
    for (const [number, token] of this.tokens) copy.tokens.set(number, { ...token });
    for (const [queue, owners] of this.#owners) copy.#owners.set(queue, new Map(owners));
    for (const [queue, highest] of this.#highest) copy.#highest.set(queue, highest);
    copy.#batches = this.#batches;
    return copy;
  }

  highest(queue: QueueName): number {
    return this.#highest.get(queue) ?? 0;
  }

  /** Pushes are about to be asked for, as one batch. */
  push(queue: QueueName, sizes: readonly number[]): Token[] {
    const batch = ++this.#batches;
    return sizes.map((size, batchIndex) => {
      const token: Token = {
        number: this.tokens.size + 1,
        bytes: Math.max(3, size),
        batch,
        batchIndex,
        pushed: 'maybe',
        removed: 'no',
        homes: [{ queue, id: undefined, above: this.highest(queue) }],
        busy: 0,
        moved: false,
        last: 'push asked for',
      };
      this.tokens.set(token.number, token);
      return token;
    });
  }

  /** A push or move was acknowledged with this ID. */
  arrived(token: Token, queue: QueueName, id: number, what: string): void {
    this.mustNotHaveFailed(what);
    this.#learn(token, queue, id);
    token.pushed = 'yes';
    token.homes = [{ queue, id, above: 0 }];
    token.last = `${what} acknowledged`;
  }

  /** P7. */
  mustNotHaveFailed(what: string): void {
    if (this.failed) throw new BrokenPromise('P7', `a ${what} was acknowledged after a sync had failed`);
  }

  /** Tokens whose ID in this queue is known and that may be live there, in ID order. */
  candidates(queue: QueueName): { readonly token: Token; readonly id: number }[] {
    const found: { token: Token; id: number }[] = [];
    for (const token of this.tokens.values()) {
      if (token.pushed === 'no' || token.removed === 'yes') continue;
      for (const home of token.homes) {
        if (home.queue === queue && home.id !== undefined) found.push({ token, id: home.id });
      }
    }
    return found.sort((a, b) => a.id - b.id);
  }

  /** Tokens that may be live in this queue under an ID up to `id` that nobody was told. */
  unknownBelow(queue: QueueName, id: number): Token[] {
    return [...this.tokens.values()].filter(
      (token) =>
        token.pushed !== 'no' &&
        token.removed !== 'yes' &&
        token.homes.some((home) => home.queue === queue && home.id === undefined && home.above < id),
    );
  }

  /** It is there, whoever looks, unless a call under way takes it. */
  isCertain(token: Token): boolean {
    return token.pushed === 'yes' && token.removed === 'no' && token.homes.length === 1;
  }

  /** All that a reader who begins now must come by, unless a call takes it meanwhile. */
  certain(): Set<Token> {
    return new Set([...this.tokens.values()].filter((token) => this.isCertain(token) && token.busy === 0));
  }

  /** One record that was read, at any time. */
  recognize(seen: Seen): Token {
    const { queue, id, payload } = seen;
    const number = payload.length < 3 ? -1 : Buffer.from(payload.subarray(0, 3)).readUIntBE(0, 3);
    const token = this.tokens.get(number);
    const where = `${queue}/${id}`;
    this.#tally?.check('P3');
    if (token === undefined) throw new BrokenPromise('P3', `${where} holds ${payload.length} bytes that nobody pushed`);
    if (!payloadOf(number, token.bytes).equals(payload)) {
      throw new BrokenPromise(
        'P3',
        `${where} holds ${payload.length} bytes that differ from what was pushed as ${nameOf(token)}`,
      );
    }
    if (token.pushed === 'no') throw new BrokenPromise('P4', `${where} holds what was not pushed: ${nameOf(token)}`);
    if (token.removed === 'yes') throw new BrokenPromise('P2', `${where} was removed and is back: ${nameOf(token)}`);
    if (
      !token.homes.some((home) => home.queue === queue && (home.id === undefined ? id > home.above : home.id === id))
    ) {
      const elsewhere = token.homes.some((home) => home.queue !== queue) ? 'P10' : 'P3';
      throw new BrokenPromise(elsewhere, `${where} is not where it belongs: ${nameOf(token)}`);
    }
    this.#learn(token, queue, id);
    return token;
  }

  /**
   * All that was read from front to back, queue by queue. 'open': the first look after an open, which decides what was in doubt.
   * 'live': of a running handle, where calls may be under way; `before` are the tokens that were certain when the reading began.
   */
  view(all: ReadonlyMap<QueueName, readonly Seen[]>, when: 'open' | 'live', before?: ReadonlySet<Token>): void {
    const places = new Map<Token, Seen>();
    for (const [queue, records] of all) {
      let previous = 0;
      for (const seen of records) {
        if (seen.id <= previous)
          throw new BrokenPromise('P3', `${queue}/${seen.id} was read after ${queue}/${previous}`);
        previous = seen.id;
        const token = this.recognize(seen);
        const other = places.get(token);
        if (other !== undefined && (when === 'open' || token.busy === 0)) {
          throw new BrokenPromise(
            'P10',
            `live both in ${other.queue}/${other.id} and ${queue}/${seen.id}: ${nameOf(token)}`,
          );
        }
        places.set(token, seen);
      }
    }
    for (const token of this.tokens.values()) {
      if (when === 'open') this.#count(token);
      if (places.has(token) || token.pushed !== 'yes' || token.removed !== 'no') continue;
      if (when === 'live' && (before?.has(token) !== true || token.busy > 0 || !this.isCertain(token))) continue;
      throw new BrokenPromise(token.homes.length > 1 ? 'P10' : 'P1', `lost: ${nameOf(token)}`);
    }
    if (when === 'open') this.#decide(places);
  }

  /** What the first look after an open says of this token. */
  #count(token: Token): void {
    if (token.pushed === 'yes' && token.removed === 'no') this.#tally?.check('P1');
    if (token.pushed !== 'no' && token.removed === 'yes') this.#tally?.check('P2');
    if (token.pushed === 'no' && token.last.startsWith('push rejected')) this.#tally?.check('P4');
    if (token.moved) this.#tally?.check('P10');
  }

  /** A new handle: no call is under way any more. */
  reopened(): void {
    this.failed = false;
    for (const token of this.tokens.values()) token.busy = 0;
  }

  #decide(places: ReadonlyMap<Token, Seen>): void {
    const batches = new Map<number, Token[]>();
    for (const token of this.tokens.values()) {
      if (token.pushed !== 'maybe') continue;
      const batch = batches.get(token.batch);
      if (batch === undefined) batches.set(token.batch, [token]);
      else batch.push(token);
    }
    for (const batch of batches.values()) {
      if (batch.length > 1) this.#tally?.check('P4');
      const there = batch.filter((token) => places.has(token));
      if (there.length === 0) continue;
      const missing = batch.find((token) => !places.has(token) && token.removed === 'no');
      if (missing !== undefined) {
        throw new BrokenPromise(
          'P4',
          `${there.length} of ${batch.length} records of one pushMany are there; not ${nameOf(missing)}`,
        );
      }
      for (const [i, token] of there.entries()) {
        if (
          (places.get(token)?.id ?? 0) - (places.get(there[0] ?? token)?.id ?? 0) !==
          token.batchIndex - (there[0]?.batchIndex ?? 0)
        ) {
          throw new BrokenPromise('P3', `record ${i} of one pushMany has an ID out of line: ${nameOf(token)}`);
        }
      }
    }
    for (const token of this.tokens.values()) {
      const seen = places.get(token);
      if (seen !== undefined) {
        // From here on it stays, whatever becomes of the machine.
        if (token.pushed !== 'yes' || token.removed !== 'no' || token.homes.length > 1) token.last = 'shown by an open';
        token.pushed = 'yes';
        token.removed = 'no';
        token.homes = [{ queue: seen.queue, id: seen.id, above: 0 }];
      } else if (token.pushed === 'maybe') {
        token.pushed = 'no';
        token.last = 'an open did not show it';
      } else if (token.removed === 'maybe') {
        token.removed = 'yes';
        token.last = 'an open did not show it';
      }
    }
  }

  #learn(token: Token, queue: QueueName, id: number): void {
    const owners = this.#owners.get(queue) ?? new Map<number, number>();
    this.#owners.set(queue, owners);
    const owner = owners.get(id);
    if (owner !== undefined && owner !== token.number) {
      const first = this.tokens.get(owner);
      throw new BrokenPromise(
        'P8',
        `${queue}/${id} is ${nameOf(token)} and was ${first === undefined ? owner : nameOf(first)}`,
      );
    }
    const home = token.homes.find((one) => one.queue === queue && one.id === undefined);
    if (owner === undefined && home !== undefined && id <= home.above) {
      throw new BrokenPromise(
        'P8',
        `${queue}/${id} was given out when ${home.above} was known already: ${nameOf(token)}`,
      );
    }
    owners.set(id, token.number);
    this.#highest.set(queue, Math.max(this.highest(queue), id));
  }
}
