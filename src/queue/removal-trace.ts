/**
 * `evaq:removal`: what is told of rounds of removals. One is under way at a time.
 */
import type { IdRange } from '../ids.js';
import { type Traced, Tracing } from '../tracing.js';
import type { Host } from '../vfs/host.js';

/** Of the tracing channel `evaq:removal`: a round of removals, from its write to its acknowledgement. */
export interface RemovalTrace extends Traced {
  /** `evaq.storeId`. */
  readonly storeId: string;
  readonly queue: string;
  /** The lowest and the highest ID; not all between them need be removed. */
  readonly firstId: number;
  readonly lastId: number;
  /** IDs, as far as the round names them: a range that was removed as one may name some that were gone before. */
  readonly records: number;
  /** What it takes in the log: a range is a few bytes, however many IDs it has. */
  readonly ranges: number;
  /** From the write to the acknowledgement; there when it is over. */
  durationMs?: number;
}

export const REMOVALS: Tracing<RemovalTrace> = new Tracing('evaq:removal');

export interface RemovalTracesOptions {
  readonly storeId: string;
  readonly queue: string;
  readonly host: Host;
}

export class RemovalTraces {
  readonly #options: RemovalTracesOptions;
  #underWay: { readonly trace: RemovalTrace; readonly startedMs: number } | undefined;

  constructor(options: RemovalTracesOptions) {
    this.#options = options;
  }

  /** A round begins, which removes these: merged, at least one. */
  begin(ranges: readonly IdRange[]): void {
    if (!REMOVALS.isObserved) return;
    const { storeId, queue, host } = this.#options;
    let records = 0;
    for (const { first, last } of ranges) records += last - first + 1;
    const firstId = ranges[0]?.first ?? 0;
    const lastId = ranges.at(-1)?.last ?? 0;
    const trace = { storeId, queue, firstId, lastId, records, ranges: ranges.length };
    this.#underWay = { trace, startedMs: host.elapsed() };
    REMOVALS.begin(trace);
  }

  /** The round is settled; `failure`: it was not written, or cannot be vouched for. The second time nothing is told. */
  over(failure?: { readonly error: unknown }): void {
    if (this.#underWay === undefined) return;
    const { trace, startedMs } = this.#underWay;
    this.#underWay = undefined;
    trace.durationMs = this.#options.host.elapsed() - startedMs;
    if (failure === undefined) REMOVALS.over(trace);
    else REMOVALS.failed(trace, failure.error);
  }
}
