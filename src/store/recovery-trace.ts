/** `evaq:recovery`: what is told of opening a store. */
import { type Traced, Tracing } from '../tracing.js';
import type { RecoveryReport } from './recovery-report.js';

/** Of the tracing channel `evaq:recovery`: the opening of a store, from the call to its end. */
export interface RecoveryTrace extends Traced {
  /** As it was given to `Evaq.open`, made absolute. */
  readonly path: string;
  /** `evaq.storeId`; there when it is over. */
  storeId?: string;
  /** `evaq.recovery`; there when it is over. */
  report?: RecoveryReport;
}

const RECOVERIES: Tracing<RecoveryTrace> = new Tracing('evaq:recovery');

interface Opened {
  readonly storeId: string;
  readonly recovery: RecoveryReport;
}

/** Opens, and tells of it if anybody listens. */
export function traceRecovery<T extends Opened>(path: string, open: () => Promise<T>): Promise<T> {
  if (!RECOVERIES.isObserved) return open();
  const trace: RecoveryTrace = { path };
  return RECOVERIES.around(trace, async () => {
    const opened = await open();
    trace.storeId = opened.storeId;
    trace.report = opened.recovery;
    return opened;
  });
}
