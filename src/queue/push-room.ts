/**
 * Room for pushes: bounds the bytes that are accepted and not yet settled. Who finds none waits in a line (`push-line.ts`), and is let in in the order of the
 * calls.
 */
import { PushLine } from './push-line.js';

export class PushRoom {
  readonly #limit: number;
  readonly #line = new PushLine();
  /** Of the granting under way. */
  #granted: number;
  #pendingBytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
    this.#granted = limit;
    // Who stood in front of others lets them in.
    this.#line.onWithdrawn(() => this.grant());
  }

  /** Bytes of pushes that are accepted and not yet settled. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get isWaitedFor(): boolean {
    return this.#line.size > 0;
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
    return this.#line.wait(() => (this.#fits(bytes, this.#granted) ? 'fits' : 'wait'), go, signal);
  }

  /** Calls `reached` when all who wait now were let in, or told that they will not be. */
  afterWaiting(reached: () => void): void {
    if (this.isWaitedFor) this.#line.add({ ask: () => 'fits', go: reached, giveUp: reached });
    else reached();
  }

  /** So many bytes were accepted into the batch: they count until it is settled. */
  takeFor(batch: { pendingBytes: number }, bytes: number): void {
    batch.pendingBytes += bytes;
    this.#pendingBytes += bytes;
  }

  take(bytes: number): void {
    this.#pendingBytes += bytes;
  }

  give(bytes: number): void {
    this.#pendingBytes -= bytes;
  }

  /** Lets in who waits, as far as there is room. */
  grant(): void {
    this.#grant(this.#limit);
  }

  /** Lets in all who wait, room or not. */
  grantAll(): void {
    this.#grant(Number.MAX_SAFE_INTEGER);
  }

  /** Nobody is left waiting. */
  rejectAll(error: unknown): void {
    this.#line.rejectAll(error);
  }

  #grant(limit: number): void {
    const before = this.#granted;
    this.#granted = limit;
    try {
      this.#line.grant();
    } finally {
      this.#granted = before;
    }
  }

  #fits(bytes: number, limit: number): boolean {
    return this.#pendingBytes === 0 || this.#pendingBytes + bytes <= limit;
  }
}
