/**
 * Looks at the disk from outside: what lies in a folder, what a process has written, how a round is kept from paying for the one before.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';

/** Bytes that the files of a folder take on the disk, and how much of that is evaq's pool of dead files kept for reuse. */
export function diskUse(dir: string): { readonly bytes: number; readonly poolBytes: number } {
  let bytes = 0;
  let poolBytes = 0;
  for (const entry of fs.readdirSync(dir, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const stat = fs.statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false });
    if (stat === undefined) continue;
    const taken = stat.blocks * 512;
    if (entry.name.endsWith('.free')) poolBytes += taken;
    else bytes += taken;
  }
  return { bytes, poolBytes };
}

/** Bytes of the segment files of a store, without the pool. */
export function segmentFileBytes(dir: string): number {
  let bytes = 0;
  for (const entry of fs.readdirSync(dir, { withFileTypes: true, recursive: true })) {
    if (entry.isFile() && entry.name.endsWith('.seg')) bytes += fs.statSync(join(entry.parentPath, entry.name)).size;
  }
  return bytes;
}

/** Bytes that this process has handed to `write` so far; undefined where the system does not tell. */
export function bytesWritten(): number | undefined {
  try {
    const found = /^wchar: (\d+)$/m.exec(fs.readFileSync('/proc/self/io', 'latin1'));
    return found?.[1] === undefined ? undefined : Number(found[1]);
  } catch {
    return undefined;
  }
}

/** Removes a folder and waits until the file system's journal has it, so that the next round starts on a quiet disk. */
export function removeAndSettle(dir: string): void {
  fs.rmSync(dir, { recursive: true, force: true });
  const fd = fs.openSync(join(dir, '..'), 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
