/**
 * Ctrl-C and `kill` for commands that have something to bring to an end: the first one asks, the second one ends the
 * program at once.
 */
import { constants } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { EXIT_SIGNAL_BASE, Interrupted } from './exit-code.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Runs `work`; its signal is aborted, with an `Interrupted` as the reason, when the program is asked to end. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const ask = (name: NodeJS.Signals): void => {
    const number = constants.signals[name];
    if (controller.signal.aborted) process.exit(EXIT_SIGNAL_BASE + number);
    controller.abort(new Interrupted(number));
  };
  for (const name of SIGNALS) process.on(name, ask);
  try {
    return await work(controller.signal);
  } finally {
    for (const name of SIGNALS) process.off(name, ask);
  }
}

/** What a timer can wait for; with more it does not wait at all. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Resolves after `ms`, however many, or at once when the program is asked to end. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    let leftMs = ms;
    for (; leftMs > TIMER_MS_MAX; leftMs -= TIMER_MS_MAX) await setTimeout(TIMER_MS_MAX, undefined, { signal });
    await setTimeout(leftMs, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
