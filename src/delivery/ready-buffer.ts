/**
 * Records that may be delivered now, in the order in which they are to be handed out. They are leased by nobody.
 */
import type { QueueRecord } from '../log/queue-record.js';

export interface Ready {
  readonly record: QueueRecord;
  readonly key: string | undefined;
  readonly keyError: { readonly error: unknown } | undefined;
}

export class ReadyBuffer {
  #items: Ready[] = [];
  #at = 0;
  #bytes = 0;

  get count(): number {
    return this.#items.length - this.#at;
  }

  /** Of their payloads. */
  get bytes(): number {
    return this.#bytes;
  }

  peek(): Ready | undefined {
    return this.#items[this.#at];
  }

  shift(): void {
    const next = this.#items[this.#at++];
    this.#bytes -= next?.record.payload.length ?? 0;
    if (this.#at === this.#items.length) {
      this.#items = [];
      this.#at = 0;
    }
  }

  push(ready: Ready): void {
    this.#items.push(ready);
    this.#bytes += ready.record.payload.length;
  }

  /** In front of those with higher IDs. */
  insert(ready: Ready): void {
    let at = this.#items.length;
    while (at > this.#at && (this.#items[at - 1]?.record.id ?? 0) > ready.record.id) at--;
    this.#items.splice(at, 0, ready);
    this.#bytes += ready.record.payload.length;
  }

  has(id: number): boolean {
    return this.#find(id) !== undefined;
  }

  /** Takes it out of turn. */
  pull(id: number): Ready | undefined {
    const at = this.#find(id);
    const found = at === undefined ? undefined : this.#items[at];
    if (at === undefined || found === undefined) return undefined;
    this.#items.splice(at, 1);
    this.#bytes -= found.record.payload.length;
    return found;
  }

  #find(id: number): number | undefined {
    for (let at = this.#at; at < this.#items.length; at++) if (this.#items[at]?.record.id === id) return at;
    return undefined;
  }
}
