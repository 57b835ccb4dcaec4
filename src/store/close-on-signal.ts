/**
 * Ends a program in order when it is asked to end: deliveries stop, the store is closed, and then the signal does what it would have done.
 */
import { optionNames, requireOptions } from '../arguments.js';
import type { Delivery } from '../delivery/delivery.js';
import { describe, requireCount } from '../ids.js';
import type { Evaq } from './evaq.js';

export interface CloseOnSignalOptions {
  /** How long handlers may go on before their signals are aborted, in ms. Default 5000. */
  readonly graceMs?: number;
  /** Default SIGTERM and SIGINT. */
  readonly signals?: readonly NodeJS.Signals[];
}

const SIGNALS: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT'];
const GRACE_MS = 5000;
const NAMES = optionNames('graceMs', 'signals');

/**
 * At the first SIGTERM or SIGINT: `deliveries` stop (handlers may go on for `graceMs`), the store is closed, and then the process ends by that signal,
 * as if nobody had listened; where others listen to it, too, it is left to them. A second signal meanwhile ends it at once: what was acknowledged is on
 * the disk anyway. A closing that fails ends it all the same. Returns what undoes it. Give it a delivery, a list of them, or none: closing a store stops
 * the deliveries that there are.
 * @throws TypeError, RangeError for wrong arguments
 */
export function closeOnSignal(
  evaq: Evaq,
  deliveries?: Delivery | readonly Delivery[],
  options?: CloseOnSignalOptions,
): () => void {
  if (!hasMethod(evaq, 'close')) throw new TypeError(`evaq must be a store that is open, got ${describe(evaq)}`);
  const all = deliveries === undefined ? [] : isList(deliveries) ? deliveries : [deliveries];
  for (const one of all) {
    if (!hasMethod(one, 'stop')) throw new TypeError(`deliveries must be deliveries, got ${describe(one)}`);
  }
  requireOptions(options, 'closeOnSignal', NAMES);
  const { graceMs = GRACE_MS, signals = SIGNALS } = options ?? {};
  requireCount(graceMs, 'graceMs', 0);

  let isEnding = false;
  const undo = (): void => {
    for (const signal of signals) process.removeListener(signal, onSignal);
  };
  const end = (signal: NodeJS.Signals): void => {
    undo();
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    if (isEnding) {
      end(signal);
      return;
    }
    isEnding = true;
    const stopping = Promise.allSettled(all.map((delivery) => delivery.stop({ graceMs })));
    const ended = (): void => end(signal);
    stopping.then(() => evaq.close()).then(ended, ended);
  };
  for (const signal of signals) process.on(signal, onSignal);
  return undo;
}

function isList(deliveries: Delivery | readonly Delivery[]): deliveries is readonly Delivery[] {
  return Array.isArray(deliveries);
}

function hasMethod(value: unknown, name: string): boolean {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, name) === 'function';
}
