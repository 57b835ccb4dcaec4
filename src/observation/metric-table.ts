/** The metrics, as docs/observation.md lists them. Pure: from what a store says to names, labels and numbers. */
import type { QueueStats } from '../queue/queue-stats.js';
import type { DeliveryTotals } from '../store/deliveries.js';
import { HEALTH_REASONS, type Health } from '../store/health.js';
import type { StoreStats } from '../store/store-stats.js';

/** What was pushed and removed while the metrics were registered. */
export interface QueueTally {
  pushedRecords: number;
  pushedBytes: number;
  removedRecords: number;
}

/** A store at one moment. */
export interface Snapshot {
  readonly stats: StoreStats;
  readonly health: Health;
  readonly tallies: ReadonlyMap<string, Readonly<QueueTally>>;
}

/** A number, of a queue, or with a reason, or of the store. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface MetricRow {
  readonly kind: 'gauge' | 'counter';
  readonly name: string;
  readonly help: string;
  /** Beside those of the store. */
  readonly labelNames: readonly string[];
  readonly samples: (snapshot: Snapshot) => readonly Sample[];
}

export interface HistogramRow {
  readonly name: string;
  readonly help: string;
}

/** Seconds. A push takes less than a millisecond, a delivery what it takes. */
export const BUCKETS: readonly number[] = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30];

export const COMMIT_SECONDS: HistogramRow = {
  name: 'commit_seconds',
  help: 'Time of a group commit, from its write to its acknowledgement.',
};
export const DELIVERY_SECONDS: HistogramRow = {
  name: 'delivery_seconds',
  help: 'Time of a call of a handler, for one record or a batch, failed or not.',
};

type Kind = MetricRow['kind'];

function ofQueues(kind: Kind, name: string, help: string, of: (stats: QueueStats) => number | undefined): MetricRow {
  return {
    kind,
    name,
    help,
    labelNames: ['queue'],
    samples: ({ stats }) => stats.queues.flatMap((one) => sample(one.queue, of(one))),
  };
}

function ofDeliveries(kind: Kind, name: string, help: string, of: (totals: DeliveryTotals) => number): MetricRow {
  return {
    kind,
    name,
    help,
    labelNames: ['queue'],
    samples: ({ stats }) => stats.deliveries.flatMap((one) => sample(one.queue, of(one))),
  };
}

function ofTallies(name: string, help: string, of: (tally: Readonly<QueueTally>) => number): MetricRow {
  return {
    kind: 'counter',
    name,
    help,
    labelNames: ['queue'],
    samples: ({ stats, tallies }) =>
      stats.queues.flatMap(({ queue }) => {
        const tally = tallies.get(queue);
        return sample(queue, tally === undefined ? 0 : of(tally));
      }),
  };
}

function sample(queue: string, value: number | undefined): readonly Sample[] {
  return value === undefined ? [] : [{ labels: { queue }, value }];
}

export const METRICS: readonly MetricRow[] = [
  ofQueues('gauge', 'records', 'Live records.', ({ live }) => live),
  ofQueues('gauge', 'dead_records', 'Removed records whose bytes are still on disk.', ({ dead }) => dead),
  ofQueues('gauge', 'bytes', 'Bytes of segments and logs.', ({ bytes }) => bytes),
  ofQueues('gauge', 'segments', 'Segments.', ({ segments }) => segments),
  ofQueues('gauge', 'pending_bytes', 'Bytes accepted and not committed yet.', ({ pendingBytes }) => pendingBytes),
  ofQueues('gauge', 'owed_removals', 'Ranges of removals that found no space.', ({ owedRemovals }) => owedRemovals),
  ofQueues('gauge', 'oldest_record_age_seconds', 'Age of the oldest live record.', ({ oldestAgeMs }) =>
    oldestAgeMs === undefined ? undefined : oldestAgeMs / 1000,
  ),
  ofDeliveries('gauge', 'in_flight_records', 'Records in handlers.', ({ inFlight }) => inFlight),
  ofDeliveries('gauge', 'overdue_handlers', 'Handlers that go on past their time.', ({ overdue }) => overdue),
  ofDeliveries('gauge', 'waiting_records', 'Records that wait for their time or their key.', ({ waiting }) => waiting),
  ofDeliveries('gauge', 'breakers_open', 'Deliveries whose destination is down.', ({ breakersOpen }) => breakersOpen),
  {
    kind: 'gauge',
    name: 'disk_free_bytes',
    help: 'Free bytes of the file system of the store.',
    labelNames: [],
    samples: ({ health }) => (health.freeBytes === undefined ? [] : [{ labels: {}, value: health.freeBytes }]),
  },
  {
    kind: 'gauge',
    name: 'healthy',
    help: '1 where health() finds nothing wrong.',
    labelNames: [],
    samples: ({ health }) => [{ labels: {}, value: health.status === 'ok' ? 1 : 0 }],
  },
  {
    kind: 'gauge',
    name: 'health_reasons',
    help: 'How many reasons of this code health() gives.',
    labelNames: ['reason'],
    samples: ({ health }) =>
      HEALTH_REASONS.map((reason) => ({
        labels: { reason },
        value: health.reasons.filter(({ code }) => code === reason).length,
      })),
  },
  ofTallies('pushed_records_total', 'Records committed, moves included.', ({ pushedRecords }) => pushedRecords),
  ofTallies('pushed_bytes_total', 'Bytes of payload committed.', ({ pushedBytes }) => pushedBytes),
  ofTallies('removed_records_total', 'Records removed, moves included.', ({ removedRecords }) => removedRecords),
  ofDeliveries('counter', 'delivered_records_total', 'Records that arrived.', ({ delivered }) => delivered),
  ofDeliveries('counter', 'failed_tries_total', 'Tries that failed and count.', ({ failed }) => failed),
  ofDeliveries('counter', 'released_tries_total', 'Tries that count as none.', ({ released }) => released),
  ofDeliveries(
    'counter',
    'dead_lettered_records_total',
    'Records that deliveries gave up.',
    ({ deadLettered }) => deadLettered,
  ),
  ofDeliveries('counter', 'dropped_records_total', 'Records classified as not wanted.', ({ dropped }) => dropped),
  {
    kind: 'counter',
    name: 'limit_dropped_records_total',
    help: 'Records that the limits of their queue have cost.',
    labelNames: ['queue', 'cause'],
    samples: ({ stats }) =>
      stats.queues.flatMap(({ queue, limits }) =>
        limits === undefined
          ? []
          : [
              { labels: { queue, cause: 'full' }, value: limits.dropped },
              { labels: { queue, cause: 'expired' }, value: limits.expired },
            ],
      ),
  },
  ofQueues('gauge', 'waiting_pushes', 'Pushes that wait for room.', ({ limits }) => limits?.waiting),
  ofQueues('counter', 'gc_reclaimed_bytes_total', 'Bytes given back to the disk.', ({ gc }) => gc.reclaimedBytes),
  ofQueues('counter', 'gc_copied_bytes_total', 'Bytes that collecting has copied.', ({ gc }) => gc.copiedBytes),
  ofQueues('counter', 'damage_total', 'Places where damage was met since the opening.', ({ damage }) => damage.length),
];
