/** What is told of records that were dropped, from the call on and until it is disposed of. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { DroppedMessage } from '../../../src/evaq.js';

export function hearDrops(): { readonly told: readonly DroppedMessage[] } & Disposable {
  const told: DroppedMessage[] = [];
  const listen = (message: unknown): void => void told.push(message as DroppedMessage);
  subscribe('evaq:dropped', listen);
  return { told, [Symbol.dispose]: () => void unsubscribe('evaq:dropped', listen) };
}
