/** P15: a commit whose sums hold and that claims IDs past those of its segment costs its own records, and none of those behind it. */
import { expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import {
  COMMIT_HEADER_BYTES,
  commitBodyCrc,
  completeCommit,
  decodeCommitHeader,
  newCommitHeader,
} from '../../../src/frame/commit-header.js';
import { decodeFileHeader, fileSeed } from '../../../src/frame/file-header.js';
import { newDisk, openSim, SIM_PATH } from '../store/store-fixture.js';

const WAL = `${SIM_PATH}/queues/wal`;

test('records behind it are read by every call, of those that it held none is', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk, { gc: false });
  for (const texts of [['1', '2'], ['3', '4'], ['5', '6'], ['7']]) await evaq.wal.pushMany(texts);
  await evaq.close();
  const [name = ''] = (await disk.vfs.list(WAL))
    .map((one) => one.name)
    .filter((one) => one.endsWith('.seg'))
    .sort();
  const path = `${WAL}/${name}`;
  const bytes = Buffer.from(disk.read(path) ?? []);
  const decoding = decodeFileHeader(bytes.subarray(0, 128), 'segment');
  if (decoding.kind !== 'ok') throw new Error('no header');
  const seed = fileSeed(decoding.header);
  const header = newCommitHeader();
  let lied = 0;
  for (let at = 128; at + COMMIT_HEADER_BYTES <= bytes.length; at += COMMIT_HEADER_BYTES + header.bodyBytes) {
    if (!decodeCommitHeader(bytes, at, seed, at, header)) break;
    if (header.firstId !== 3) continue;
    header.firstId = 70_000;
    const commit = bytes.subarray(at, at + COMMIT_HEADER_BYTES + header.bodyBytes);
    completeCommit(commit, header, seed, at);
    expect(commitBodyCrc(commit.subarray(COMMIT_HEADER_BYTES), seed, at)).toBe(header.bodyCrc);
    lied++;
  }
  expect(lied).toBe(1);
  disk.place(path, bytes);
  const reader = await Evaq.openReadOnly(SIM_PATH, {
    onCorruption: 'quarantine',
    ports: { vfs: disk.vfs, host: disk.host },
  });
  const wal = await reader.queue('wal');
  const ids: number[] = [];
  for await (const { id } of wal.records()) ids.push(id);
  expect(ids).toEqual([1, 2, 5, 6, 7]);
  const packed: string[] = [];
  for await (const { payload } of wal.records({ from: 5 })) packed.push(payload.toString());
  expect(packed).toEqual(['5', '6', '7']);
  expect((await wal.stats()).damage.filter(({ lossless }) => !lossless)).not.toEqual([]);
  await reader.close();
});
