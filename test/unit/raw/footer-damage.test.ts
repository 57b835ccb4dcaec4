/** P15: a footer whose summary is intact costs nothing where the rest of it is damaged: that is told as harmless until a repair, or a rewrite, mends it. */
import { describe, expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { verifyStore } from '../../../src/raw/verify.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { backUpStore } from '../../../src/store/store-backup.js';
import { ownLockNote } from '../../../src/store/store-lock.js';
import { repairStore } from '../../../src/store/store-repair.js';
import { contentOf, newDisk, openSim, SIM_PATH } from '../store/store-fixture.js';

const DIR = `${SIM_PATH}/queues/wal`;
const SUMMARY_BYTES = 96;

async function secondSegment(disk: SimDisk): Promise<string> {
  const names = (await disk.vfs.list(DIR)).map(({ name }) => name).filter((name) => name.endsWith('.seg'));
  return `${DIR}/${names.sort()[1]}`;
}

async function filled(kind: 'dense' | 'rewritten'): Promise<SimDisk> {
  const disk = newDisk();
  const evaq = await openSim(disk, { segmentBytes: 64 * 1024, gc: false, indexIntervalBytes: 4096 });
  for (let i = 0; i < 40; i++) await evaq.wal.push(`${i}`.padEnd(4000));
  if (kind === 'rewritten') {
    await evaq.wal.removeMany([18, 20, 22, 24, 25, 26, 27, 28, 29, 30]);
    await evaq.wal.compact();
  }
  await evaq.close();
  return disk;
}

describe.each(['dense', 'rewritten'] as const)('the footer of a segment that is %s', (kind) => {
  test('no byte of it in front of its summary costs anything, and a repair mends it for good, as does a rewrite', async () => {
    const disk = await filled(kind);
    const reading = disk.fork();
    const whole = await openSim(reading, { gc: false });
    const content = await contentOf(whole.wal);
    await whole.close();
    const path = await secondSegment(disk);
    const bytes = Buffer.from(disk.read(path) ?? []);
    const footerBytes = bytes.readUInt32LE(bytes.length - SUMMARY_BYTES + 4);
    // Runs and replaced segments are what the summary says of: in front of them.
    const runsBytes = bytes.readUInt32LE(bytes.length - SUMMARY_BYTES + 64);
    const replaced = 8 * bytes.readUInt32LE(bytes.length - SUMMARY_BYTES + 68);
    const timesBytes = bytes.readUInt32LE(bytes.length - SUMMARY_BYTES + 88);
    const end = bytes.length - SUMMARY_BYTES - timesBytes - replaced - runsBytes;
    let tried = 0;
    for (let at = bytes.length - footerBytes; at < end; at += 11) {
      tried++;
      const harmed = disk.fork();
      const rotten = Buffer.from(bytes);
      rotten.writeUInt8(rotten.readUInt8(at) ^ 0x40, at);
      harmed.place(path, rotten);
      const { damage } = await verifyStore(SIM_PATH, { vfs: harmed.vfs });
      expect(damage.length).toBeGreaterThan(0);
      for (const one of damage) expect(one).toMatchObject({ file: path, lossless: true });

      const opened = harmed.fork();
      const evaq = await openSim(opened, { gc: false });
      expect(evaq.recovery.damage).toEqual([]);
      expect(await contentOf(evaq.wal)).toEqual(content);
      await evaq.wal.remove(17);
      await evaq.wal.compact();
      await evaq.close();
      expect((await verifyStore(SIM_PATH, { vfs: opened.vfs })).damage).toEqual([]);

      const repaired = await repairStore(SIM_PATH, {
        vfs: harmed.vfs,
        host: harmed.host,
        lockNote: ownLockNote(0),
      });
      expect(repaired).toMatchObject({ applied: true, left: [], plan: { lost: [] } });
      expect((await verifyStore(SIM_PATH, { vfs: harmed.vfs })).damage).toEqual([]);
      const mended = await openSim(harmed, { gc: false });
      expect(await contentOf(mended.wal)).toEqual(content);
      await mended.close();
    }
    expect(tried).toBeGreaterThan(5);
  });
});

const COMMIT_HEADER_BYTES = 48;

/** Ways in which a footer is lost, but for its header: of bytes that end with one that is so long. */
const RUINS: Readonly<Record<string, (bytes: Buffer, footerBytes: number) => Buffer>> = {
  'a bit of its summary': (bytes) => flipped(bytes, bytes.length - 40),
  'its magic': (bytes) => flipped(bytes, bytes.length - SUMMARY_BYTES),
  'all of its body': (bytes, footerBytes) => {
    const rotten = Buffer.from(bytes);
    return rotten.fill(0, bytes.length - footerBytes + COMMIT_HEADER_BYTES);
  },
  'its end, which is cut off': (bytes) => bytes.subarray(0, bytes.length - 10),
  'its body, which is cut off': (bytes, footerBytes) =>
    bytes.subarray(0, bytes.length - footerBytes + COMMIT_HEADER_BYTES),
  'the end of the file, behind which something stands': (bytes) => Buffer.concat([bytes, Buffer.alloc(700, 0xc0)]),
  'the end of the file, behind which zeros stand': (bytes) => Buffer.concat([bytes, Buffer.alloc(5000)]),
};

function flipped(bytes: Buffer, at: number): Buffer {
  const rotten = Buffer.from(bytes);
  rotten.writeUInt8(rotten.readUInt8(at) ^ 0x40, at);
  return rotten;
}

async function segmentsOf(disk: SimDisk): Promise<string[]> {
  const names = (await disk.vfs.list(DIR)).map(({ name }) => name).filter((name) => name.endsWith('.seg'));
  return names.sort().map((name) => `${DIR}/${name}`);
}

async function contents(disk: SimDisk): Promise<unknown> {
  const evaq = await openSim(disk, { gc: false });
  const content = await contentOf(evaq.wal);
  await evaq.close();
  return content;
}

describe.each(Object.keys(RUINS))('a segment whose footer has lost %s', (what) => {
  test.each([0, 1, 2])(
    'has lost no record: it is opened, and gets a footer; a crash in between makes nothing worse (%i)',
    async (nth) => {
      const disk = await filled('dense');
      const content = await contents(disk.fork());
      const path = (await segmentsOf(disk))[nth] ?? '';
      const bytes = Buffer.from(disk.read(path) ?? []);
      const footerBytes = bytes.readUInt32LE(bytes.length - SUMMARY_BYTES + 4);
      disk.place(path, RUINS[what]?.(bytes, footerBytes) ?? bytes);

      const { damage } = await verifyStore(SIM_PATH, { vfs: disk.vfs });
      expect(damage.length).toBeGreaterThan(0);
      for (const one of damage) {
        expect(one).toMatchObject({ file: path, lossless: true });
        expect(one).not.toHaveProperty('firstId');
      }
      const copy = disk.fork();
      await backUpStore(SIM_PATH, '/copy', { vfs: copy.vfs, host: copy.host, lockNote: ownLockNote(0), links: false });
      const restored = await Evaq.open('/copy', { gc: false, ports: { vfs: copy.vfs, host: copy.host } });
      expect(await contentOf(restored.wal)).toEqual(content);
      await restored.close();

      const repaired = disk.fork();
      const report = await repairStore(SIM_PATH, { vfs: repaired.vfs, host: repaired.host, lockNote: ownLockNote(0) });
      expect(report).toMatchObject({ applied: true, left: [], plan: { lost: [] } });
      expect(await contents(repaired)).toEqual(content);

      const cuts: SimDisk[] = [];
      const stop = disk.observe(({ phase, call }) => {
        if (phase !== 'ack' || !['write', 'sync', 'truncate'].includes(call.name) || call.path !== path) return;
        cuts.push(disk.crash(disk.nothingSurvives()), disk.crash());
        for (let draw = 0; draw < 3; draw++) cuts.push(disk.crash(disk.drawCrash(cuts.length)));
      });
      const evaq = await openSim(disk, { gc: false });
      stop();
      expect(evaq.recovery.damage.every(({ lossless }) => lossless)).toBe(true);
      expect(await contentOf(evaq.wal)).toEqual(content);
      await evaq.close();
      expect((await verifyStore(SIM_PATH, { vfs: disk.vfs })).damage).toEqual([]);
      expect(cuts.length).toBeGreaterThan(2);
      for (const cut of cuts) {
        expect((await verifyStore(SIM_PATH, { vfs: cut.vfs })).damage.filter(({ lossless }) => !lossless)).toEqual([]);
        expect(await contents(cut)).toEqual(content);
      }
    },
  );
});
