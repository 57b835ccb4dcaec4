/** Finding records by time, where clocks went ahead and back: what is passed over holds none. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { loadQueue } from '../../../src/log/log-load.js';
import type { SegmentLog } from '../../../src/log/segment-log.js';
import type { TimeRange } from '../../../src/segment/segment-times.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { newDisk, SIM_PATH } from '../store/store-fixture.js';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const T = 1_800_000_000_000;

/** Pushes records of 10 kB, seven to a segment, one at each time; they get the IDs 1, 2, 3, … */
async function storeOf(times: readonly number[]): Promise<{ disk: SimDisk; evaq: Evaq }> {
  const disk = newDisk();
  let now = T;
  const ports = { vfs: disk.vfs, host: { ...disk.host, now: () => now } };
  const evaq = await Evaq.open(SIM_PATH, { ports, segmentBytes: 64 * 1024 });
  for (now of times) await evaq.wal.push(Buffer.alloc(10_000));
  return { disk, evaq };
}

async function logOf(disk: SimDisk): Promise<SegmentLog> {
  const store = disk.read(`${SIM_PATH}/STORE`);
  if (store === undefined) throw new Error('there is no store');
  const uuid = Buffer.from(store.subarray(8, 24));
  const { vfs } = disk.restart();
  return (await loadQueue(vfs, `${SIM_PATH}/queues/wal`, 'wal', uuid, { indexIntervalBytes: 4096 })).log;
}

/** What is looked at for that range: from each place where a record may be to the end of its span, as a reader by time goes. */
function visited(log: SegmentLog, range: TimeRange, lastId: number): number[] {
  const ids: number[] = [];
  for (let id = log.firstWithin(range, 0); id !== undefined && id <= lastId; id = log.firstWithin(range, id + 1))
    ids.push(id);
  return ids;
}

describe('a time is found in a log', () => {
  it.each(['closed', 'killed'])(
    'by a few records around it, though the clock was 400 days ahead and at the epoch meanwhile: %s',
    async (how) => {
      const times = Array.from({ length: 100 }, (_, i) => {
        if (i === 30) return T + 400 * DAY;
        return i === 60 ? 0 : T + i * MINUTE;
      });
      const { disk, evaq } = await storeOf(times);
      if (how === 'closed') await evaq.close();
      const log = await logOf(disk);
      const quarter = { sinceMs: T + 45 * MINUTE, untilMs: T + 60 * MINUTE };
      const wanted = times.flatMap((time, i) => (time >= quarter.sinceMs && time <= quarter.untilMs ? [i + 1] : []));
      const ids = visited(log, quarter, 100);
      expect(ids).toEqual(expect.arrayContaining(wanted));
      expect(ids.length).toBeLessThanOrEqual(wanted.length + 16);
      expect(visited(log, { sinceMs: T + 399 * DAY, untilMs: T + 500 * DAY }, 100)).toEqual([31]);
      expect(visited(log, { sinceMs: 0, untilMs: T - 1 }, 100)).toEqual([61]);
      expect(visited(log, { sinceMs: T + DAY, untilMs: T + 2 * DAY }, 100)).toEqual([]);
    },
  );

  it('and none is passed over, whatever the clock says, in segments that are sealed, scanned and rewritten', async () => {
    const jump = fc.oneof(
      fc.nat(2 * MINUTE),
      fc.integer({ min: -DAY, max: DAY }),
      fc.constantFrom(0, -400 * DAY, 400 * DAY),
    );
    const script = fc.record({
      jumps: fc.array(jump, { minLength: 1, maxLength: 60 }),
      end: fc.constantFrom('close' as const, 'kill' as const),
      pick: fc.nat(),
      widthMs: fc.nat(2 * DAY),
    });
    await fc.assert(
      fc.asyncProperty(script, async ({ jumps, end, pick, widthMs }) => {
        let now = T;
        const times = jumps.map((by) => {
          now = Math.max(0, now + by);
          return now;
        });
        const { disk, evaq } = await storeOf(times);
        await evaq.wal.removeMany(times.flatMap((_, i) => (i % 3 === 0 ? [] : [i + 1])));
        await evaq.wal.compact();
        const live = times.flatMap((time, i) => (i % 3 === 0 ? [{ id: i + 1, time }] : []));
        if (end === 'close') await evaq.close();
        const log = await logOf(disk);
        const sinceMs = live[pick % live.length]?.time ?? 0;
        const range = { sinceMs, untilMs: sinceMs + widthMs };
        const wanted = live.filter(({ time }) => time >= sinceMs && time <= range.untilMs).map(({ id }) => id);
        expect(visited(log, range, times.length)).toEqual(expect.arrayContaining(wanted));
        for (const segment of log.segments) {
          const held = live.filter(({ id }) => id >= segment.firstId && id <= segment.lastId);
          if (held.some(({ id }) => wanted.includes(id))) expect(segment.times.mayHold(range)).toBe(true);
        }
      }),
      { numRuns: 40 },
    );
  });
});
