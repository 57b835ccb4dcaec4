/** When segments that were left get their footers. */
import { expect, it } from 'vitest';
import { FailStop } from '../../../src/fail-stop.js';
import { FILE_HEADER_BYTES } from '../../../src/frame/file-header.js';
import { segmentId } from '../../../src/ids.js';
import { LogSegment } from '../../../src/log/log-segment.js';
import { type ActiveSegment, newActiveSegment } from '../../../src/queue/active-segment.js';
import { SegmentSealer } from '../../../src/queue/segment-sealer.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { newDisk, passTime } from '../store/store-fixture.js';

function newSealer(disk: SimDisk, patient: boolean): { readonly sealer: SegmentSealer; readonly sealed: number[] } {
  const sealed: number[] = [];
  const sealer = new SegmentSealer({
    queue: 'wal',
    host: disk.host,
    failStop: new FailStop(),
    patient,
    removalRound: () => 0,
    owes: () => false,
    keep: async () => undefined,
    onSealed: async ({ segment }) => {
      sealed.push(segment.id);
    },
    onError: (error) => {
      throw error;
    },
  });
  return { sealer, sealed };
}

/** A segment of ten records that was left, unsynced. */
async function leftSegment(disk: SimDisk, id: number): Promise<ActiveSegment> {
  const path = `/segment-${id}`;
  const file = await disk.vfs.create(path);
  const end = FILE_HEADER_BYTES + 500;
  const segment = new LogSegment({
    id: segmentId(id),
    baseId: id * 10,
    path,
    seed: 1,
    flags: 0,
    phase: 'active',
    end: FILE_HEADER_BYTES,
    fileBytes: FILE_HEADER_BYTES,
  });
  segment.grow(id * 10, 10, 400, 1, end);
  segment.advance('rolled');
  const left = newActiveSegment(segment, file, undefined);
  await file.writeAt(Buffer.alloc(end), 0, end, 0);
  left.writtenEnd = end;
  return left;
}

it('P10: a segment is not sealed while a move into it is under way, whatever happens to the ones before it', async () => {
  const disk = newDisk();
  const { sealer, sealed } = newSealer(disk, false);
  const endFirst = sealer.beginMove();
  sealer.seal(await leftSegment(disk, 1));
  const endSecond = sealer.beginMove();
  sealer.seal(await leftSegment(disk, 2));
  await sealer.hurry();
  expect(sealed).toEqual([]);
  endFirst();
  await sealer.hurry();
  expect(sealed).toEqual([1]);
  endSecond();
  await sealer.hurry();
  expect(sealed).toEqual([1, 2]);
});

it("in mode 'os' footers wait: for two seconds, or until they are asked for", async () => {
  const disk = newDisk();
  const { sealer, sealed } = newSealer(disk, true);
  sealer.seal(await leftSegment(disk, 1));
  await passTime(disk, 1500);
  sealer.retry();
  await passTime(disk, 100);
  expect(sealed).toEqual([]);
  await passTime(disk, 1000);
  expect(sealed).toEqual([1]);
  sealer.seal(await leftSegment(disk, 2));
  await sealer.hurry();
  expect(sealed).toEqual([1, 2]);
});

it('one that is dead before its turn gets no footer, and is not synced for it', async () => {
  const disk = newDisk();
  const { sealer, sealed } = newSealer(disk, true);
  const left = await leftSegment(disk, 1);
  sealer.seal(left);
  left.segment.live.removeRange(10, 19);
  let syncs = 0;
  disk.observe(({ call }) => {
    if (call.name === 'sync') syncs++;
  });
  sealer.retry();
  await passTime(disk, 10);
  expect(sealed).toEqual([1]);
  expect(left.segment.footerDurable).toBe(false);
  expect(syncs).toBe(0);
});
