/**
 * The links of a store to other threads: made by `connect`, ended with the store.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { LINK_GREETING } from '../link/link-protocol.js';
import { LinkedEvaq } from '../link/linked-evaq.js';
import { type LinkTarget, StoreLink } from '../link/store-link.js';

export class Links {
  readonly #target: LinkTarget;
  readonly #links = new Set<StoreLink>();

  constructor(target: LinkTarget) {
    this.#target = target;
  }

  connect(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    port1.postMessage(LINK_GREETING);
    const link: StoreLink = new StoreLink(port1, this.#target, () => this.#links.delete(link));
    this.#links.add(link);
    return port2;
  }

  /** Settles as the closing of the store, when all links have been told of it. */
  async endAfter(closing: Promise<void>): Promise<void> {
    try {
      await closing;
    } finally {
      for (const link of this.#links) link.end();
    }
  }
}

/** `Evaq.attach`. */
export function attachTo(port: unknown): Promise<LinkedEvaq> {
  return LinkedEvaq.attach(port);
}
