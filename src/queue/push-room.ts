/**
 * Room for pushes: bounds the bytes that are accepted and not yet settled. Who finds none waits, and is let in in the order of the calls.
 *
 * Invariants: while anybody waits nobody is let in past him, whatever fits. A call costs the same however many wait.
 */
import { onceAborted } from '../abortable.js';

interface Waiting {
  readonly bytes: number;
  readonly go: () => void;
  readonly giveUp: (error: unknown) => void;
  /** It waits no longer, and has let go of its payload. */
  isWithdrawn: boolean;
}

/** So many that were withdrawn are left in the line before it is made anew. */
const WITHDRAWN_MAX = 64;

/** So many that were let in are kept in front of those who wait before the list is made anew. */
const LET_IN_MAX = 1024;

export class PushRoom {
  readonly #limit: number;
  /** Those in front of `#first` were let in. */
  #waiting: (Waiting | undefined)[] = [];
  #first = 0;
  #withdrawn = 0;
  #pendingBytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Bytes of pushes that are accepted and not yet settled. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get isWaitedFor(): boolean {
    return this.#first < this.#waiting.length;
  }

  /** Whether a push of so many bytes finds no room, or others that came before it are waiting. One alone always finds room. */
  mustWait(bytes: number): boolean {
    return this.isWaitedFor || !this.#fits(bytes, this.#limit);
  }

  /**
   * Settles as `go` does, which is called when there is room; rejects as well where it throws. If `signal` is aborted before, `go` is not called, and
   * this rejects with its reason.
   */
  wait<T>(bytes: number, go: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      let begin: (() => Promise<T>) | undefined = go;
      const over = onceAborted(signal, (reason) => {
        begin = undefined;
        reject(reason);
        this.#withdraw(waiting);
      });
      const enter = (): void => {
        over();
        try {
          if (begin !== undefined) resolve(begin());
        } catch (error) {
          reject(error);
        }
      };
      const giveUp = (error: unknown): void => {
        over();
        reject(error);
      };
      const waiting: Waiting = { bytes, go: enter, giveUp, isWithdrawn: false };
      this.#waiting.push(waiting);
    });
  }

  /** Calls `reached` when all who wait now were let in, or told that they will not be. */
  afterWaiting(reached: () => void): void {
    if (this.isWaitedFor) this.#waiting.push({ bytes: 0, go: reached, giveUp: reached, isWithdrawn: false });
    else reached();
  }

  take(bytes: number): void {
    this.#pendingBytes += bytes;
  }

  give(bytes: number): void {
    this.#pendingBytes -= bytes;
  }

  /** Lets in who waits, as far as there is room. */
  grant(limit: number = this.#limit): void {
    for (let next = this.#waiting[this.#first]; next !== undefined; next = this.#waiting[this.#first]) {
      if (!next.isWithdrawn && !this.#fits(next.bytes, limit)) return;
      this.#shift();
      if (next.isWithdrawn) this.#withdrawn--;
      else next.go();
    }
  }

  /** Lets in all who wait, room or not. */
  grantAll(): void {
    this.grant(Number.MAX_SAFE_INTEGER);
  }

  /** Nobody is left waiting. */
  rejectAll(error: unknown): void {
    const waiting = this.#waiting.slice(this.#first);
    this.#waiting = [];
    this.#first = 0;
    this.#withdrawn = 0;
    for (const one of waiting) if (one?.isWithdrawn === false) one.giveUp(error);
  }

  /** Who stands in front of others lets them in. Those in the middle are taken out of the line when they are half of it. */
  #withdraw(waiting: Waiting): void {
    waiting.isWithdrawn = true;
    this.#withdrawn++;
    if (this.#withdrawn > WITHDRAWN_MAX && 2 * this.#withdrawn > this.#waiting.length - this.#first) {
      this.#waiting = this.#waiting.slice(this.#first).filter((one) => one?.isWithdrawn === false);
      this.#first = 0;
      this.#withdrawn = 0;
    }
    this.grant();
  }

  /** What was let in is dropped by the half: moving those behind it costs each of them no more than a step in all. */
  #shift(): void {
    this.#waiting[this.#first] = undefined;
    this.#first++;
    if (this.#first < LET_IN_MAX || 2 * this.#first < this.#waiting.length) return;
    this.#waiting = this.#waiting.slice(this.#first);
    this.#first = 0;
  }

  #fits(bytes: number, limit: number): boolean {
    return this.#pendingBytes === 0 || this.#pendingBytes + bytes <= limit;
  }
}
