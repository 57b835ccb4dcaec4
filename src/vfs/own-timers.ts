/**
 * Node's own timers, turns of the event loop and running time, as they were when this file was loaded: the only place in the library that takes
 * them from Node. Whoever tests a program replaces the globals by a clock that stands still (`vi.useFakeTimers()`, Jest, sinon), and the methods of
 * `node:timers`, `process` and `performance` with them. A call of the library that waited for such a clock would never end.
 *
 * `Date` is not here: a date that is replaced is what the program wants for a date, and nothing waits for one.
 */
import process from 'node:process';
import * as timers from 'node:timers';

/** The longest that a timer takes; of more Node makes 1 ms. */
export const TIMER_MS_MAX: number = 2 ** 31 - 1;

const setTimeout = genuine(timers.setTimeout, 'setTimeout');
const clearTimeout = genuine(timers.clearTimeout, 'clearTimeout');
const setInterval = genuine(timers.setInterval, 'setInterval');
const setImmediate = genuine(timers.setImmediate, 'setImmediate');
const nextTick: typeof process.nextTick = genuine(Reflect.get(process, 'nextTick'), 'nextTick');
// Not `performance.now`, which asks whatever stands in its place on some versions of Node.
const nanoseconds = genuine(process.hrtime, 'hrtime').bigint.bind(undefined);

/**
 * Where the library is loaded while the clock stands still already, Node's own method is behind the one in its place: fake-timers, which vitest, Jest
 * and sinon have in common, keeps it there.
 */
function genuine<Method extends object>(method: Method, name: string): Method {
  const clock: unknown = Reflect.get(method, 'clock');
  if ((typeof clock !== 'object' && typeof clock !== 'function') || clock === null) return method;
  const original: Method | undefined = Reflect.get(clock, `_${name}`);
  return original ?? method;
}

/** Milliseconds since some moment, on a clock that never goes back. */
export function elapsedMs(): number {
  return Number(nanoseconds()) / 1e6;
}

/** Calls `action` in a later turn of the event loop, after pending input and output had theirs. */
export function inTurn(action: () => void): void {
  setImmediate(action);
}

/** Calls `action` when the code now running, and all promises it settled, are done. */
export function soon(action: () => void): void {
  nextTick(action);
}

/** Calls `action` once after `ms`, however many that are, and does not keep the process alive for it. The result cancels. */
export function after(ms: number, action: () => void): () => void {
  return inPieces(ms, action, (piece, then) => {
    const timer = setTimeout(then, piece);
    timer.unref();
    return () => clearTimeout(timer);
  });
}

/** Waits with `start`, which takes at most `TIMER_MS_MAX`, as often as `ms` takes. The result cancels. */
export function inPieces(
  ms: number,
  action: () => void,
  start: (ms: number, action: () => void) => () => void,
): () => void {
  let left = ms;
  let cancel: () => void = () => undefined;
  const next = (): void => {
    const piece = Math.min(left, TIMER_MS_MAX);
    left -= piece;
    cancel = start(piece, left > 0 ? next : action);
  };
  next();
  return () => cancel();
}

let holders = 0;
let holding: NodeJS.Timeout | undefined;

/** Keeps the process alive until the result is called. One timer, which is there to be waited for and not to fire, serves all who hold. */
export function hold(): () => void {
  if (holders++ === 0) {
    holding ??= setInterval(() => undefined, TIMER_MS_MAX);
    holding.ref();
  }
  let isHolding = true;
  return () => {
    if (!isHolding) return;
    isHolding = false;
    if (--holders === 0) holding?.unref();
  };
}
