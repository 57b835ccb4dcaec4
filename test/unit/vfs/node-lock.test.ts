/** The lock of the real disk where `fs-ext` is not to be had: as in every worker thread. */
import { closeSync, existsSync, mkdtempSync, openSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { nodeVfs } from '../../../src/vfs/node-vfs.js';
import type { VfsLock } from '../../../src/vfs/vfs.js';
import { HAS_FLOCK, whileHeld } from '../store/lock-holder.js';

vi.mock('node:worker_threads', async (original) => ({
  ...(await original<typeof import('node:worker_threads')>()),
  isMainThread: false,
}));

let dir = '';
const at = (name: string): string => join(dir, name);
const locks: VfsLock[] = [];

async function lock(name = 'LOCK'): Promise<'locked' | 'held'> {
  const result = await nodeVfs.lock(at(name), 'note', [at('STORE')]);
  if (result.kind === 'locked') locks.push(result.lock);
  return result.kind;
}

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'evaq-lock-'));
});
afterEach(async () => {
  for (const one of locks.splice(0)) await one.release();
  rmSync(dir, { recursive: true, force: true });
});

test('a lock that was deleted or replaced is still held by what is locked with it', async () => {
  writeFileSync(at('STORE'), '');
  expect(await lock()).toBe('locked');
  unlinkSync(at('LOCK'));
  expect(await lock()).toBe('held');
  writeFileSync(at('other'), '');
  renameSync(at('other'), at('LOCK'));
  expect(await lock()).toBe('held');
  await locks[0]?.release();
  expect(await lock()).toBe('locked');
});

test('what is made later is locked when it is there, once', async () => {
  expect(await lock()).toBe('locked');
  expect(locks[0]?.addBlocking(at('STORE'))).toBe(true);
  expect(existsSync(at('STORE'))).toBe(false);
  writeFileSync(at('STORE'), '');
  expect(locks[0]?.addBlocking(at('STORE'))).toBe(true);
  expect(locks[0]?.addBlocking(at('STORE'))).toBe(true);
  unlinkSync(at('LOCK'));
  expect(await lock()).toBe('held');
});

test('closing another descriptor of the file gives nothing away', async () => {
  expect(await lock()).toBe('locked');
  closeSync(openSync(at('LOCK'), 'r'));
  expect(await lock()).toBe('held');
});

test.skipIf(process.platform !== 'linux' || !HAS_FLOCK)('who has it by flock alone is seen', async () => {
  writeFileSync(at('STORE'), '');
  writeFileSync(at('LOCK'), '');
  for (const name of ['LOCK', 'STORE', '.']) {
    await whileHeld(at(name), 'fs-ext', undefined, async () => expect(await lock(), name).toBe('held'));
    expect(await lock(), name).toBe('locked');
    await locks.pop()?.release();
  }
});
