/** Claims on records that GC finds it cannot read. */
import { expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';

const RECORD_BYTES = 8000;
const LAST = 8;

/** Pops the damaged record at the end of a segment twice while the copy of the segment is getting its name. What came of it. */
async function popWhileReplaced(seed: number): Promise<unknown[]> {
  const disk = new SimDisk({ seed });
  const ports = { vfs: disk.vfs, host: disk.host };
  const evaq = await Evaq.open('/store', { segmentBytes: 64 * 1024, gc: false, ports });
  for (let id = 1; id <= LAST + 4; id++) await evaq.pushWal(Buffer.alloc(RECORD_BYTES, id));
  const path = disk.calls.find((call) => /wal\/0+1-[^/]*\.seg$/.test(call.path))?.path ?? '';
  await evaq.wal.removeMany(Array.from({ length: LAST - 2 }, (_, i) => i + 2));
  const offset = Buffer.from(disk.read(path) ?? []).indexOf(Buffer.alloc(RECORD_BYTES, LAST));
  disk.damage({ kind: 'flip', path, offset });
  let outcomes: Promise<PromiseSettledResult<unknown>[]> | undefined;
  const stop = disk.observe(({ phase, call }) => {
    if (outcomes !== undefined || phase !== 'call' || call.name !== 'syncDir') return;
    outcomes = Promise.allSettled([evaq.wal.pop(LAST), evaq.wal.pop(LAST)]);
  });
  await evaq.wal.compact();
  stop();
  const both = (await outcomes) ?? [];
  await evaq.close();
  return both.map((one) => (one.status === 'rejected' ? (one.reason.code ?? one.reason) : 'popped'));
}

test('P14: pops of a record that cannot be read end, and so does close, while GC replaces its segment', async () => {
  for (let seed = 1; seed <= 60; seed++) {
    for (const outcome of await popWhileReplaced(seed))
      expect(['EVAQ_CORRUPT', 'EVAQ_RECORD_NOT_FOUND']).toContain(outcome);
  }
});
