/** P15: a file of another queue or store, by a restore, is none of this queue's, also where its header does not say so any more. */
import { describe, expect, test } from 'vitest';
import { ReadOnlyEvaq } from '../../../src/raw/read-only-evaq.js';
import { surveyRepair } from '../../../src/raw/repair-survey.js';
import { verifyStore } from '../../../src/raw/verify.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { ownLockNote } from '../../../src/store/store-lock.js';
import { repairStore } from '../../../src/store/store-repair.js';
import { newDisk, openSim, SIM_PATH } from '../store/store-fixture.js';

const RECORDS = 60;
const REMOVED = [2, 5];

const dirOf = (queue: string): string => `${SIM_PATH}/queues/${queue}`;

async function filesOf(disk: SimDisk, queue: string, end: string): Promise<string[]> {
  const names = (await disk.vfs.list(dirOf(queue))).map(({ name }) => name);
  return names
    .filter((name) => name.endsWith(end))
    .sort()
    .map((name) => `${dirOf(queue)}/${name}`);
}

/** Two queues of some segments each, whose records say whose they are. */
async function storeOf(word: string, seed: number, end: 'closed' | 'killed'): Promise<SimDisk> {
  const disk = newDisk({ seed });
  const evaq = await openSim(disk, { segmentBytes: 64 * 1024, gc: false });
  const jobs = await evaq.queue('jobs');
  for (let i = 0; i < RECORDS; i++) {
    await evaq.wal.push(`${word} ${i}`.padEnd(4000));
    await jobs.push(`jobs ${i}`.padEnd(3000));
  }
  await evaq.wal.removeMany(word === 'own' ? REMOVED : [20, 21, 22]);
  if (end === 'closed') await evaq.close();
  else disk.kill();
  return disk;
}

function damaged(bytes: Uint8Array | undefined, how: 'zero' | 'a bit in each copy'): Buffer {
  const file = Buffer.from(bytes ?? []);
  if (how === 'zero') file.fill(0, 0, 128);
  else for (const at of [50, 64 + 51]) file.writeUInt8(file.readUInt8(at) ^ 1, at);
  return file;
}

async function readableIn(disk: SimDisk): Promise<{ words: Set<string>; ids: number[] }> {
  const reader = await ReadOnlyEvaq.open(SIM_PATH, { ports: disk, onCorruption: 'quarantine' });
  const words = new Set<string>();
  const ids: number[] = [];
  for await (const { id, payload } of (await reader.queue('wal')).records()) {
    words.add(payload.toString().slice(0, 4).trim());
    ids.push(id);
  }
  await reader.close();
  return { words, ids };
}

/** Puts a file there; which of its own goes for it. */
type Harm = (own: SimDisk, other: SimDisk, header: (bytes: Uint8Array | undefined) => Buffer) => Promise<void>;

const harms: readonly (readonly [what: string, harm: Harm])[] = [
  [
    'a segment of another store, in place of one of its own',
    async (own, other, header) => {
      const [, path = ''] = await filesOf(own, 'wal', '.seg');
      own.place(path, header(other.read(path)));
    },
  ],
  [
    'a segment of another store, beside its own',
    async (own, other, header) => {
      const [, path = ''] = await filesOf(own, 'wal', '.seg');
      own.place(path.replace(/-[0-9a-f]+/, '-0000000000000077'), header(other.read(path)));
    },
  ],
  [
    'a segment of another queue, beside its own',
    async (own, _, header) => {
      const [, path = ''] = await filesOf(own, 'jobs', '.seg');
      own.place(path.replace('/jobs/', '/wal/'), header(own.read(path)));
    },
  ],
  [
    'a segment of another queue, and one of its own is gone',
    async (own, _, header) => {
      const [, gone = ''] = await filesOf(own, 'wal', '.seg');
      const [, path = ''] = await filesOf(own, 'jobs', '.seg');
      own.remove(gone);
      own.place(path.replace('/jobs/', '/wal/'), header(own.read(path)));
    },
  ],
  [
    'the log of removals of another store, in place of its own',
    async (own, other, header) => {
      const paths = await filesOf(own, 'wal', '.tomb');
      const theirs = (await filesOf(other, 'wal', '.tomb')).at(-1) ?? '';
      for (const path of paths) own.place(path, header(other.read(theirs)));
    },
  ],
];

const states = harms.flatMap(([what, harm]) =>
  (['closed', 'killed'] as const).flatMap((end) =>
    (['zero', 'a bit in each copy'] as const).map((header) => ({ what, harm, end, header })),
  ),
);

describe.each(states)('$what, with a header that is $header; $end', ({ harm, end, header }) => {
  test('P3, P15: nothing in it is read or followed, before and after a repair, and what is lost is named', async () => {
    const disk = await storeOf('own', 1, end);
    const other = await storeOf('other', 99, end);
    await harm(disk, other, (bytes) => damaged(bytes, header));
    const before = await readableIn(disk);
    expect([...before.words]).toEqual(['own']);
    const { damage } = await verifyStore(SIM_PATH, { vfs: disk.vfs });
    const { plan } = await surveyRepair(SIM_PATH, { vfs: disk.vfs });
    const isRemovals = plan.removalsLost.length > 0;
    for (let id = 1; id <= RECORDS; id++) {
      if (REMOVED.includes(id) || before.ids.includes(id)) continue;
      expect(damage.some(({ firstId = Infinity, lastId = 0 }) => firstId <= id && id <= lastId)).toBe(true);
      expect(plan.lost.some(({ first, last }) => first <= id && id <= last)).toBe(true);
    }
    const repaired = await repairStore(SIM_PATH, { vfs: disk.vfs, host: disk.host, lockNote: ownLockNote(0) });
    expect(repaired).toMatchObject({ applied: true, left: [] });
    const after = await readableIn(disk);
    expect(after).toEqual(before);
    if (isRemovals) expect(after.ids).toHaveLength(RECORDS);
    const evaq = await openSim(disk);
    expect(evaq.recovery.damage).toEqual([]);
    expect(await evaq.wal.push('new')).toBeGreaterThan(RECORDS);
    await evaq.close();
  });
});
