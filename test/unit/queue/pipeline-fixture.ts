/** A commit pipeline alone, on a simulated disk. */
import { FailStop } from '../../../src/fail-stop.js';
import { segmentId } from '../../../src/ids.js';
import { SegmentLog } from '../../../src/log/segment-log.js';
import { newActiveSegment } from '../../../src/queue/active-segment.js';
import { BlockingBudget } from '../../../src/queue/blocking-budget.js';
import { CommitPipeline, type CommitPipelineOptions } from '../../../src/queue/commit-pipeline.js';
import { newSegment, startSegment } from '../../../src/queue/segment-start.js';
import { SegmentSupply } from '../../../src/segment/segment-supply.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';

export const PIPELINE_DIR = '/queue';

export interface PipelineSetting {
  readonly pipeline: CommitPipeline;
  readonly failStop: FailStop;
  readonly log: SegmentLog;
}

/** Space for removals, without end. */
const AMPLE = {
  covers: () => true,
  isRefused: false,
  lookAhead: () => undefined,
  renew: () => Promise.resolve(),
};

export async function newPipeline(
  disk: SimDisk,
  options: Partial<CommitPipelineOptions> = {},
): Promise<PipelineSetting> {
  const { vfs, host } = disk;
  const dir = PIPELINE_DIR;
  await vfs.makeDir(dir);
  let last = 0;
  const allocateId = (): ReturnType<typeof segmentId> => segmentId(++last);
  const supply = new SegmentSupply({ vfs, host, dir, storeUuid: Buffer.alloc(16, 7), allocateId, poolMax: 0 });
  const failStop = new FailStop();
  const log = new SegmentLog(4096);
  const { durability = 'sync', nextId = 1 } = options;
  const relaxed = durability !== 'sync';
  const draft = await startSegment({ supply, failStop, nextId, relaxed, keep: 0 });
  const segment = newSegment(draft);
  log.append(segment);
  const pipeline = new CommitPipeline(
    {
      storeId: 'a store',
      queue: 'wal',
      log,
      supply,
      host,
      failStop,
      durability,
      blocking: new BlockingBudget(host, durability === 'sync'),
      segmentBytes: 64 * 1024,
      maxPendingBytes: 1024 * 1024,
      indexIntervalBytes: 4096,
      nextId,
      reserve: () => AMPLE,
      removalRound: () => 0,
      syncRemovalsBlocking: () => undefined,
      onVisible: () => undefined,
      onRolled: () => undefined,
      onSync: () => undefined,
      ...options,
    },
    newActiveSegment(segment, draft.file, undefined),
  );
  return { pipeline, failStop, log };
}

/** What became of each: its value, or its error's code. */
export async function outcomesOf<T>(calls: readonly Promise<T>[]): Promise<(T | string)[]> {
  const outcomes = await Promise.allSettled(calls);
  return outcomes.map((one) => (one.status === 'fulfilled' ? one.value : String(one.reason.code ?? one.reason)));
}

export function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  return new Error('it did not throw');
}
