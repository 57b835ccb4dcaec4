/** Records for sinks, and what a sink says of them. */
import { isSinkError } from '../../../src/forward/sink-error.js';
import type { Sink, SinkContext, SinkRecord } from '../../../src/forward.js';

export function recordOf(id: number, payload: string | Buffer, more: Partial<SinkRecord> = {}): SinkRecord {
  return {
    id,
    payload: Buffer.from(payload),
    headers: {},
    timestamp: 5,
    deliveryId: `s:wal:${id}`,
    attempt: 1,
    key: undefined,
    ...more,
  };
}

export const CONTEXT: SinkContext = { signal: new AbortController().signal, queue: 'wal' };

export interface Said {
  readonly id: number;
  readonly kind: string;
  readonly reason: string;
  readonly message: string;
}

/** Of each record that failed what is said of it, by ID; what is no `SinkError` has the kind 'other'. */
export async function failuresOf(sink: Sink, records: readonly SinkRecord[]): Promise<Said[]> {
  const result = await sink.deliver(records, CONTEXT);
  const failed = [...(result?.failed ?? [])].sort((a, b) => a.id - b.id);
  return failed.map(({ id, error }) => {
    if (isSinkError(error)) return { id, kind: error.kind, reason: error.reason, message: error.message };
    return { id, kind: 'other', reason: '', message: String(error) };
  });
}
