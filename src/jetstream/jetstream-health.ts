/**
 * `JetStreamEvaq.health()`: what is wrong with a replicated store, by reasons.
 */
import { messageOf } from '../errors.js';
import type { QueueStream } from './queue-stream.js';

/** What is wrong with a replicated store. */
export interface JetStreamHealth {
  /** 'failed': nothing can be done now. 'degraded': it goes on, and somebody should look. */
  readonly status: 'ok' | 'degraded' | 'failed';
  readonly reasons: readonly JetStreamHealthReason[];
}

export interface JetStreamHealthReason {
  /**
   * - 'unreachable': a stream does not answer: no server, no leader, or it is gone.
   * - 'replicas-behind': fewer replicas are up to date than there should be.
   * - 'not-replicated': there is one copy: what is on that machine is lost with it.
   * - 'destination-down': the breaker of a delivery is not closed.
   * - 'attempts-lost': counts of attempts could not be read or written, and may be too low.
   */
  readonly code: 'unreachable' | 'replicas-behind' | 'not-replicated' | 'destination-down' | 'attempts-lost';
  readonly queue?: string;
  readonly message: string;
}

/** Of one queue. */
export async function reasonsOf(stream: QueueStream): Promise<JetStreamHealthReason[]> {
  const { queue } = stream;
  try {
    const { replicas, current } = await stream.figures();
    if (replicas === 1) return [{ code: 'not-replicated', queue, message: `'${queue}' has one copy` }];
    if (current >= replicas - 1) return [];
    return [
      { code: 'replicas-behind', queue, message: `'${queue}': ${current + 1} of ${replicas} replicas are up to date` },
    ];
  } catch (error) {
    return [{ code: 'unreachable', queue, message: `'${queue}': ${messageOf(error)}` }];
  }
}
