/**
 * What deliveries have in common, whatever engine the queue stands on.
 */
import type { DeliveryReport, DeliveryStats, StopOptions } from './delivery-report.js';

/** `Delivery`, that of a linked thread, that of a replicated queue. */
export interface DeliveryLike extends AsyncDisposable {
  /** Resolves when it has stopped. Rejects where the queue cannot be read or written any more. */
  readonly done: Promise<DeliveryReport>;
  /** Resolves when all that was in the queue at the call has left it. @throws what `done` rejects with; EVAQ_CLOSED if it is stopped first */
  drained(): Promise<void>;
  /** Hands out nothing more until `resume`; what is in handlers goes on. */
  pause(): void;
  resume(): void;
  /** To be awaited: some are of another thread, or of a server. */
  stats(): DeliveryStats | Promise<DeliveryStats>;
  /** As `Delivery.stop`. */
  stop(options?: StopOptions): Promise<void>;
}
