/**
 * Ranges of a stream, a batch at a time: what `read`, `records` and `tail` of a replicated queue hand out.
 */
import type { QueueRecord } from '../log/queue-record.js';
import type { ReadLimits } from '../log/segment-walk.js';
import { PolledRecords } from '../raw/polled-records.js';
import { closedError } from './jetstream-errors.js';
import type { QueueStream } from './queue-stream.js';

/** The store, as far as reading is concerned. */
export interface ReadHost {
  isOpen(): boolean;
  /** Calls `wake` after so many ms, or when the store closes. The result cancels. */
  sleep(ms: number, wake: () => void): () => void;
}

const BATCH_RECORDS = 500;
const BATCH_BYTES = 1024 * 1024;
/** How often a tail looks for more. */
const POLL_MS = 100;

/** From an ID on, of so many bytes of payload at most, but one. */
export async function readWithin(
  stream: QueueStream,
  from: number,
  { maxRecords, maxBytes }: ReadLimits,
): Promise<QueueRecord[]> {
  const records: QueueRecord[] = [];
  let bytes = 0;
  for (let next = from; ; ) {
    const batch = await stream.readOn(next, maxRecords - records.length, BATCH_BYTES);
    for (const record of batch.records) {
      bytes += record.payload.length;
      if (records.length > 0 && bytes > maxBytes) return records;
      records.push(record);
    }
    const last = batch.records.at(-1);
    if (batch.isEnd || last === undefined || records.length >= maxRecords) return records;
    next = last.id + 1;
  }
}

/** One after the other. */
export function recordsOf(
  stream: QueueStream,
  { from, to }: { readonly from: number; readonly to: number },
  how: 'records' | 'tail',
  host: ReadHost,
): PolledRecords {
  const isOpen = (): boolean => host.isOpen();
  const read = async (first: number, last: number): Promise<readonly QueueRecord[] | undefined> => {
    if (!isOpen()) {
      if (how === 'tail') return undefined;
      throw closedError(stream.queue);
    }
    const { records } = await stream.readOn(first, Math.min(BATCH_RECORDS, last - first + 1), BATCH_BYTES);
    return records.filter(({ id }) => id <= last);
  };
  const wait = how === 'records' ? undefined : (wake: () => void) => host.sleep(POLL_MS, wake);
  return new PolledRecords({ read, wait, isOpen }, from, to);
}
