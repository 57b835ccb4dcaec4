/**
 * Room for pushes: bounds the bytes that are accepted and not yet settled. Who finds none waits, and is let in in the order of the calls.
 */
interface Waiting {
  readonly bytes: number;
  readonly go: () => void;
  readonly reject: (error: unknown) => void;
}

export class PushRoom {
  readonly #limit: number;
  readonly #waiting: Waiting[] = [];
  #pendingBytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Bytes of pushes that are accepted and not yet settled. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get isWaitedFor(): boolean {
    return this.#waiting.length > 0;
  }

  /** Whether a push of so many bytes finds no room, or others that came before it are waiting. One alone always finds room. */
  mustWait(bytes: number): boolean {
    return this.isWaitedFor || !this.#fits(bytes, this.#limit);
  }

  /** Resolves as `go` does, which is called when there is room. */
  wait<T>(bytes: number, go: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ bytes, go: () => resolve(go()), reject });
    });
  }

  take(bytes: number): void {
    this.#pendingBytes += bytes;
  }

  give(bytes: number): void {
    this.#pendingBytes -= bytes;
  }

  /** Lets in who waits, as far as there is room. */
  grant(limit: number = this.#limit): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (!this.#fits(next.bytes, limit)) return;
      this.#waiting.shift();
      next.go();
    }
  }

  /** Lets in all who wait, room or not. */
  grantAll(): void {
    this.grant(Number.MAX_SAFE_INTEGER);
  }

  /** Nobody is left waiting. */
  rejectAll(error: unknown): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  #fits(bytes: number, limit: number): boolean {
    return this.#pendingBytes === 0 || this.#pendingBytes + bytes <= limit;
  }
}
