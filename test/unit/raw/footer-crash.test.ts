/** P5, P9, P15: footers that a crash leaves in part, and damaged ones that an open comes to: none of that costs anything, nor does a crash or a full disk in between. */
import { describe, expect, test } from 'vitest';
import { verifyStore } from '../../../src/raw/verify.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { contentOf, newDisk, openSim, passTime, SIM_PATH } from '../store/store-fixture.js';

const DIR = `${SIM_PATH}/queues/wal`;
const SUMMARY_BYTES = 96;
const COMMIT_HEADER_BYTES = 48;

async function firstSegment(disk: SimDisk): Promise<string> {
  const names = (await disk.vfs.list(DIR)).map(({ name }) => name).filter((name) => name.endsWith('.seg'));
  return `${DIR}/${names.sort()[0]}`;
}

function lastFooterBytes(bytes: Buffer): number {
  return bytes.readUInt32LE(bytes.length - SUMMARY_BYTES + 4);
}

async function damageOf(disk: SimDisk): Promise<readonly unknown[]> {
  return (await verifyStore(SIM_PATH, { vfs: disk.vfs })).damage;
}

/** What is lost, of all that is told. */
async function lossesOf(disk: SimDisk): Promise<readonly unknown[]> {
  return (await verifyStore(SIM_PATH, { vfs: disk.vfs })).damage.filter(({ lossless }) => !lossless);
}

// So that the footer lies across two sectors, with its header before, on and behind the border.
describe.each(['sync', 'os'] as const)('a power cut while a queue is closed, in mode %s', (durability) => {
  test.each([150, 170, 190, 250, 320])(
    'is told as damage by nobody, whatever sectors of the footer are there: %i',
    async (size) => {
      const disk = newDisk();
      const evaq = await openSim(disk, { gc: false, durability });
      await evaq.wal.push('x'.repeat(size));
      await evaq.wal.flush();
      const cuts: SimDisk[] = [];
      const stop = disk.observe(({ phase, call }) => {
        if (phase !== 'ack' || !/wal.*seg/.test(call.path)) return;
        for (const { disk: cut } of disk.crashStates({ exhaustiveMax: 64, draws: 20 })) cuts.push(cut);
      });
      await evaq.close();
      stop();
      expect(cuts.length).toBeGreaterThan(20);
      for (const cut of cuts) {
        expect(await damageOf(cut)).toEqual([]);
        const opened = await openSim(cut, { gc: false });
        expect(opened.recovery.damage).toEqual([]);
        expect(opened.wal.size).toBe(1);
        await opened.close();
        expect(await damageOf(cut)).toEqual([]);
      }
    },
  );
});

/** Its first segment got a footer by an open behind a kill, which is not known to be sealed: the link of the next names its end. */
async function killedTwice(durability: 'sync' | 'os'): Promise<SimDisk> {
  let disk = newDisk();
  const first = await openSim(disk, { gc: false, durability });
  for (let i = 0; i < 30; i++) await first.wal.push(`${i}`.padEnd(1000));
  await first.wal.flush();
  disk = disk.crash();
  const second = await openSim(disk, { gc: false, durability });
  for (let i = 0; i < 5; i++) await second.wal.push(`b${i}`);
  await second.wal.flush();
  return disk.crash();
}

describe.each(['sync', 'os'] as const)(
  'a damaged footer of a segment that may not be sealed, in mode %s',
  (durability) => {
    test.each([0, 700])(
      'is written over, also with %i bytes behind it; and with crash upon crash in that',
      async (tail) => {
        const disk = await killedTwice(durability);
        const path = await firstSegment(disk);
        const bytes = Buffer.from(disk.read(path) ?? []);
        bytes.writeUInt8(bytes.readUInt8(bytes.length - 40) ^ 0x40, bytes.length - 40);
        disk.place(path, Buffer.concat([bytes, Buffer.alloc(tail, 0xc0)]));
        for (const indexIntervalBytes of [65_536, 4096]) {
          let disks = [disk.fork()];
          for (let depth = 0; depth < 2; depth++) {
            const cuts: SimDisk[] = [];
            for (const one of disks) {
              const stop = one.observe(({ phase, call }) => {
                if (phase !== 'ack' || !['write', 'sync', 'truncate'].includes(call.name) || call.path !== path) return;
                cuts.push(one.crash(one.nothingSurvives()), one.crash(one.drawCrash(cuts.length)));
              });
              const opened = await openSim(one, { gc: false, indexIntervalBytes });
              stop();
              expect(Object.keys(await contentOf(opened.wal))).toHaveLength(35);
              await opened.close();
              expect(await damageOf(one)).toEqual([]);
            }
            for (const cut of cuts) expect(await lossesOf(cut)).toEqual([]);
            disks = cuts.slice(0, 8);
          }
        }
      },
    );
  },
);

test.each(['close', 'kill'] as const)(
  'a damaged footer for which a full disk has no space stays where it is: %s',
  async (end) => {
    const disk = newDisk();
    const evaq = await openSim(disk, { segmentBytes: 64 * 1024, gc: false });
    for (let i = 0; i < 130; i++) await evaq.wal.push(`${i}`.padEnd(500));
    await evaq.close();
    const path = await firstSegment(disk);
    const bytes = Buffer.from(disk.read(path) ?? []);
    disk.place(path, bytes.subarray(0, bytes.length - lastFooterBytes(bytes) + COMMIT_HEADER_BYTES));
    // Whatever is given back others take.
    const stop = disk.observe(() => {
      disk.limits.capacityBytes = disk.usedBytes;
    });
    const full = await openSim(disk, { gc: false });
    expect(full.wal.size).toBe(130);
    await passTime(disk, 100);
    if (end === 'close') await full.close();
    else disk.kill();
    stop();
    disk.limits.capacityBytes = Infinity;
    expect(await lossesOf(disk)).toEqual([]);
    const after = await openSim(disk, { gc: false });
    expect(after.wal.size).toBe(130);
    await after.close();
    expect(await damageOf(disk)).toEqual([]);
  },
);
