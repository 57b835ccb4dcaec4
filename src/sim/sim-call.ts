/** The history of a simulated disk: every call of the port, in the order in which they were made. */

export type SimCallName =
  | 'list'
  | 'stat'
  | 'identity'
  | 'makeDir'
  | 'create'
  | 'open'
  | 'rename'
  | 'remove'
  | 'syncDir'
  | 'freeBytes'
  | 'lock'
  | 'release'
  | 'size'
  | 'read'
  | 'write'
  | 'extend'
  | 'sync'
  | 'truncate'
  | 'writeAndSyncBlocking'
  | 'writeBlocking'
  | 'truncateBlocking'
  | 'close';

export interface SimCall {
  /** From 1 up, in the order of the calls. */
  readonly index: number;
  /** The process that called, from 1 up. */
  readonly process: number;
  readonly name: SimCallName;
  readonly path: string;
  /** `512+100` is 100 bytes at 512; `-> /b` the new name. */
  readonly detail: string;
  readonly calledUs: number;
  /** 'under way', 'ok', or the name of the error. */
  readonly outcome: string;
  /** When the caller heard of it. */
  readonly endedUs: number | undefined;
}

/** A moment at which the world changed, or the caller heard of it: the points at which to cut. */
export interface SimStep {
  /**
   * 'call': it was made, nothing has happened yet. 'effect': a process would see it now (a long write takes effect in up to three
   * pieces). 'ack': its promise was settled; nothing the caller does about it has happened yet.
   */
  readonly phase: 'call' | 'effect' | 'ack';
  /** How many effects and acknowledgements there were so far, this one included. */
  readonly step: number;
  readonly call: SimCall;
}

/** One call as one line. */
export function formatCall(call: SimCall): string {
  const { index, process, name, path, detail, calledUs, endedUs, outcome } = call;
  const end = endedUs === undefined ? '' : ` @${Math.round(endedUs)}`;
  return `#${index} @${Math.round(calledUs)} p${process} ${name} ${path}${detail === '' ? '' : ` ${detail}`}: ${outcome}${end}`;
}
