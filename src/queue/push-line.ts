/**
 * Pushes that wait for room, in memory (`push-room.ts`) or within the limits of their queue (`limited-pushes.ts`), in the order of the calls.
 *
 * Invariants: while anybody waits nobody is let in past him, whatever fits. Whoever is withdrawn keeps nobody waiting. A call costs the same however many
 * wait.
 */
import { onceAborted } from '../abortable.js';

/** 'wait': there is no room yet. An error: there will be none. */
export type Verdict = 'fits' | 'wait' | { readonly error: unknown };

/** Whoever waits: `ask` says whether there is room, then `go` is called; `giveUp` where there will be none. */
export interface InLine {
  readonly ask: () => Verdict;
  readonly go: () => void;
  readonly giveUp: (error: unknown) => void;
}

interface Waiting extends InLine {
  /** It waits no longer, and has let go of its payload. */
  isWithdrawn: boolean;
}

/** So many that are done with are left in the list before it is made anew, if they are half of it. */
const DONE_MAX = 64;

export class PushLine {
  #waiting: Waiting[] = [];
  /** Those in front of it were let in or told. */
  #first = 0;
  #withdrawn = 0;

  /** How many wait. */
  get size(): number {
    return this.#waiting.length - this.#first - this.#withdrawn;
  }

  /** Settles as `go` does, which is called when `ask` finds room; rejects with the reason of `signal` if that is aborted before. */
  wait<T>(ask: () => Verdict, go: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      let begin: (() => Promise<T>) | undefined = go;
      const over = onceAborted(signal, (reason) => {
        begin = undefined;
        reject(reason);
        waiting.isWithdrawn = true;
        this.#withdrawn++;
        this.#tidy();
        this.#onWithdrawn();
      });
      const enter = (): void => {
        over();
        const now = begin;
        // It stays in the list for a while, and its payload does not.
        begin = undefined;
        try {
          if (now !== undefined) resolve(now());
        } catch (error) {
          reject(error);
        }
      };
      const giveUp = (error: unknown): void => {
        over();
        reject(error);
      };
      const waiting = this.add({ ask, go: enter, giveUp });
    });
  }

  /** The same for whoever is not withdrawn. */
  add({ ask, go, giveUp }: InLine): { isWithdrawn: boolean } {
    const waiting: Waiting = { ask, go, giveUp, isWithdrawn: false };
    this.#waiting.push(waiting);
    return waiting;
  }

  /** Called when somebody has left whose place others may take. */
  onWithdrawn(action: () => void): void {
    this.#onWithdrawn = action;
  }

  /** Lets in those in front, as far as there is room. */
  grant(): void {
    for (let next = this.#waiting[this.#first]; next !== undefined; next = this.#waiting[this.#first]) {
      if (next.isWithdrawn) {
        this.#first++;
        this.#withdrawn--;
        continue;
      }
      const verdict = next.ask();
      if (verdict === 'wait') break;
      this.#first++;
      if (verdict === 'fits') next.go();
      else next.giveUp(verdict.error);
    }
    this.#tidy();
  }

  /** Nobody is left waiting. */
  rejectAll(error: unknown): void {
    const waiting = this.#waiting.slice(this.#first);
    this.#waiting = [];
    this.#first = 0;
    this.#withdrawn = 0;
    for (const one of waiting) if (!one.isWithdrawn) one.giveUp(error);
  }

  #onWithdrawn: () => void = () => undefined;

  #tidy(): void {
    const done = this.#first + this.#withdrawn;
    if (done < DONE_MAX || 2 * done < this.#waiting.length) return;
    this.#waiting = this.#waiting.slice(this.#first).filter(({ isWithdrawn }) => !isWithdrawn);
    this.#first = 0;
    this.#withdrawn = 0;
  }
}
