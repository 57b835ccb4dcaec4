import { expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { decodeFileHeader, FILE_HEADER_BYTES, fileSeed } from '../../../src/frame/file-header.js';
import { segmentId } from '../../../src/ids.js';
import { recoverHeader } from '../../../src/raw/repair-header.js';
import { parseSegmentFileName, segmentQueueMark } from '../../../src/segment/segment-name.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';

function sourceOf(bytes: Uint8Array): Parameters<typeof recoverHeader>[0] {
  return {
    readAt(target, offset, length, position) {
      const part = bytes.subarray(position, position + length);
      target.set(part, offset);
      return Promise.resolve(part.length);
    },
  };
}

/** Segments of many seeds, some of them rewritten; a payload holds the start of another segment. */
async function segments(seed: number): Promise<{ queue: string; name: string; bytes: Buffer }[]> {
  const disk = new SimDisk({ seed, timing: 'steady', fill: 'zeros' });
  const evaq = await Evaq.open('/s', { ports: { vfs: disk.vfs, host: disk.host }, segmentBytes: 65_536, gc: false });
  for (let i = 0; i < 300; i++) await evaq.wal.push(`${i}:`.padEnd(400, 'x'));
  for (let i = 1; i <= 120; i += 2) await evaq.wal.remove(i);
  await evaq.wal.compact();
  const first = (await disk.vfs.list('/s/queues/wal')).find(({ name }) => name.endsWith('.seg'))?.name ?? '';
  await evaq.deadLetters.push(disk.read(`/s/queues/wal/${first}`) ?? '');
  await evaq.close();
  const all: { queue: string; name: string; bytes: Buffer }[] = [];
  for (const queue of ['wal', 'dead-letters']) {
    for (const { name } of await disk.vfs.list(`/s/queues/${queue}`)) {
      if (name.endsWith('.seg'))
        all.push({ queue, name, bytes: Buffer.from(disk.read(`/s/queues/${queue}/${name}`) ?? []) });
    }
  }
  return all;
}

test('P9: a file header that is gone is worked out from any commit that is left', async () => {
  let recovered = 0;
  let rewritten = 0;
  for (let seed = 1; seed <= 3; seed++) {
    for (const { queue, name, bytes } of await segments(seed)) {
      const was = decodeFileHeader(bytes.subarray(0, FILE_HEADER_BYTES), 'segment');
      const parsed = parseSegmentFileName(name);
      if (was.kind !== 'ok' || parsed?.kind !== 'segment') throw new Error(`${name} is no segment`);
      const { storeUuid, fileId, baseId, flags } = was.header;
      const about = {
        kind: 'segment',
        fileId: parsed.segmentId,
        baseId: parsed.baseId,
        queueMark: segmentQueueMark(`/s/queues/${queue}/${name}`),
      } as const;
      // A sector, or all but the end: the footer alone will do.
      for (const zeroed of [FILE_HEADER_BYTES, 512, bytes.length - 2000]) {
        if (zeroed < FILE_HEADER_BYTES || zeroed > bytes.length) continue;
        const damaged = Buffer.from(bytes).fill(0, 0, zeroed);
        const header = await recoverHeader(sourceOf(damaged), damaged.length, storeUuid, about, true);
        if (header === undefined) continue;
        recovered++;
        expect(fileSeed(header)).toBe(fileSeed(was.header));
        expect(header).toMatchObject({ fileId, baseId, salt: was.header.salt });
        if (zeroed === FILE_HEADER_BYTES) expect(header.flags & 1).toBe(flags & 1);
        rewritten += flags & 1;
        // Any seed has a salt: that of a file of another queue or store is none that this one would have.
        const recover = (uuid: Buffer, name: typeof about): ReturnType<typeof recoverHeader> =>
          recoverHeader(sourceOf(damaged), damaged.length, uuid, name, true);
        for (let other = 1; other <= 3; other++) {
          expect(await recover(Buffer.alloc(16, other), about)).toBeUndefined();
          expect(await recover(storeUuid, { ...about, fileId: segmentId(fileId + other) })).toBeUndefined();
          expect(await recover(storeUuid, { ...about, queueMark: other })).toBeUndefined();
        }
      }
      const nothing = Buffer.from(bytes).fill(0x41);
      expect(await recoverHeader(sourceOf(nothing), nothing.length, storeUuid, about, true)).toBeUndefined();
    }
  }
  expect(recovered).toBeGreaterThan(20);
  expect(rewritten).toBeGreaterThan(2);
});
