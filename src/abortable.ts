/**
 * Waiting that a signal ends. Aborting ends the wait and nothing else: what was handed over goes on by itself, and whoever has to withdraw it does so
 * where it is (a push that waits for room, a pop that has not been written).
 */
import { optionNames, requireNoMore, requireOptions, requireSignal } from './arguments.js';

/** What every call takes that waits. */
export interface WaitOptions {
  /**
   * Aborted before the call: it rejects with the signal's reason, and does nothing. Aborted later: it waits no longer. What was handed over goes on by
   * itself; a push that still waits for room is withdrawn, a pop that is not being written yet gives its record back.
   */
  readonly signal?: AbortSignal;
}

const WAIT_NAMES = optionNames('signal');

/** The signal of a call that takes nothing else beside. Throws a TypeError for wrong options, and for more arguments than it takes. */
export function waitOf(
  given: number,
  taken: number,
  options: WaitOptions | undefined,
  where: string,
): AbortSignal | undefined {
  if (given > taken) requireNoMore(given, taken, where);
  if (options === undefined) return undefined;
  requireOptions(options, where, WAIT_NAMES);
  return signalOf(options, where);
}

/** The signal among options that have been looked at. */
export function signalOf(options: WaitOptions | undefined, where: string): AbortSignal | undefined {
  const signal = options?.signal;
  requireSignal(signal, where);
  return signal;
}

/**
 * Settles as what `begin` returns, or rejects with the reason of `signal` as soon as that is aborted. If it is aborted already nothing is begun. No
 * listener is left behind.
 */
export function untilAborted<T>(signal: AbortSignal | undefined, begin: () => Promise<T>): Promise<T> {
  if (signal === undefined) return begin();
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise<T>((resolve, reject) => {
    const over = onceAborted(signal, reject);
    begin().then(
      (value) => {
        over();
        resolve(value);
      },
      (error: unknown) => {
        over();
        reject(error);
      },
    );
  });
}

/** A signal of another realm may lack the method of this name. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw signal.reason;
}

/** Calls `withdraw` once when `signal`, which is not aborted yet, is; the result ends that. */
export function onceAborted(signal: AbortSignal | undefined, withdraw: (reason: unknown) => void): () => void {
  if (signal === undefined) return () => undefined;
  let waits = waiting.get(signal);
  if (waits === undefined) {
    waits = new AbortWaits(signal);
    waiting.set(signal, waits);
  }
  return waits.add(withdraw);
}

const waiting = new WeakMap<AbortSignal, AbortWaits>();

/**
 * All who wait for one signal, behind one listener: adding and removing a listener takes a step for each that there is, and one signal may be that of
 * tens of thousands of calls.
 */
class AbortWaits {
  readonly #signal: AbortSignal;
  readonly #actions = new Set<(reason: unknown) => void>();
  readonly #onAbort = (): void => {
    const actions = [...this.#actions];
    this.#actions.clear();
    this.#signal.removeEventListener('abort', this.#onAbort);
    for (const action of actions) action(this.#signal.reason);
  };

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  add(action: (reason: unknown) => void): () => void {
    // An entry of its own: two may pass the same function.
    const entry = (reason: unknown): void => action(reason);
    if (this.#actions.size === 0) this.#signal.addEventListener('abort', this.#onAbort);
    this.#actions.add(entry);
    return () => {
      if (this.#actions.delete(entry) && this.#actions.size === 0)
        this.#signal.removeEventListener('abort', this.#onAbort);
    };
  }
}
