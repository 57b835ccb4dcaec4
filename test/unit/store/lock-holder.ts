/** Another process that locks a file, by either of the native packages, and knows nothing of evaq. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';

/** Whether fs-ext was compiled. It is never loaded here: these tests may run in a worker thread. */
export const HAS_FLOCK: boolean = existsSync(
  fileURLToPath(new URL('../../../node_modules/fs-ext/build/Release/fs_ext.node', import.meta.url)),
);

/** What locks its first argument, by the package that is its second, says so, and waits to be killed. */
const HOLDER = `
  const fs = require('node:fs');
  const fd = fs.openSync(process.argv[1], fs.statSync(process.argv[1]).isDirectory() ? 'r' : 'r+');
  const native = require(process.argv[2]);
  if (process.argv[2].includes('native')) native.tryLock(fd);
  else native.flockSync(fd, 'exnb');
  if (process.argv[3] !== undefined) { fs.ftruncateSync(fd); fs.writeSync(fd, process.argv[3], 0); }
  console.log('locked');
  setInterval(() => undefined, 1000);
`;

/** `note`, if any, is written into the file. */
export async function whileHeld(
  lock: string,
  by: string,
  note: string | undefined,
  look: () => Promise<void>,
): Promise<void> {
  const native = createRequire(import.meta.url).resolve(by);
  const args = ['-e', HOLDER, lock, native, ...(note === undefined ? [] : [note])];
  const holder = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const dead = new Promise((resolve) => holder.once('exit', resolve));
  try {
    const locked = await Promise.race([new Promise((resolve) => holder.stdout.once('data', resolve)), dead]);
    expect(String(locked)).toContain('locked');
    await look();
  } finally {
    holder.kill('SIGKILL');
    await dead;
  }
}
