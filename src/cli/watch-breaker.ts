/**
 * Says on standard error when a destination is down, and when it is back.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { BreakerEvent } from '../evaq.js';
import { say } from './exit-code.js';

/** The result ends it. */
export function watchBreaker(storeId: string, destination: string): () => void {
  let isDown = false;
  const listen = (message: unknown): void => {
    if (!isBreakerEvent(message) || message.storeId !== storeId) return;
    if (message.state === 'open' && !isDown) {
      isDown = true;
      say(`${destination} is down; it is tried again by itself`);
    } else if (message.state === 'closed' && isDown) {
      isDown = false;
      say(`${destination} is back`);
    }
  };
  subscribe('evaq:breaker', listen);
  return () => unsubscribe('evaq:breaker', listen);
}

function isBreakerEvent(message: unknown): message is BreakerEvent {
  return typeof message === 'object' && message !== null && 'storeId' in message && 'state' in message;
}
