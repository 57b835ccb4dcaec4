/**
 * What is known of the records of a queue that is delivered: dumber than the engine on purpose. It knows neither files nor turns, only what handlers
 * were given and what they did, and what `docs/delivery.md` says of that. Counts are ranges: from what must have been counted to what may have been.
 */
import type { Deed, DeliveryScript } from './delivery-script.js';
import { BrokenPromise } from './store-model.js';

/** Within this, in simulated ms, what a handler's end came to may not have been written. */
const WRITTEN_MS = 400;
export const BASE_MS = 10;
export const MAX_MS = 160;
export const LATER_MS = 60;
/** Of what is due: a date has whole milliseconds. */
const ROUNDING_MS = 2;

export interface Token {
  readonly number: number;
  readonly key: string;
  readonly deeds: readonly Deed[];
  readonly dueMs: number;
  readonly isDelayed: boolean;
  id: number | undefined;
  acknowledged: boolean;
  /** Times that a handler had it. */
  tries: number;
  /** Counted failures. */
  min: number;
  max: number;
  crashesMax: number;
  /** It left the queue: delivered, removed, dropped, or to the dead letters. */
  gone: 'no' | 'maybe' | 'yes';
  mayBeDead: boolean;
  /** After a failure in this life: not to be tried before. */
  notBefore: number;
  /** When the process was killed last with it in a handler: that may not be durable. */
  killedAt: number;
  /** The breaker opened and gave it back so many attempts; in that moment it may be handed out by somebody who has not heard of it. */
  forgiven: { readonly at: number; readonly count: number } | undefined;
  /** When a handler ended with it last in this life, and whether that has counted. */
  ended: { readonly at: number; readonly counted: boolean } | undefined;
}

/** One delivery, as far as it matters: its breaker, and whether it was asked to stop. */
export interface Courier {
  breaker: 'closed' | 'down' | 'unknown';
  readonly row: Map<number, number>;
  unavailable: number;
  stopping: boolean;
  /** That are running. */
  handlers: number;
}

export interface Told {
  readonly attempt: number;
  readonly crashes: number;
  /** Counts were lost, by its own word. */
  readonly stateLost: boolean;
}

export class DeliveryModel {
  readonly tokens: Token[] = [];
  readonly #script: DeliveryScript;
  /** With who has it. */
  readonly inHandler: Map<Token, Courier> = new Map();
  /** Were surely in a handler when the process was killed, and have not been handed out since. */
  #suspects = new Set<Token>();
  /** Their handlers had ended, and it may not have been written. */
  readonly #perhapsSuspects = new Set<Token>();
  #suspectAtWork: Token | undefined;

  constructor(script: DeliveryScript) {
    this.#script = script;
  }

  push(key: string, deeds: readonly Deed[], now: number, delayMs: number): Token {
    const token: Token = {
      number: this.tokens.length,
      key,
      deeds,
      dueMs: now + delayMs,
      isDelayed: delayMs > 0,
      id: undefined,
      acknowledged: false,
      tries: 0,
      min: 0,
      max: 0,
      crashesMax: 0,
      gone: 'no',
      mayBeDead: false,
      notBefore: 0,
      killedAt: -Infinity,
      forgiven: undefined,
      ended: undefined,
    };
    this.tokens.push(token);
    return token;
  }

  /** A handler gets these. */
  enter(courier: Courier, given: readonly (readonly [Token, Told])[], now: number): void {
    const { order, maxAttempts, maxCrashes } = this.#script;
    const beside = this.inHandler.size;
    courier.handlers++;
    if (courier.handlers > this.#script.concurrency)
      throw new BrokenPromise(
        'P16',
        `${courier.handlers} handlers at a time, and ${this.#script.concurrency} were wanted`,
      );
    for (const [token, { attempt, crashes, stateLost }] of given) {
      const name = `record ${token.id}`;
      if (this.inHandler.has(token)) throw new BrokenPromise('P16', `${name} is in two handlers`);
      if (token.gone === 'yes') throw new BrokenPromise('P2', `${name} is handed out and is gone`);
      if (now < token.dueMs - ROUNDING_MS)
        throw new BrokenPromise('P16', `${name} is handed out ${token.dueMs - now} ms early`);
      if (now < token.notBefore - ROUNDING_MS)
        throw new BrokenPromise('P16', `${name} is tried again ${token.notBefore - now} ms early`);
      const count = attempt - 1;
      if (stateLost) token.min = 0;
      const late = token.forgiven?.at === now ? token.forgiven.count : 0;
      if (count < token.min || count > token.max + late)
        throw new BrokenPromise('P16', `${name} comes with ${count} attempts, not ${token.min} to ${token.max}`);
      if (crashes > token.crashesMax)
        throw new BrokenPromise('P16', `${name} comes with ${crashes} deaths, not ${token.crashesMax}`);
      if (count > 0 && given.length > 1)
        throw new BrokenPromise('P16', `${name}, which failed before, does not come by itself`);
      if (count >= maxAttempts) throw new BrokenPromise('P16', `${name} is tried though its tries are used up`);
      if (crashes >= maxCrashes) throw new BrokenPromise('P16', `${name} is tried though it killed too often`);
      token.max = count > token.max ? count - late : count;
      token.min = Math.max(0, count - late);
      this.#checkSuspects(token, beside + given.length - 1);
      if (order !== 'none') this.#checkOrder(token, given);
      token.notBefore = 0;
      token.ended = undefined;
      // Where it could not be moved, or removed, it comes again.
      token.gone = 'no';
    }
    for (const [token] of given) {
      token.tries++;
      this.inHandler.set(token, courier);
    }
  }

  /** A handler ended. `threw`: what it threw, by deed. `words`: what it said of single records. */
  end(
    courier: Courier,
    given: readonly Token[],
    threw: Deed | undefined,
    words: ReadonlyMap<Token, 'acknowledged' | Deed>,
    timedOut: boolean,
    now: number,
  ): void {
    for (const token of given) {
      this.inHandler.delete(token);
      if (this.#suspectAtWork === token) this.#suspectAtWork = undefined;
    }
    const [first] = given;
    if (first === undefined) return;
    courier.handlers--;
    if (courier.stopping && threw !== undefined) {
      for (const token of given) {
        if (words.get(token) === 'acknowledged') this.#arrived(courier, token, now);
        else if (timedOut) this.#maybeBlamed(courier, token, now);
        else this.#uncounted(token, now, 0);
      }
      return;
    }
    if (threw !== undefined && words.size === 0) {
      if (given.length === 1 || threw === 'unavailable' || threw === 'later' || threw === 'laterCounted') {
        this.#failed(courier, first, threw, now);
        for (const token of given.slice(1)) this.#uncounted(token, now, 0);
      } else {
        for (const token of given) this.#uncounted(token, now, 0);
      }
      return;
    }
    let failedBefore = false;
    for (const token of given) {
      const said = words.get(token) ?? threw ?? 'ok';
      if (said === 'acknowledged') this.#arrived(courier, token, now);
      else if (said !== 'ok') {
        failedBefore = true;
        // Of a delivery that has stopped meanwhile it is as if it had not been tried.
        if (courier.stopping) this.#maybeFailed(courier, token, said, now);
        else this.#failed(courier, token, said, now);
      } else if (failedBefore && this.#script.order === 'fifo') this.#uncounted(token, now, 0);
      else this.#arrived(courier, token, now);
    }
  }

  /** The process died: a kill keeps what was written; a power cut may not. */
  died(how: 'kill' | 'power cut', isHealthy: boolean, now: number): void {
    const isCertain = how === 'kill' && isHealthy;
    this.#suspectsStay(isCertain);
    for (const token of this.tokens)
      if (how === 'power cut' && now - token.killedAt < WRITTEN_MS) token.min = Math.max(0, token.min - 1);
    for (const [token, { stopping }] of this.inHandler) {
      token.max++;
      token.crashesMax++;
      // Of a delivery that has stopped nothing is in a handler, by its log.
      if (!isCertain || stopping) continue;
      token.min++;
      token.killedAt = now;
      this.#suspects.add(token);
    }
    for (const token of this.tokens) {
      const { ended } = token;
      if (ended !== undefined && !this.inHandler.has(token) && now - ended.at < WRITTEN_MS) {
        this.#perhapsSuspects.add(token);
        if (ended.counted) token.min = Math.max(0, token.min - 1);
        else token.max++;
        token.crashesMax++;
      }
      if (!isHealthy) token.min = 0;
      if (!isHealthy || (how === 'power cut' && token.tries > 0)) {
        // What of those in handlers was noted last, or has come to the disk, may be long past.
        token.max++;
        token.crashesMax++;
      }
      if (how === 'power cut' && this.#script.durability !== 'sync') {
        // Nothing is promised of what was not flushed.
        token.min = 0;
        token.acknowledged = false;
        if (token.gone === 'yes') token.gone = 'maybe';
      }
      token.notBefore = 0;
      token.ended = undefined;
    }
    this.inHandler.clear();
    this.#suspectAtWork = undefined;
  }

  /** A delivery was ended, or the store closed: nobody is taken for the victim of a death, also where the log had to go for that. Who still runs is of no account where the store is opened anew. */
  closed(isHealthy: boolean): void {
    if (!isHealthy) for (const token of this.tokens) token.min = 0;
    this.inHandler.clear();
    this.#suspectsStay(isHealthy);
    this.#suspectAtWork = undefined;
    this.forgetTimes();
  }

  forgetTimes(): void {
    for (const token of this.tokens) token.notBefore = 0;
  }

  /** A delivery stopped, and another one is to begin in the same store. */
  stopped(): void {
    this.#suspectsStay(true);
    this.#suspectAtWork = undefined;
    this.forgetTimes();
  }

  /** What the queue and its dead letters hold, after an open or when all is done. */
  observe(
    live: ReadonlyMap<number, number>,
    dead: ReadonlyMap<number, { readonly attempts: number; readonly reason: string }[]>,
  ): void {
    for (const token of this.tokens) {
      const isLive = live.has(token.number);
      const letters = dead.get(token.number) ?? [];
      const name = `record ${token.id} (${token.number})`;
      if (letters.length + (isLive ? 1 : 0) > 1)
        throw new BrokenPromise('P10', `${name} is there ${letters.length + (isLive ? 1 : 0)} times`);
      const [letter] = letters;
      if (letter !== undefined) {
        if (!token.mayBeDead && !this.#mayHaveDied(token))
          throw new BrokenPromise('P16', `${name} is a dead letter for '${letter.reason}', and had tries left`);
        if (letter.attempts > Math.max(token.max, 1))
          throw new BrokenPromise('P16', `${name} is a dead letter with ${letter.attempts} attempts, not ${token.max}`);
        token.gone = 'yes';
        token.acknowledged = true;
      } else if (isLive) {
        if (token.gone === 'yes') throw new BrokenPromise('P2', `${name} was gone and is back`);
        token.id = live.get(token.number);
        token.acknowledged = true;
        token.gone = 'no';
      } else {
        if (token.acknowledged && token.gone === 'no') throw new BrokenPromise('P1', `${name} is lost`);
        token.gone = 'yes';
      }
    }
  }

  /** Those that nobody has tried since are suspects still, and whoever was one may be. */
  #suspectsStay(isCertain: boolean): void {
    if (!isCertain) this.#suspects.clear();
    this.#perhapsSuspects.clear();
    for (const token of this.tokens) if (token.crashesMax > 0) this.#perhapsSuspects.add(token);
  }

  #mayHaveDied(token: Token): boolean {
    return token.crashesMax >= this.#script.maxCrashes || token.max >= this.#script.maxAttempts;
  }

  #checkSuspects(token: Token, others: number): void {
    if (this.#suspectAtWork !== undefined)
      throw new BrokenPromise('P16', `record ${token.id} comes beside ${this.#suspectAtWork.id}, which is suspected`);
    if (!this.#suspects.has(token)) {
      if (this.#script.order !== 'none' || this.#perhapsSuspects.has(token)) return;
      for (const suspect of this.#suspects) {
        if (suspect.gone !== 'no' || this.#mayHaveDied(suspect)) continue;
        throw new BrokenPromise('P16', `record ${token.id} comes before ${suspect.id}, which is suspected`);
      }
      return;
    }
    this.#suspects.delete(token);
    if (others > 0) throw new BrokenPromise('P16', `record ${token.id} is suspected and does not come alone`);
    this.#suspectAtWork = token;
  }

  #checkOrder(token: Token, given: readonly (readonly [Token, Told])[]): void {
    const isFifo = this.#script.order === 'fifo';
    const isSame = (other: Token): boolean => other !== token && (isFifo || other.key === token.key);
    for (const other of this.inHandler.keys())
      if (isSame(other))
        throw new BrokenPromise('P16', `record ${token.id} comes beside ${other.id}, in whose line it is`);
    const own = given.findIndex(([one]) => one === token);
    for (const [i, [other]] of given.entries()) {
      if (!isSame(other)) continue;
      if (!isFifo) throw new BrokenPromise('P16', `records ${token.id} and ${other.id} of one key come together`);
      if (i < own && (other.id ?? 0) > (token.id ?? 0) && !other.isDelayed && !token.isDelayed)
        throw new BrokenPromise('P16', `record ${token.id} comes behind ${other.id} in a batch`);
    }
    for (const other of this.tokens) {
      if (!isSame(other) || other.gone !== 'no' || other.isDelayed || !other.acknowledged) continue;
      if (given.some(([one]) => one === other) || this.#mayHaveDied(other)) continue;
      if (other.id === undefined || token.id === undefined || other.id > token.id) continue;
      throw new BrokenPromise('P16', `record ${token.id} comes before ${other.id}, which is in front of it`);
    }
  }

  #arrived(courier: Courier, token: Token, now: number): void {
    courier.breaker = 'closed';
    courier.row.clear();
    courier.unavailable = 0;
    leaves(token);
    token.ended = { at: now, counted: false };
  }

  #failed(courier: Courier, token: Token, deed: Deed, now: number): void {
    switch (deed) {
      case 'dead':
      case 'deadError':
        token.min++;
        token.max++;
        token.mayBeDead = true;
        leaves(token);
        token.ended = { at: now, counted: true };
        return;
      case 'drop':
        leaves(token);
        token.ended = { at: now, counted: false };
        return;
      case 'later':
        this.#uncounted(token, now, LATER_MS);
        return;
      case 'laterCounted':
        this.#counted(token, now, LATER_MS);
        return;
      case 'unavailable':
        if (this.#script.breaker !== false && courier.breaker !== 'down') {
          courier.unavailable++;
          this.#mayOpen(courier, now);
          if (courier.breaker === 'unknown') this.#mayHaveOpened(courier);
        }
        this.#uncounted(token, now, 0);
        return;
      default:
        this.#blame(courier, token, now);
    }
  }

  #blame(courier: Courier, token: Token, now: number): void {
    const { breaker, order } = this.#script;
    const backoff = token.min === token.max ? Math.min(MAX_MS, BASE_MS * 2 ** token.max) : 0;
    if (breaker === false) {
      this.#counted(token, now, backoff);
      return;
    }
    if (courier.breaker === 'closed') {
      const before = courier.row.get(token.number) ?? 0;
      courier.row.set(token.number, before);
      if (this.#mayOpen(courier, now)) this.#uncounted(token, now, 0);
      else {
        courier.row.set(token.number, before + 1);
        this.#counted(token, now, backoff);
      }
    } else if (courier.breaker === 'unknown') {
      this.#maybeBlamed(courier, token, now);
    } else if (order === 'fifo') {
      this.#maybeCounted(token, now);
    } else this.#uncounted(token, now, 0);
  }

  /** Where it was closed it is open now, and these have got back what they had spent; where it was not, they may get it back later. */
  #mayHaveOpened({ row, unavailable }: Courier): void {
    if (row.size + unavailable < Number(this.#script.breaker)) return;
    for (const [number, count] of row) {
      const token = this.tokens[number];
      if (token !== undefined) token.min = Math.max(0, token.min - count);
    }
  }

  #mayOpen(courier: Courier, now: number): boolean {
    const { breaker } = this.#script;
    if (courier.breaker !== 'closed' || breaker === false || courier.row.size + courier.unavailable < breaker)
      return false;
    for (const [number, count] of courier.row) {
      const token = this.tokens[number];
      if (token === undefined) continue;
      token.min = Math.max(0, token.min - count);
      token.forgiven = { at: now, count };
      // Those whose tries are used up have gone, or go.
      if (token.gone === 'no') token.max = Math.max(0, token.max - count);
    }
    courier.row.clear();
    courier.unavailable = 0;
    courier.breaker = 'down';
    return true;
  }

  #uncounted(token: Token, now: number, delayMs: number): void {
    token.notBefore = delayMs === 0 ? 0 : now + delayMs;
    token.ended = { at: now, counted: false };
  }

  #counted(token: Token, now: number, delayMs: number): void {
    token.min++;
    token.max++;
    token.notBefore = delayMs === 0 ? 0 : now + delayMs;
    token.ended = { at: now, counted: true };
    if (token.max < this.#script.maxAttempts) return;
    token.mayBeDead = true;
    leaves(token);
  }

  #maybeFailed(courier: Courier, token: Token, deed: Deed, now: number): void {
    this.#maybeBlamed(courier, token, now);
    if (deed === 'drop') leaves(token);
    if (deed !== 'dead' && deed !== 'deadError') return;
    token.mayBeDead = true;
    leaves(token);
  }

  /** It may be one more in the row of failures, and open the breaker. */
  #maybeBlamed(courier: Courier, token: Token, now: number): void {
    this.#maybeCounted(token, now);
    if (this.#script.breaker === false) return;
    courier.row.set(token.number, (courier.row.get(token.number) ?? 0) + 1);
    this.#mayHaveOpened(courier);
  }

  #maybeCounted(token: Token, now: number): void {
    token.max++;
    token.notBefore = 0;
    token.ended = { at: now, counted: true };
    if (token.max < this.#script.maxAttempts) return;
    token.mayBeDead = true;
    leaves(token);
  }
}

/** It is on its way out of the queue. */
function leaves(token: Token): void {
  if (token.gone === 'no') token.gone = 'maybe';
}
