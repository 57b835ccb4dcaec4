/**
 * One end of a link: gathers the messages of a turn into one post, and takes those of the other end apart.
 */

import { types } from 'node:util';
import type { MessagePort } from 'node:worker_threads';
import { soon } from '../vfs/own-timers.js';

/** What a message gives away. */
export type Transfer = ArrayBuffer;

/** Smaller ones are copied, which is faster. */
const TRANSFER_BYTES_MIN = 4096;

export class LinkPort<Out, In> {
  readonly #port: MessagePort;
  #messages: Out[] = [];
  #transfers: Transfer[] = [];
  #isScheduled = false;
  #isClosed = false;
  /** Adds what is to go with this turn's post, at its end. */
  #gather: () => void = () => undefined;

  constructor(port: MessagePort) {
    this.#port = port;
  }

  /** Called once. `ended`: nothing comes any more, and nothing goes. */
  listen(received: (message: In) => void, ended: () => void, gather?: () => void): void {
    this.#gather = gather ?? this.#gather;
    this.#port.on('message', (messages: readonly In[]) => {
      if (!Array.isArray(messages)) {
        this.abandon();
        return;
      }
      for (const message of messages) received(message);
    });
    this.#port.on('close', () => {
      this.#isClosed = true;
      ended();
    });
    // What waits for an answer says so itself.
    this.#port.unref();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** `bytes`: a view of a buffer that belongs to the message alone. */
  send(message: Out, bytes?: Uint8Array): void {
    if (this.#isClosed) return;
    this.#messages.push(message);
    if (bytes !== undefined && bytes.byteLength >= TRANSFER_BYTES_MIN && types.isArrayBuffer(bytes.buffer)) {
      this.#transfers.push(bytes.buffer);
    }
    this.schedule();
  }

  /** There will be something to gather. */
  schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    soon(() => this.flush());
  }

  /** Posts what there is. */
  flush(): void {
    this.#isScheduled = false;
    if (!this.#isClosed) this.#gather();
    // What is gathered is part of this post.
    this.#isScheduled = false;
    if (this.#messages.length === 0 || this.#isClosed) return;
    const messages = this.#messages;
    const transfers = this.#transfers;
    this.#messages = [];
    this.#transfers = [];
    this.#port.postMessage(messages, transfers);
  }

  /** Keeps the thread, or lets it go. */
  hold(isHeld: boolean): void {
    if (isHeld) this.#port.ref();
    else this.#port.unref();
  }

  /** Ends the link for both; what was not posted is dropped. */
  abandon(): void {
    this.#messages = [];
    this.#port.close();
  }

  /** Posts what there is, and ends the link for both. */
  close(): void {
    if (this.#isClosed) return;
    this.flush();
    this.#isClosed = true;
    this.#port.close();
  }
}
