import { expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { verifyStore } from '../../../src/raw.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { repairStore } from '../../../src/store/store-repair.js';

const NOTE = { pid: 1, host: 'h', bootId: 'b', since: '', script: 'repair' };
const RECORDS = 60;

/** Two commits, one with a damaged record; a header is gone in another queue, and STORE in both copies. */
async function damagedStore(): Promise<SimDisk> {
  const disk = new SimDisk({ seed: 3, timing: 'steady', fill: 'zeros' });
  const evaq = await Evaq.open('/s', { ports: portsOf(disk), segmentBytes: 65_536, gc: false });
  await evaq.wal.pushMany(Array.from({ length: RECORDS }, (_, i) => `wal ${i + 1}`));
  await evaq.wal.remove(7);
  await evaq.deadLetters.pushMany(['dead 1', 'dead 2']);
  await evaq.close();
  const [wal = '', dead = ''] = await Promise.all(
    ['wal', 'dead-letters'].map(async (queue) => {
      const names = (await disk.vfs.list(`/s/queues/${queue}`)).map(({ name }) => name);
      return `/s/queues/${queue}/${names.filter((name) => name.endsWith('.seg')).sort()[0] ?? ''}`;
    }),
  );
  const at = Buffer.from(disk.read(wal) ?? []).indexOf('wal 33');
  disk.damage({ kind: 'flip', path: wal, offset: at + 2 });
  disk.damage({ kind: 'zero', path: dead, offset: 0, length: 128 });
  disk.damage({ kind: 'zero', path: '/s/STORE', offset: 0, length: 128 });
  return disk;
}

async function contentOf(disk: SimDisk): Promise<string[]> {
  const evaq = await Evaq.open('/s', { ports: portsOf(disk), create: false });
  const seen: string[] = [];
  for (const queue of [evaq.wal, evaq.deadLetters]) {
    for await (const { payload } of queue.records()) seen.push(payload.toString());
  }
  await evaq.close();
  return seen;
}

const EXPECTED = [
  ...Array.from({ length: RECORDS }, (_, i) => i + 1)
    .filter((id) => id !== 7 && id !== 33)
    .map((id) => `wal ${id}`),
  'dead 1',
  'dead 2',
];

test('P5, P9: a repair that is cut anywhere can be started over, and loses nothing that was intact', async () => {
  const whole = await damagedStore();
  const cuts: SimDisk[] = [];
  let calls = 0;
  const stop = whole.observe(({ phase, call }) => {
    if (phase !== 'ack' || !['write', 'sync', 'rename', 'remove', 'truncate', 'create', 'syncDir'].includes(call.name))
      return;
    if (calls++ % 3 === 0) cuts.push(whole.crash(whole.nothingSurvives()));
  });
  const report = await repairStore('/s', { ...portsOf(whole), lockNote: NOTE });
  stop();
  expect(report).toMatchObject({ applied: true, left: [] });
  expect(report.plan.lost).toEqual([{ queue: 'wal', first: 33, last: 33 }]);
  expect(await contentOf(whole)).toEqual(EXPECTED);
  expect(cuts.length).toBeGreaterThan(10);
  for (const disk of cuts) {
    await repairStore('/s', { ...portsOf(disk), lockNote: NOTE });
    expect(await contentOf(disk)).toEqual(EXPECTED);
    expect((await verifyStore('/s', { vfs: disk.vfs })).damage).toEqual([]);
  }
});

/** The content of all files below a folder, by what comes behind its name. */
async function filesBelow(disk: SimDisk, folder: string, below = ''): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const { name, kind } of await disk.vfs.list(folder + below)) {
    if (name.startsWith('.evaq-backup-')) continue;
    if (kind === 'directory') Object.assign(files, await filesBelow(disk, folder, `${below}/${name}`));
    else files[`${below}/${name}`] = Buffer.from(disk.read(`${folder}${below}/${name}`) ?? []).toString('latin1');
  }
  return files;
}

test('P9: before a repair changes a file a copy of it is durable; and when it resolves all is that it has done', async () => {
  const disk = await damagedStore();
  const before = await filesBelow(disk, '/s');
  let cut: SimDisk | undefined;
  const stop = disk.observe(({ phase, call }) => {
    const isStore = /queues|STORE/.test(call.path) && !call.path.includes('.evaq-backup-');
    const isChange = isStore && /^(?:write|truncate|rename|remove)$/.test(call.name);
    if (phase === 'call' && isChange) cut ??= disk.crash(disk.nothingSurvives());
  });
  const { backup = '' } = await repairStore('/s', { ...portsOf(disk), lockNote: NOTE });
  stop();
  expect(cut).toBeDefined();
  const copies = cut === undefined ? {} : await filesBelow(cut, backup);
  expect(Object.keys(copies).length).toBeGreaterThan(3);
  for (const [name, copy] of Object.entries(copies)) expect(copy === before[name], name).toBe(true);
  const after = disk.crash(disk.nothingSurvives());
  expect(await filesBelow(after, backup)).toEqual(copies);
  expect((await verifyStore('/s', { vfs: after.vfs })).damage).toEqual([]);
  expect(await contentOf(after)).toEqual(EXPECTED);
});

test('P15: a repair that costs a record which could be read before says so, and keeps the files as they were', async () => {
  const disk = await damagedStore();
  const evaq = await Evaq.open('/s', { ports: portsOf(await repaired(disk.fork())), create: false });
  expect(await evaq.wal.get(12)).toBeDefined();
  await evaq.close();
  // Under its hands the disk takes a record that was intact.
  let isDone = false;
  const stop = disk.observe(({ phase, call }) => {
    if (isDone || phase !== 'ack' || call.name !== 'truncate') return;
    const path = [...disk.calls].find(({ path }) => path.includes('/queues/wal/') && path.endsWith('.seg'))?.path ?? '';
    const at = Buffer.from(disk.read(path) ?? []).indexOf('wal 12');
    if (at < 0) return;
    disk.damage({ kind: 'flip', path, offset: at + 2 });
    isDone = true;
  });
  await expect(repairStore('/s', { ...portsOf(disk), lockNote: NOTE })).rejects.toMatchObject({
    code: 'EVAQ_CORRUPT',
    details: { queue: 'wal', id: 12, lastId: 12, path: expect.stringContaining('.evaq-backup-') },
  });
  stop();
  expect(isDone).toBe(true);
});

async function repaired(disk: SimDisk): Promise<SimDisk> {
  await repairStore('/s', { ...portsOf(disk), lockNote: NOTE });
  return disk;
}

function portsOf({ vfs, host }: SimDisk): Pick<SimDisk, 'vfs' | 'host'> {
  return { vfs, host };
}
