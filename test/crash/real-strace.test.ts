/**
 * System calls of a real process are made to fail, one at a time, where strace can be attached to it. With one thread in the pool and
 * a program that never varies, the Nth call of a kind is the same at every run.
 */
import { execFile, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Evaq } from '../../src/evaq.js';
import { bundle, projectRoot } from '../cli/support/bundle.js';
import { CrashModel } from './crash-model.js';
import { keyOf } from './crash-record.js';
import { viewsOf } from './crash-view.js';
import { RealChild } from './support/real-child.js';
import type { RealEvent } from './support/real-event.js';
import { whyNoStrace } from './support/real-tools.js';

const ROUNDS = 30;
/** Of each fault so many places are tried, from the first call to the last. */
const PLACES = Number(process.env['EVAQ_STRACE_PLACES'] ?? 4);
/** Only to end a test that would hang. */
const HANG_MS = 100_000;

const missing = await whyNoStrace();
const why = missing === undefined ? '' : ` [skipped: ${missing}]`;
const run = promisify(execFile);

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'evaq-strace-'));
const children = new Set<RealChild>();
let program = '';
/** A store that was killed at work, and what its process had said. */
const start = path.join(scratch, 'start');
let startEvents: readonly RealEvent[] = [];

beforeAll(async () => {
  if (missing !== undefined) return;
  program = await bundle(path.join(projectRoot, 'test/crash/support/real-process.ts'));
  const child = launch(start, 1_000, 0);
  child.begin();
  await child.heard((events) => events.filter(({ event }) => event === 'removed').length > 30);
  await child.kill();
  startEvents = child.events;
});
afterAll(async () => {
  await Promise.all([...children].map((child) => child.kill()));
  fs.rmSync(scratch, { recursive: true });
});

function launch(store: string, rounds: number, firstKey: number): RealChild {
  const child = new RealChild(program, [store, String(rounds), String(firstKey)], { UV_THREADPOOL_SIZE: '1' });
  children.add(child);
  void child.closed.then(() => children.delete(child));
  return child;
}

interface Outcome {
  readonly events: readonly RealEvent[];
  /** Lines of strace. */
  readonly trace: readonly string[];
  readonly store: string;
}

let runs = 0;

/** Runs the process on a copy of the killed store, with `inject` in force from before it opens it. */
async function runTraced(calls: string, inject: string | undefined): Promise<Outcome> {
  const store = path.join(scratch, `run-${++runs}`);
  const log = `${store}.trace`;
  await run('cp', ['-a', start, store]);
  const child = launch(store, ROUNDS, 1_000_000);
  await child.heard((events) => events.length > 0);
  const args = ['-f', '-y', '-o', log, '-e', `trace=${calls}`, '-p', String(child.pid)];
  if (inject !== undefined) args.push('-e', `inject=${calls}:${inject}`);
  const tracer = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const done = new Promise<void>((resolve) => tracer.on('close', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    let said = '';
    tracer.stderr.on('data', (chunk) => {
      said += String(chunk);
      if (said.includes('attached')) resolve();
    });
    tracer.on('close', () => reject(new Error(`strace ended: ${said}`)));
  });
  child.begin();
  let hung = false;
  const watchdog = setTimeout(() => {
    hung = true;
    void child.kill();
  }, HANG_MS);
  await child.closed;
  clearTimeout(watchdog);
  await done;
  const trace = fs.readFileSync(log, 'utf8').split('\n');
  expect(hung, `nobody waits for ever (${inject}); last heard: ${JSON.stringify(child.events.at(-1))}`).toBe(false);
  expect(child.events.at(-1), `every call comes back (${inject}): ${child.stderr}`).toEqual({ event: 'end' });
  return { events: child.events, trace, store };
}

/** P1, P2, P3, P4: what the store holds is what was acknowledged, whatever became of the rest. */
async function verify({ events, store }: Outcome): Promise<void> {
  const model = new CrashModel();
  const notPushed = new Set<number>();
  for (const event of [...startEvents, ...events]) {
    if (event.event === 'ready' || event.event === 'end') continue;
    if (event.event !== 'rejected') model.apply(event);
    else if (event.call === 'push' && (event.code === 'EVAQ_NO_SPACE' || event.code === 'EVAQ_IO'))
      for (const key of event.keys) notPushed.add(key);
  }
  const evaq = await Evaq.open(store, { segmentBytes: 64 * 1024 });
  try {
    expect(evaq.recovery.damage, 'P9: a failed call damages nothing').toEqual([]);
    const views = await viewsOf(evaq, keyOf);
    model.check(views);
    const back = views.wal.live.filter(([, key]) => notPushed.has(key));
    expect(back, 'P3: what was rejected as not pushed is not there').toEqual([]);
  } finally {
    await evaq.close();
  }
  fs.rmSync(store, { recursive: true });
}

/** The places at which to fail a call that an undisturbed run makes `total` times. */
function placesOf(total: number, count: number): number[] {
  const places = new Set<number>([1, 2]);
  for (let i = 0; i < count; i++) {
    const place = Math.max(1, Math.round(1 + ((total - 1) * i) / Math.max(1, count - 1)));
    // With its neighbour, since calls of two kinds may take turns.
    places.add(place).add(Math.max(1, place - (i % 2)));
  }
  return [...places].sort((a, b) => a - b);
}

/** How often the busiest thread makes the call. */
async function countOf(calls: string): Promise<number> {
  const outcome = await runTraced(calls, undefined);
  expect(outcome.events.filter(({ event }) => event === 'rejected')).toEqual([]);
  await verify(outcome);
  const byThread = new Map<string, number>();
  for (const line of outcome.trace) {
    const thread = /^(\d+) +\w+\(/.exec(line)?.[1];
    if (thread !== undefined) byThread.set(thread, (byThread.get(thread) ?? 0) + 1);
  }
  return Math.max(0, ...byThread.values());
}

interface Fault {
  readonly title: string;
  readonly calls: string;
  readonly error: 'EIO' | 'ENOSPC';
  /** After it the store must be stopped. */
  readonly stops: boolean;
  /** Files that must be among those that were hit. */
  readonly hits?: readonly string[];
  /** '+': every call from the place on fails. */
  readonly lasting?: '+';
}

const FAULTS: readonly Fault[] = [
  { title: 'an fdatasync fails', calls: 'fdatasync', error: 'EIO', stops: true, hits: ['.seg', '.tomb'] },
  { title: 'the sync of a folder fails', calls: 'fsync', error: 'EIO', stops: false },
  { title: 'a write finds no space, once', calls: 'pwrite64', error: 'ENOSPC', stops: false },
  {
    title: 'a write finds no space, and no later one either',
    calls: 'pwrite64',
    error: 'ENOSPC',
    stops: false,
    lasting: '+',
  },
  { title: 'a write fails', calls: 'pwrite64', error: 'EIO', stops: false },
  { title: 'cutting a failed write back, or a tail, fails', calls: 'ftruncate', error: 'EIO', stops: false },
  { title: 'a rename fails', calls: '?rename,?renameat,?renameat2', error: 'EIO', stops: false },
  { title: 'an unlink fails', calls: '?unlink,?unlinkat', error: 'EIO', stops: false },
  { title: 'a file cannot be made or opened', calls: 'openat', error: 'ENOSPC', stops: false },
];

for (const { title, calls, error, stops, lasting = '', hits = [] } of FAULTS) {
  test.skipIf(missing !== undefined)(
    `P1, P2, P7: ${title}: what was acknowledged holds, and nobody waits for ever${why}`,
    { timeout: 300_000 },
    async () => {
      const total = await countOf(calls);
      expect(total).toBeGreaterThan(0);
      const files = new Set<string>();
      let injected = 0;
      let rejected = 0;
      for (const place of placesOf(total, PLACES * (hits.length + 1))) {
        const outcome = await runTraced(calls, `error=${error}:when=${place}${lasting}`);
        const struck = outcome.trace.filter((line) => line.includes('(INJECTED)'));
        const hit = struck.length > 0;
        for (const line of struck) for (const part of hits) if (line.includes(`${part}>`)) files.add(part);
        const failures = outcome.events.filter((event) => event.event === 'rejected');
        if (hit) injected++;
        if (failures.length > 0) rejected++;
        for (const { code } of failures) expect(code, `${calls} ${place}`).toMatch(/^EVAQ_(FAILED|IO|NO_SPACE)$/);
        const late = outcome.events.filter((event) => 'failed' in event && event.failed === true);
        expect(late, `P7: acknowledged although a sync had failed (${calls} ${place})`).toEqual([]);
        if (stops && hit) {
          const opened = outcome.events.some(({ event }) => event === 'shown');
          const closing = failures.length > 0 && failures.every(({ call }) => call === 'close');
          if (opened && !closing) {
            const first = outcome.events.findIndex(
              (event) => event.event === 'rejected' && event.code === 'EVAQ_FAILED',
            );
            expect(first, `P7: a failed sync is told (${place})`).toBeGreaterThan(0);
            const after = outcome.events.slice(first).filter(({ event }) => event === 'pushed' || event === 'removed');
            expect(after, `P7: nothing is acknowledged after it (${place})`).toEqual([]);
          }
        }
        await verify(outcome);
      }
      console.log(`${calls} ${error}${lasting}: ${total} calls, ${injected} faults, ${rejected} runs with a rejection`);
      // Otherwise the run would have proved little.
      expect(injected).toBeGreaterThan(1);
      expect([...files].sort()).toEqual([...hits]);
    },
  );
}
