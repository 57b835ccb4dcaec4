/**
 * A process at work on a store is killed again and again, in the middle of what it does and in the middle of its
 * recovery. Each time the store is compared with what the process had said.
 *
 * The seed decides what is called and after how many words of the process the kill comes; where exactly it strikes is the machine's choice.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Evaq } from '../../src/evaq.js';
import { Prng } from '../../src/sim/sim-prng.js';
import { bundle, projectRoot } from '../cli/support/bundle.js';
import { type CrashEvent, CrashModel } from './crash-model.js';
import { keyOf } from './crash-record.js';
import { viewsOf } from './crash-view.js';

const KILLS = Number(process.env['EVAQ_CRASH_KILLS'] ?? 100);
const SEED = Number(process.env['EVAQ_CRASH_SEED'] ?? randomInt(2 ** 31));
/** What a process says at most before it is killed. */
const LIFE = 800;
const LONG_LIFE = 6000;
/** Turns of the event loop here, about as many as there are during a recovery there. */
const RECOVERY_TURNS = 2000;
/** Keys of one process; more than it can push before it is killed. */
const KEYS = 10_000_000;

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'evaq-sigkill-'));
let program = '';
const children = new Set<ChildProcess>();

beforeAll(async () => {
  program = await bundle(path.join(projectRoot, 'test/crash/crash-process.ts'));
});
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  fs.rmSync(scratch, { recursive: true });
});

/** A process that waits for the word to begin. */
class Victim {
  readonly events: CrashEvent[] = [];
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  readonly #said = new Map<string, () => void>();
  #awaited: { readonly count: number; readonly resolve: () => void } | undefined;
  #stderr = '';

  constructor(store: string, run: number) {
    const child = spawn(process.execPath, [program, store, String(SEED + run), String(run * KEYS)], {
      stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
    });
    children.add(child);
    this.#child = child;
    const said = child.stdio[3];
    if (!(said instanceof Readable)) throw new Error('no pipe from the process');
    const lines = createInterface({ input: said });
    lines.on('line', (line) => this.#hear(line));
    this.#closed = Promise.all([once(child, 'close'), once(lines, 'close')]);
    child.stderr?.on('data', (chunk) => (this.#stderr += String(chunk)));
    // Killed while nobody listens any more: no news.
    child.stdin?.on('error', () => undefined);
  }

  begin(): void {
    this.#child.stdin?.write('go\n');
  }

  /** Resolves when the process has said `event`, or is gone. */
  async heard(event: CrashEvent['event']): Promise<void> {
    if (this.events.some((e) => e.event === event)) return;
    await Promise.race([new Promise<void>((resolve) => this.#said.set(event, resolve)), this.#closed]);
  }

  /** Resolves when the process has said `count` things more, or is gone. */
  async said(count: number): Promise<void> {
    if (count === 0) return;
    const until = this.events.length + count;
    await Promise.race([new Promise<void>((resolve) => (this.#awaited = { count: until, resolve })), this.#closed]);
  }

  /** Resolves when it is gone and everything it said was read. Throws if it had ended by itself. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
    children.delete(this.#child);
    if (this.#child.signalCode !== 'SIGKILL') throw new Error(`the process ended by itself: ${this.#stderr}`);
  }

  #hear(line: string): void {
    let event: CrashEvent;
    try {
      event = JSON.parse(line);
    } catch {
      return; // cut in the middle by the kill
    }
    this.events.push(event);
    this.#said.get(event.event)?.();
    if (this.#awaited !== undefined && this.events.length >= this.#awaited.count) this.#awaited.resolve();
  }
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

test(`P1, P2, P3, P4, P8, P10: whatever a process was doing when it was killed, what it had acknowledged holds (seed ${SEED})`, {
  // Only to end a test that would hang.
  timeout: 10_000 * KILLS + 60_000,
}, async () => {
  const random = new Prng(SEED);
  const model = new CrashModel();
  const store = path.join(scratch, 'store');
  const seen = { rolled: 0, dropped: 0, torn: 0, inRecovery: 0, unclean: 0 };
  let next = new Victim(store, 1);
  for (let run = 1; run <= KILLS; run++) {
    const victim = next;
    victim.begin();
    // Started now, so that it has loaded its modules when its turn comes.
    next = new Victim(store, run + 1);
    const inRecovery = random.chance(0.2);
    await victim.heard(inRecovery ? 'opening' : 'shown');
    // Some live long enough for a tombstone log to be replaced.
    if (inRecovery) await turns(random.below(RECOVERY_TURNS));
    else await victim.said(random.below(random.chance(0.06) ? LONG_LIFE : LIFE));
    await victim.kill();
    for (const event of victim.events) model.apply(event);
    if (!victim.events.some(({ event }) => event === 'shown')) seen.inRecovery++;

    // Now and then the next process is the first to open what is left, and tells what it was shown.
    if (run < KILLS && random.chance(0.3)) continue;
    const evaq = await Evaq.open(store, { segmentBytes: 64 * 1024 });
    try {
      if (!evaq.recovery.clean) seen.unclean++;
      seen.torn += evaq.recovery.torn.length;
      expect(evaq.recovery.damage, 'P9: a kill damages nothing').toEqual([]);
      model.check(await viewsOf(evaq, keyOf));
      const { segments, health } = evaq.wal.stats();
      expect(health).toBe('ok');
      seen.rolled += segments > 2 ? 1 : 0;
      const { droppedSegments, rewrittenSegments } = await evaq.wal.compact();
      seen.dropped += droppedSegments + rewrittenSegments;
      model.check(await viewsOf(evaq, keyOf));
    } finally {
      await evaq.close();
    }
  }
  await next.kill();
  console.log(`seed ${SEED}: ${JSON.stringify({ kills: KILLS, ...model.counts, ...seen, live: model.liveCount })}`);
  // Otherwise the run would have proved little.
  expect(model.counts['pushesAcknowledged']).toBeGreaterThan(10 * KILLS);
  expect(model.counts['removalsAcknowledged']).toBeGreaterThan(10 * KILLS);
  expect(model.counts['movesAcknowledged']).toBeGreaterThan(KILLS / 2);
  expect(seen.unclean).toBeGreaterThan(KILLS / 3);
  expect(seen.rolled).toBeGreaterThan(KILLS / 10);
});
