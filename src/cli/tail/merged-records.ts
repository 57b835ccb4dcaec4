/**
 * Records of several queues as one sequence: by their times, and within a queue in the order of its IDs, whatever the clock did. What is there is taken
 * in rounds; between them whoever follows waits.
 */
import type { QueueRecord } from '../../log/queue-record.js';

export interface MergedRecord {
  readonly queue: string;
  readonly record: QueueRecord;
}

/** Where the records of a queue come from, in the order of their IDs. */
export interface RecordSource {
  readonly queue: string;
  /** Some that come behind those of the call before; empty: there are no more for now. */
  readonly read: () => Promise<readonly QueueRecord[]>;
}

interface Lane {
  readonly source: RecordSource;
  batch: readonly QueueRecord[];
  at: number;
  isDrained: boolean;
}

/** One round: ends when no source has any more for now. */
export async function* mergedRecords(sources: readonly RecordSource[]): AsyncGenerator<MergedRecord, void, undefined> {
  const lanes = sources.map((source): Lane => ({ source, batch: [], at: 0, isDrained: false }));
  for (;;) {
    for (const lane of lanes) if (lane.at >= lane.batch.length && !lane.isDrained) await refill(lane);
    const next = earliest(lanes);
    if (next === undefined) return;
    const record = next.batch[next.at++];
    if (record !== undefined) yield { queue: next.source.queue, record };
  }
}

async function refill(lane: Lane): Promise<void> {
  lane.batch = await lane.source.read();
  lane.at = 0;
  lane.isDrained = lane.batch.length === 0;
}

/** Of equal times the first lane's comes first. */
function earliest(lanes: readonly Lane[]): Lane | undefined {
  let found: Lane | undefined;
  let leastMs = Infinity;
  for (const lane of lanes) {
    const record = lane.batch[lane.at];
    if (record === undefined || (found !== undefined && record.timestamp >= leastMs)) continue;
    found = lane;
    leastMs = record.timestamp;
  }
  return found;
}
