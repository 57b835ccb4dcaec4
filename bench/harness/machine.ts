/**
 * Where the figures come from: machine, system, file system, and how long a sync takes there.
 */
import * as fs from 'node:fs';
import { cpus, hostname, loadavg, release, type as systemType, totalmem } from 'node:os';
import { join } from 'node:path';
import { LatencyRecorder } from './sample.js';

export interface Machine {
  readonly at: string;
  readonly host: string;
  readonly system: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly node: string;
  readonly fileSystem: string;
  /** Of the last minute before the run. */
  readonly loadAverage: number;
  /** Microseconds of `write` of 100 B + `fdatasync` by blocking calls, appending. */
  readonly syncUs: { readonly p50: number; readonly p99: number; readonly max: number };
}

export function describeMachine(dir: string, syncs: number): Machine {
  const [cpu] = cpus();
  return {
    at: new Date().toISOString(),
    host: hostname(),
    system: `${systemType()} ${release()} ${process.arch}`,
    cpu: cpu?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    fileSystem: fileSystemOf(dir),
    loadAverage: loadavg()[0] ?? 0,
    syncUs: measureSync(dir, syncs),
  };
}

function measureSync(dir: string, syncs: number): Machine['syncUs'] {
  const path = join(dir, 'sync-probe');
  const fd = fs.openSync(path, 'w');
  const bytes = Buffer.alloc(100, 1);
  const latency = new LatencyRecorder();
  for (let i = 0; i < syncs; i++) {
    const started = performance.now();
    fs.writeSync(fd, bytes);
    fs.fdatasyncSync(fd);
    latency.record(started);
  }
  fs.closeSync(fd);
  fs.unlinkSync(path);
  const { p50 = 0, p99 = 0, max = 0 } = latency.result() ?? {};
  return { p50, p99, max };
}

/** The type of the file system by the longest mount point above `dir`; by number where there is no list of mounts. */
function fileSystemOf(dir: string): string {
  const real = fs.realpathSync(dir);
  try {
    let best = { point: '', kind: '' };
    for (const line of fs.readFileSync('/proc/self/mounts', 'utf8').split('\n')) {
      const [, point = '', kind = ''] = line.split(' ');
      const above = point === '/' ? '/' : `${point}/`;
      if (`${real}/`.startsWith(above) && point.length >= best.point.length) best = { point, kind };
    }
    if (best.kind !== '') return best.kind;
  } catch {
    // Not Linux.
  }
  return `type 0x${fs.statfsSync(dir).type.toString(16)}`;
}
