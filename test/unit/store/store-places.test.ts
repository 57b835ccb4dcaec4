/** Where a store may be made: in the root of a volume, and behind links. */
import { mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { surveyRepair } from '../../../src/raw/repair-survey.js';
import { verifyStore } from '../../../src/raw/verify.js';
import { ownLockNote } from '../../../src/store/store-lock.js';
import { repairStore } from '../../../src/store/store-repair.js';
import { nodeHost } from '../../../src/vfs/node-host.js';
import { nodeVfs } from '../../../src/vfs/node-vfs.js';
import { evaq as runCli } from '../../cli/support/evaq-cli.js';
import { newPath, openReal, rejection } from './store-fixture.js';

/** All that reads or writes a store finds the same one there. */
async function useAll(path: string): Promise<void> {
  const evaq = await openReal({}, path);
  const id = await evaq.wal.push('kept');
  evaq.wal.pushSync(Buffer.from('blocking'));
  await evaq.wal.flush();
  await rejection(Evaq.open(path), 'EVAQ_LOCKED');
  await evaq.close();
  const reader = await Evaq.openReadOnly(path);
  expect((await reader.wal.get(id))?.payload.toString()).toBe('kept');
  await reader.close();
  expect((await verifyStore(path)).damage).toEqual([]);
}

/** One rotten byte in the first copy of the header of STORE. */
function harm(store: string): void {
  const file = join(store, 'STORE');
  const bytes = readFileSync(file);
  bytes.writeUInt8(bytes.readUInt8(9) ^ 1, 9);
  writeFileSync(file, bytes);
}

describe('the root of a volume', () => {
  test.each([
    ['lost+found', '.Trash-1000', 'aquota.user'],
    ['.DS_Store', '.fseventsd', '.Spotlight-V100', '.Trashes', '._.Trashes', '.TemporaryItems'],
    ['System Volume Information', '$RECYCLE.BIN', 'desktop.ini'],
    ['.snapshot'],
    ['.snapshots', '.zfs', '.nfs0000000000a1b2c300000001'],
  ])('P17: what the system keeps there does no harm: %s', async (...names) => {
    const path = newPath();
    for (const name of names) mkdirSync(join(path, name), { recursive: true });
    await useAll(path);
    expect(readdirSync(path)).toEqual(expect.arrayContaining(names));
  });

  test.each([
    'notes.txt',
    '.git',
    '.env',
    '.bashrc',
    'queues',
    'lost+found.bak',
    '.evaq-backup-20260101T000000Z',
    'store',
  ])('P17: what may be somebody’s is refused, and nothing is made: %s', async (name) => {
    const path = newPath();
    mkdirSync(join(path, 'lost+found'), { recursive: true });
    writeFileSync(join(path, name), 'mine');
    const error = await rejection(Evaq.open(path), 'EVAQ_NOT_A_STORE', { path });
    expect(error.message).toContain(JSON.stringify(name));
    expect(readdirSync(path).sort()).toEqual(['lost+found', name].sort());
  });
});

describe('behind a link', () => {
  test.each<[string, (path: string) => string]>([
    ['the store itself', (path) => path],
    ['a folder above it', (path) => join(path, 'deep', 'store')],
  ])('P17: everything works: %s', async (_what, place) => {
    const path = newPath();
    const real = `${path}-real`;
    mkdirSync(real);
    symlinkSync(real, path);
    const store = place(path);
    await useAll(store);
    const below = store.slice(path.length);
    // It is one store, whichever way one comes.
    const evaq = await openReal({}, store);
    await rejection(Evaq.open(real + below), 'EVAQ_LOCKED');
    await evaq.close();
    const direct = await openReal({}, real + below);
    expect(direct.wal.size).toBe(2);
    await direct.close();
  });

  test('P17: a link to a link, given with a slash at its end', async () => {
    const path = newPath();
    mkdirSync(`${path}-real`);
    symlinkSync(`${path}-real`, `${path}-between`);
    symlinkSync(`${path}-between`, path);
    await useAll(`${path}/`);
  });

  test('P15: it is verified and repaired', async () => {
    const path = newPath();
    await useAll(`${path}-real`);
    symlinkSync(`${path}-real`, path);
    harm(path);
    expect((await verifyStore(path)).damage).toHaveLength(1);
    expect((await surveyRepair(path)).plan.steps).toMatchObject([{ action: 'mend-header' }]);
    const note = ownLockNote(0);
    const { applied, left } = await repairStore(path, { vfs: nodeVfs, host: nodeHost, lockNote: note });
    expect({ applied, left }).toEqual({ applied: true, left: [] });
  });

  test('P15: a store whose STORE is gone is found by its other files', async () => {
    const path = newPath();
    await useAll(`${path}-real`);
    symlinkSync(`${path}-real`, path);
    renameSync(join(path, 'STORE'), `${path}-STORE`);
    expect((await surveyRepair(path)).plan.steps).toMatchObject([{ action: 'rebuild-store' }]);
  });

  test('P17: the command line reads and writes it', async () => {
    const path = newPath();
    mkdirSync(`${path}-real`);
    symlinkSync(`${path}-real`, path);
    expect((await runCli(['push', path], 'by hand\n')).code).toBe(0);
    for (const command of ['cat', 'info', 'verify']) expect((await runCli([command, path])).code, command).toBe(0);
    expect((await runCli(['cat', path])).stdout.toString()).toContain('by hand');
  });

  test('P17: the store stops where the folder behind the link is replaced, and where the link is', async () => {
    for (const harmed of ['folder', 'link'] as const) {
      const path = newPath();
      const real = `${path}-real`;
      mkdirSync(real);
      symlinkSync(real, path);
      const evaq = await openReal({}, path);
      await evaq.wal.push('before');
      if (harmed === 'folder') renameSync(real, `${real}-away`);
      else renameSync(path, `${path}-away`);
      mkdirSync(harmed === 'folder' ? real : path);
      expect(() => evaq.wal.pushSync(Buffer.from('after'))).toThrow(expect.objectContaining({ code: 'EVAQ_FAILED' }));
      await rejection(evaq.close(), 'EVAQ_FAILED', { path });
      expect(readdirSync(path)).toEqual([]);
    }
  });

  test.each<[string, (path: string) => string]>([
    ['the link', (path) => path],
    ['a link above it', (path) => join(path, 'store')],
    ['a circle', (path) => path],
  ])('P17: one that leads nowhere is told, and nothing is made: %s', async (what, place) => {
    const path = newPath();
    symlinkSync(what === 'a circle' ? path : `${path}-nothing`, path);
    const store = place(path);
    const error = await rejection(Evaq.open(store), 'EVAQ_NOT_A_STORE', { path });
    expect(error.message).toContain('a link that leads to no folder');
    expect(error.hint).toContain('nothing was changed');
    await rejection(Evaq.openReadOnly(store), 'EVAQ_NOT_A_STORE');
    await rejection(verifyStore(store), 'EVAQ_NOT_A_STORE');
    expect(readdirSync(dirname(path))).toEqual(['store']);
  });
});
