/** The account of a queue: every ID that is in no segment, or dead in one, and of none that may come back; as few ranges as there are. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { IdRange } from '../../../src/ids.js';
import type { SegmentLog } from '../../../src/log/segment-log.js';
import { accountOf, NONE } from '../../../src/queue/account.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { newPipeline } from './pipeline-fixture.js';

const RECORDS = 40;
const BELOW_MAX = RECORDS + 8;

/** Some segments of ten records or so, of which those in `dropped` are gone, and records in `dead` removed. */
async function newLog(dropped: ReadonlySet<number>, dead: ReadonlySet<number>): Promise<SegmentLog> {
  const disk = new SimDisk({ seed: 1, timing: 'steady', fill: 'zeros' });
  const { pipeline, log } = await newPipeline(disk, { segmentBytes: 64 * 1024 });
  for (let id = 1; id <= RECORDS; id++) await pipeline.push(Buffer.alloc(6000, id), undefined);
  for (const id of dead) log.kill(id);
  log.drop(log.segments.filter((_, i) => dropped.has(i)));
  return log;
}

/** One ID after the other. */
function modelOf(log: SegmentLog, below: number, excepted: ReadonlySet<number>): IdRange[] {
  const last = Math.max(below - 1, log.segments.findLast((one) => !one.isEmpty)?.lastId ?? 0);
  const ranges: { first: number; last: number }[] = [];
  for (let id = 1; id <= last; id++) {
    if (log.isLive(id) || excepted.has(id)) continue;
    const range = ranges.at(-1);
    if (range?.last === id - 1) range.last = id;
    else ranges.push({ first: id, last: id });
  }
  return ranges;
}

const ids = fc.array(fc.integer({ min: 1, max: RECORDS }), { maxLength: 30 }).map((list) => new Set(list));

test('P15: is the model, whatever is dropped, dead, or may come back', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(4), { maxLength: 3 }),
      ids,
      ids,
      fc.integer({ min: 1, max: BELOW_MAX }),
      async (dropped, dead, claimed, below) => {
        const log = await newLog(new Set(dropped), dead);
        const sorted = [...claimed].sort((a, b) => a - b);
        const except = { nextClaimed: (from: number) => sorted.find((id) => id >= from) };
        expect([...accountOf(log.segments, below, except)]).toEqual(modelOf(log, below, claimed));
        expect([...accountOf(log.segments, below, NONE)]).toEqual(modelOf(log, below, new Set()));
      },
    ),
    { numRuns: 40 },
  );
});
