/**
 * The port to what the engine takes from the machine besides files: time, timers, turns of the event loop and chance. A simulation
 * replaces all of it, so that one seed is one history.
 */
import { clampTime } from '../times.js';

/** Who holds a store, as it is told to whom it turns away. */
export interface Holder {
  readonly pid: number;
  readonly host: string;
  readonly bootId: string;
  /** The name of its file. Never more of the command line: there are passwords in those, and others read this. */
  readonly script: string;
}

export interface Host {
  /** Milliseconds since the epoch. May jump, and be any number: it is asked by `timeOf` alone. Nothing but timestamps and due times is made from it. */
  now(): number;
  /** Milliseconds on a clock that never goes back, for measuring. */
  elapsed(): number;
  /** Calls `action` once after `ms`, without keeping the process alive for it. The result cancels. */
  after(ms: number, action: () => void): () => void;
  /** Keeps the process alive until the result is called: somebody awaits what no timer or file will wake him for. A host without it holds nothing. */
  hold?(): () => void;
  /** Calls `action` when the code now running, and all promises it settled, are done: the end of this batch of work. */
  soon(action: () => void): void;
  /** Resolves in a later turn of the event loop, after pending input and output had theirs. */
  yield(): Promise<void>;
  /** Fills `target` with random bytes. */
  random(target: Uint8Array): void;
  /** The process that this host is of. Without it, the one that runs. */
  holder?(): Holder;
}

/** What the host's clock says, as a time that files can hold. */
export function timeOf(host: Pick<Host, 'now'>): number {
  return clampTime(host.now());
}
