/** How long a sync takes where a store is, and whether it can have reached a disk. Writes a file of its own, and takes it away. */
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../errors.js';
import type { Finding } from './finding.js';

const BLOCK_BYTES = 4096;
const BLOCKS = 64;
const TIMES = 64;
/** A fast disk that answers out of a cache with a battery takes longer; memory does not. */
const CREDIBLE_US = 8;
const SLOW_US = 50_000;
const BUDGET_MS = 3000;

export interface SyncTimes {
  readonly medianUs: number;
  readonly slowestUs: number;
  readonly count: number;
}

/** Throws a system error. Blocks for some seconds at most. */
export function measureSyncs(dir: string): SyncTimes {
  const path = join(dir, `.evaq-doctor-${process.pid}`);
  const block = Buffer.alloc(BLOCK_BYTES, 0x5a);
  const fd = openSync(path, 'wx', 0o600);
  const times: number[] = [];
  try {
    // Blocks that are there are overwritten, as a store does with most of what it writes.
    for (let i = 0; i < BLOCKS; i++) writeSync(fd, block, 0, BLOCK_BYTES, i * BLOCK_BYTES);
    fdatasyncSync(fd);
    const startMs = performance.now();
    for (let i = 0; i < TIMES && performance.now() - startMs < BUDGET_MS; i++) {
      block.writeUInt32LE(i, 0);
      writeSync(fd, block, 0, BLOCK_BYTES, (i % BLOCKS) * BLOCK_BYTES);
      const before = performance.now();
      fdatasyncSync(fd);
      times.push((performance.now() - before) * 1000);
    }
  } finally {
    closeSync(fd);
    rmSync(path, { force: true });
  }
  times.sort((a, b) => a - b);
  return { medianUs: times[times.length >> 1] ?? 0, slowestUs: times.at(-1) ?? 0, count: times.length };
}

export function probeSyncs(dir: string): Finding {
  try {
    return judgeSyncs(measureSyncs(dir));
  } catch (error) {
    const hint = 'A store can be read there, and not be written to by this user.';
    return { subject: 'sync', verdict: 'fails', says: `nothing can be written: ${messageOf(error)}`, hint };
  }
}

export function judgeSyncs({ medianUs, slowestUs, count }: SyncTimes): Finding {
  const subject = 'sync';
  const says = `${formatMicroseconds(medianUs)} (median of ${count}), ${formatMicroseconds(slowestUs)} at most`;
  if (medianUs < CREDIBLE_US) {
    const hint = 'That is too fast to be true: no disk was waited for. A power cut will take what was acknowledged.';
    return { subject, verdict: 'fails', says, hint };
  }
  if (medianUs < SLOW_US) return { subject, verdict: 'ok', says };
  return {
    subject,
    verdict: 'warns',
    says,
    hint: 'Each commit waits for one: push many at a time, or use a faster disk.',
  };
}

function formatMicroseconds(us: number): string {
  return us < 1000 ? `${us.toFixed(us < 10 ? 1 : 0)} µs` : `${(us / 1000).toFixed(us < 10_000 ? 1 : 0)} ms`;
}
