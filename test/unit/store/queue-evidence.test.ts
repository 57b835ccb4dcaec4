/** A queue that has been there is missed where it is not: a disk that is not mounted, half a restore. And one that is being made is not. */
import { describe, expect, test } from 'vitest';
import type { Evaq } from '../../../src/evaq.js';
import { ReadOnlyEvaq } from '../../../src/raw/read-only-evaq.js';
import { surveyRepair } from '../../../src/raw/repair-survey.js';
import { verifyStore } from '../../../src/raw/verify.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import type { FaultRule } from '../../../src/sim/sim-fault.js';
import { ownLockNote } from '../../../src/store/store-lock.js';
import { repairStore } from '../../../src/store/store-repair.js';
import { contentOf, newDisk, openSim, rejection, SIM_PATH } from './store-fixture.js';

const STORE = `${SIM_PATH}/STORE`;
const QUEUES = ['wal', 'dead-letters', 'jobs'] as const;
type Name = (typeof QUEUES)[number];

const dirOf = (queue: string): string => `${SIM_PATH}/queues/${queue}`;

async function namesIn(disk: SimDisk, dir: string): Promise<string[]> {
  return (await disk.vfs.list(dir)).map(({ name }) => name).sort();
}

/** All files, with their content: what must not change where an open is refused. */
function treeOf(disk: SimDisk): string {
  return disk.tree().replaceAll(/.*LOCK.*\n/g, '');
}

interface Filled {
  readonly disk: SimDisk;
  readonly last: number;
}

/** Three queues of ten records each, of which two are removed, and the last ID. */
async function fill(end: 'closed' | 'killed'): Promise<Filled> {
  const disk = newDisk();
  const evaq = await openSim(disk);
  const queues = [evaq.wal, evaq.deadLetters, await evaq.queue('jobs')];
  let last = 0;
  for (const queue of queues) {
    for (let i = 0; i < 10; i++) last = await queue.push(`${queue.name} ${i}`);
    await queue.removeMany([3, 4]);
  }
  if (end === 'closed') await evaq.close();
  else disk.kill();
  return { disk, last };
}

const fills = { closed: fill('closed'), killed: fill('killed') };

/** A store of that kind. Each is filled once; this is a fork. */
async function filled(end: 'closed' | 'killed'): Promise<Filled> {
  const { disk, last } = await fills[end];
  return { disk: disk.fork(), last };
}

const queueOf = (evaq: Evaq, name: Name): Promise<Evaq['wal']> => evaq.queue(name);

type Harm = readonly [what: string, harm: (disk: SimDisk, queue: Name) => Promise<void>];

async function removeFiles(disk: SimDisk, dir: string, which: RegExp): Promise<void> {
  for (const name of await namesIn(disk, dir)) if (which.test(name)) disk.remove(`${dir}/${name}`);
}

const harms: readonly Harm[] = [
  ['its folder is gone', (disk, queue) => Promise.resolve(disk.remove(dirOf(queue)))],
  ['its folder is empty', (disk, queue) => removeFiles(disk, dirOf(queue), /./)],
  ['its log and its segments are gone', (disk, queue) => removeFiles(disk, dirOf(queue), /\.(seg|tomb)$/)],
  ['its segments are gone', (disk, queue) => removeFiles(disk, dirOf(queue), /\.seg$/)],
  ['queues/ is gone', (disk) => Promise.resolve(disk.remove(`${SIM_PATH}/queues`))],
];

const states = harms.flatMap(([what, harm]) =>
  QUEUES.flatMap((queue) => (['closed', 'killed'] as const).map((end) => ({ what, harm, queue, end }))),
);

describe.each(states)('of a store that was $end, queue $queue: $what', ({ harm, queue, end }) => {
  test('P8, P9: it is refused, by its name, with what to do, and nothing is changed; readers and verify tell, too', async () => {
    const { disk } = await filled(end);
    await harm(disk, queue);
    const before = treeOf(disk);
    const error = await rejection(openSim(disk), 'EVAQ_CORRUPT');
    expect(error.message).toContain(`/queues/`);
    expect(error.details.queue).toBeDefined();
    expect(error.hint).toContain('mount');
    expect(error.hint).toContain(`evaq repair ${SIM_PATH}`);
    expect(error.hint).toContain("onCorruption: 'quarantine'");
    expect(treeOf(disk)).toBe(before);

    const { damage } = await verifyStore(SIM_PATH, { vfs: disk.vfs });
    const told = damage.filter((one) => one.queue === queue);
    expect(told.length).toBeGreaterThan(0);
    for (const one of told) expect(one).toMatchObject({ file: dirOf(queue), lossless: false });
    const reader = await ReadOnlyEvaq.open(SIM_PATH, { ports: disk });
    expect(await reader.queueNames()).toContain(queue);
    const reading = await reader.queue(queue);
    await rejection(reading.read(), 'EVAQ_CORRUPT', { queue });
    await rejection(reading.get(7), 'EVAQ_CORRUPT');
    await reader.close();
  });

  test('P8: with quarantine it goes on, with IDs above all that were given out, and nothing is told again', async () => {
    const { disk, last } = await filled(end);
    await harm(disk, queue);
    const evaq = await openSim(disk, { onCorruption: 'quarantine' });
    expect(evaq.recovery.clean).toBe(false);
    expect(evaq.recovery.damage.map((one) => one.queue)).toContain(queue);
    const again = await queueOf(evaq, queue);
    expect(again.size).toBe(0);
    const id = await again.push('new');
    expect(id).toBeGreaterThan(last);
    await evaq.close();
    expect((await verifyStore(SIM_PATH, { vfs: disk.vfs })).damage).toEqual([]);
    const later = await openSim(disk);
    expect(later.recovery.damage).toEqual([]);
    expect(await contentOf(await queueOf(later, queue))).toEqual({ [id]: 'new' });
    expect(await (await queueOf(later, queue)).push('newer')).toBe(id + 1);
    await later.close();
  });

  test('P15: repair notes that it is gone, and touches none of the others', async () => {
    const { disk, last } = await filled(end);
    await harm(disk, queue);
    const { plan } = await surveyRepair(SIM_PATH, { vfs: disk.vfs });
    expect(plan.steps).toContainEqual({ action: 'accept', queue, file: dirOf(queue) });
    const { applied, left } = await repairStore(SIM_PATH, {
      vfs: disk.vfs,
      host: disk.host,
      lockNote: ownLockNote(0),
    });
    expect({ applied, left }).toEqual({ applied: true, left: [] });
    const evaq = await openSim(disk);
    expect(evaq.recovery.damage).toEqual([]);
    expect(await (await queueOf(evaq, queue)).push('new')).toBeGreaterThan(last);
    for (const other of QUEUES) {
      const isGone = (await queueOf(evaq, other)).size < 8;
      if (other !== queue && plan.steps.every((step) => step.queue !== other)) expect(isGone).toBe(false);
    }
    await evaq.close();
  });
});

test('P8: of half a restore, STORE and one queue, the other queues are missed', async () => {
  const { disk } = await filled('closed');
  const restored = newDisk({ seed: 2 });
  for (const path of [
    STORE,
    ...(await namesIn(disk, dirOf('dead-letters'))).map((name) => `${dirOf('dead-letters')}/${name}`),
  ])
    restored.place(path, disk.read(path) ?? new Uint8Array());
  await rejection(openSim(restored), 'EVAQ_CORRUPT', { queue: 'jobs' });
});

test('P11: a missing queue that is opened with quarantine stands there for the next open, also if nobody asks for it', async () => {
  const { disk, last } = await filled('closed');
  disk.remove(dirOf('jobs'));
  await (await openSim(disk, { onCorruption: 'quarantine' })).close();
  const evaq = await openSim(disk);
  expect(await (await evaq.queue('jobs')).push('new')).toBeGreaterThan(last);
  await evaq.close();
});

describe('the register', () => {
  /** Offsets of the entries: each a header of 48 bytes and the name, twice. */
  const ENTRIES = ['wal', 'dead-letters', 'jobs'].flatMap((name) => [48 + name.length, 48 + name.length]);

  test('P9: no rotten byte of it is in the way, and it is mended', async () => {
    const { disk } = await filled('closed');
    const bytes = disk.read(STORE) ?? Buffer.alloc(0);
    // The last entry takes up more than the longest twin, with zeros behind it.
    expect(bytes.length).toBe(128 + ENTRIES.reduce((sum, one) => sum + one, 0) + (118 - 2 * 52));
    for (let at = 128; at < bytes.length; at += 7) {
      const rotten = Buffer.from(bytes);
      rotten.writeUInt8(rotten.readUInt8(at) ^ 0x10, at);
      const harmed = disk.fork();
      harmed.place(STORE, rotten);
      const evaq = await openSim(harmed);
      expect(evaq.recovery.damage.every(({ lossless, file }) => lossless && file === STORE)).toBe(true);
      await evaq.close();
      harmed.remove(dirOf('wal'));
      await rejection(openSim(harmed), 'EVAQ_CORRUPT', { queue: 'wal' });
    }
  });

  test('P9: an entry that is lost is told of, and made anew if its queue is there', async () => {
    const { disk } = await filled('closed');
    const bytes = Buffer.from(disk.read(STORE) ?? []);
    bytes.fill(0, 128, 128 + 2 * 51);
    disk.place(STORE, bytes);
    expect((await verifyStore(SIM_PATH, { vfs: disk.vfs })).damage).toMatchObject([{ file: STORE, lossless: true }]);
    const evaq = await openSim(disk);
    expect(evaq.recovery.damage).toMatchObject([{ file: STORE, lossless: true }]);
    await evaq.close();
    expect((await verifyStore(SIM_PATH, { vfs: disk.vfs })).damage).toEqual([]);
    disk.remove(dirOf('wal'));
    await rejection(openSim(disk), 'EVAQ_CORRUPT', { queue: 'wal' });
  });

  test('P15: a store from before there was one opens, and gets one', async () => {
    const { disk } = await filled('closed');
    disk.place(STORE, (disk.read(STORE) ?? new Uint8Array()).subarray(0, 128));
    const evaq = await openSim(disk);
    expect(evaq.recovery.damage).toEqual([]);
    expect(await (await evaq.queue('jobs')).push('x')).toBe(11);
    await evaq.close();
    disk.remove(dirOf('jobs'));
    await rejection(openSim(disk), 'EVAQ_CORRUPT', { queue: 'jobs' });
  });

  test('P15: a STORE that is made anew enters the queues that are there', async () => {
    const { disk } = await filled('closed');
    disk.place(STORE, Buffer.alloc(300, 0xff));
    await repairStore(SIM_PATH, { vfs: disk.vfs, host: disk.host, lockNote: ownLockNote(0) });
    disk.remove(dirOf('jobs'));
    await rejection(openSim(disk), 'EVAQ_CORRUPT', { queue: 'jobs' });
  });

  /** Where the first entry begins behind those of the queues that every store has. */
  const THIRD = 128 + 2 * 51 + 2 * 60;

  /** Ways to lose the entry of a queue, of which the zeros behind it, if any, may be part. */
  const rots: readonly (readonly [what: string, rot: (entry: Buffer) => void])[] = [
    ['is all zero', (entry) => entry.fill(0)],
    ['is all ones', (entry) => entry.fill(0xff)],
    ['has a rotten byte in both headers', (entry) => rotTwins(entry, 20)],
    ['has a rotten byte in both names', (entry) => rotTwins(entry, 48)],
  ];

  function rotTwins(entry: Buffer, at: number): void {
    const twin = 48 + entry.readUInt32LE(8);
    for (const place of [at, twin + at]) entry.writeUInt8(entry.readUInt8(place) ^ 4, place);
  }

  describe.each(['Z', 'jobs', 'a-name-of-some-length'])('of the last queue, %s', (name) => {
    const NEXT = 'next';
    describe.each(rots)('the entry %s', (_, rot) => {
      test.each([
        ['the last', false],
        ['one in front', true],
      ])(
        'P15, P8: in both twins, %s, and the folder is gone: that is told and refused, and no ID is given out again',
        async (_, isFollowed) => {
          const disk = newDisk();
          const made = await openSim(disk);
          const queue = await made.queue(name);
          const last = await queue.push('x');
          if (isFollowed) await made.queue(NEXT);
          await made.close();
          const bytes = Buffer.from(disk.read(STORE) ?? []);
          rot(bytes.subarray(THIRD, isFollowed ? THIRD + 2 * (48 + name.length) : bytes.length));
          disk.place(STORE, bytes);
          // All queues are there: nothing is lost.
          const whole = disk.fork();
          expect((await verifyStore(SIM_PATH, { vfs: whole.vfs })).damage).toMatchObject([
            { file: STORE, lossless: true },
          ]);
          await (await openSim(whole)).close();
          expect((await verifyStore(SIM_PATH, { vfs: whole.vfs })).damage).toEqual([]);
          whole.remove(dirOf(name));
          await rejection(openSim(whole), 'EVAQ_CORRUPT', { queue: name });

          disk.remove(dirOf(name));
          const before = treeOf(disk);
          expect((await verifyStore(SIM_PATH, { vfs: disk.vfs })).damage).toMatchObject([
            { file: STORE, lossless: false, what: expect.stringContaining('a queue may be missing') },
          ]);
          await rejection(openSim(disk), 'EVAQ_CORRUPT', { path: STORE });
          const reader = await ReadOnlyEvaq.open(SIM_PATH, { ports: disk });
          await rejection(reader.queue(name), 'EVAQ_CORRUPT', { path: STORE });
          await reader.close();
          expect(treeOf(disk)).toBe(before);

          const repaired = disk.fork();
          const report = await repairStore(SIM_PATH, {
            vfs: repaired.vfs,
            host: repaired.host,
            lockNote: ownLockNote(0),
          });
          expect(report).toMatchObject({ applied: true, left: [] });
          const accepted = disk.fork();
          const evaq = await openSim(accepted, { onCorruption: 'quarantine' });
          expect(evaq.recovery).toMatchObject({ clean: false, damage: [{ file: STORE, lossless: false }] });
          await evaq.close();
          for (const later of [repaired, accepted]) {
            expect((await verifyStore(SIM_PATH, { vfs: later.vfs })).damage).toEqual([]);
            const again = await openSim(later);
            expect(again.recovery.damage).toEqual([]);
            expect(await (await again.queue(name)).push('y')).toBeGreaterThan(2 ** 29);
            expect(await again.wal.push('z')).toBe(1);
            await again.close();
          }
          expect(last).toBe(1);
        },
      );
    });
  });

  test('P9: whatever a power cut leaves of an entry is no damage, and the second twin is made up for', async () => {
    const disk = newDisk();
    await (await openSim(disk)).close();
    const evaq = await openSim(disk);
    for (const name of ['b', 'n'.repeat(64)]) await evaq.queue(name);
    await evaq.close();
    const after = Buffer.from(disk.read(STORE) ?? []);
    const first = [THIRD, THIRD + 2 * 49];
    for (const [i, name] of ['b', 'n'.repeat(64)].entries()) {
      const at = first[i] ?? 0;
      const twin = 48 + name.length;
      for (const [from, to] of [
        [at, at + twin],
        [at + twin, at + 2 * twin],
      ] as const) {
        for (let written = 0; written <= to - from; written += 8) {
          for (const rest of [0, 0xa5, undefined]) {
            const torn = disk.fork();
            const end = rest === undefined ? from + written : to;
            const bytes = Buffer.concat([
              after.subarray(0, from),
              after.subarray(from, from + written),
              Buffer.alloc(to - from, rest ?? 0),
            ]).subarray(0, end);
            torn.place(STORE, bytes);
            const { damage } = await verifyStore(SIM_PATH, { vfs: torn.vfs });
            expect(damage).toEqual([]);
            const again = await openSim(torn);
            expect(again.recovery.damage).toEqual([]);
            await again.queue(name);
            await again.close();
            const made = Buffer.from(torn.read(STORE) ?? []);
            expect(made.subarray(at + twin, at + 2 * twin).includes(name)).toBe(true);
            expect((await verifyStore(SIM_PATH, { vfs: torn.vfs })).damage).toEqual([]);
            torn.remove(dirOf(name));
            await rejection(openSim(torn), 'EVAQ_CORRUPT', { queue: name });
          }
        }
      }
    }
  });

  test('P12: a queue costs it two writes, each with a sync, once', async () => {
    const { disk } = await filled('closed');
    const before = disk.calls.length;
    const evaq = await openSim(disk);
    await evaq.queue('jobs');
    const onStore = (from: number): string[] =>
      disk.calls
        .slice(from)
        .filter(({ path, name }) => path === STORE && (name === 'write' || name === 'sync'))
        .map(({ name }) => name);
    expect(onStore(before)).toEqual([]);
    const then = disk.calls.length;
    await Promise.all([evaq.queue('a'), evaq.queue('b')]);
    expect(onStore(then)).toEqual(Array.from({ length: 4 }, () => ['write', 'sync']).flat());
    await evaq.close();
  });

  test('P14: where an entry cannot be written the queue is not there yet, and a second try makes it', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    disk.fault({ on: 'write', path: /STORE$/, error: 'ENOSPC' });
    await rejection(evaq.queue('jobs'), 'EVAQ_NO_SPACE', { queue: 'jobs' });
    const jobs = await evaq.queue('jobs');
    expect(await jobs.push('x')).toBe(1);
    await evaq.close();
    disk.remove(dirOf('jobs'));
    await rejection(openSim(disk), 'EVAQ_CORRUPT', { queue: 'jobs' });
  });

  test.each<FaultRule>([
    { on: 'write', path: /STORE$/, error: 'EIO' },
    { on: 'open', path: /STORE$/, error: 'EMFILE', nth: 3 },
    { on: 'remove', path: /\.(seg|tomb)$/, error: 'EIO' },
    { on: 'syncDir', path: /queues\/wal$/, error: 'ENOMEM', nth: 3 },
  ])(
    'P9: an open that fails on its way to the entry leaves nothing that the next one takes for damage: %o',
    async (rule) => {
      for (const end of ['made', 'closed', 'killed'] as const) {
        const disk = newDisk();
        if (end !== 'made') {
          const before = await openSim(disk);
          if (end === 'closed') await before.close();
          else disk.kill();
          // As it was before there was a register.
          disk.place(STORE, (disk.read(STORE) ?? new Uint8Array()).subarray(0, 128));
        }
        const cancel = disk.fault(rule);
        await openSim(disk).then(
          (evaq) => evaq.close(),
          (error: unknown) => expect(error).toMatchObject({ code: expect.stringMatching(/^EVAQ_(IO|FAILED)$/) }),
        );
        cancel();
        disk.kill();
        expect((await verifyStore(SIM_PATH, { vfs: disk.vfs })).damage).toEqual([]);
        const evaq = await openSim(disk);
        expect(evaq.recovery.damage).toEqual([]);
        expect(await evaq.wal.push('x')).toBe(1);
        await evaq.close();
      }
    },
  );

  test('P7: where an entry cannot be synced the store stops', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    disk.fault({ on: 'sync', path: /STORE$/, error: 'EIO' });
    await rejection(evaq.queue('jobs'), 'EVAQ_FAILED');
    await rejection(evaq.wal.push('x'), 'EVAQ_FAILED');
    await evaq.close().catch(() => undefined);
  });
});
