/** `evaq tail` as a user runs it. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Evaq } from '../../src/evaq.js';
import { cliPath, evaq, finished, startEvaq } from './support/evaq-cli.js';

beforeAll(async () => {
  await cliPath();
});

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-tail-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'store');
}

/** The lines of a child, and how to wait for them. */
class Lines {
  readonly all: string[] = [];
  readonly #child: ChildProcess;
  #rest = '';
  #wake: () => void = () => undefined;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = `${this.#rest}${chunk}`.split('\n');
      this.#rest = lines.pop() ?? '';
      this.all.push(...lines);
      this.#wake();
    });
    child.on('exit', () => this.#wake());
  }

  async until(isThere: (lines: readonly string[]) => boolean): Promise<void> {
    while (!isThere(this.all)) {
      if (this.#child.exitCode !== null) throw new Error(`it has ended: ${this.all.slice(-5).join(' ')}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

/** How often its main thread has gone to sleep and got up again. */
function wakings(child: ChildProcess): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  return Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(status)?.[1]);
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null) await once(child, 'exit');
  return child.exitCode;
}

describe('the last records', () => {
  test('are ten, or so many, of several queues by time, and those that are selected', async () => {
    const store = temporary();
    {
      await using library = await Evaq.open(store);
      const mail = await library.queue('mail');
      for (let i = 1; i <= 12; i++) await library.wal.push(`wal ${i}`);
      await sleep(5);
      await mail.push('mail 1');
      await mail.push('mail 2', { headers: { type: 'x' } });
      await library.wal.removeMany([3, 12]);
    }
    const lines = async (...args: string[]): Promise<string[]> => {
      const { stdout, code } = await evaq(['tail', store, '--format', '%q%i', ...args]);
      expect(code).toBe(0);
      return stdout.toString().split('\n').slice(0, -1);
    };
    expect(await lines()).toEqual([1, 2, 4, 5, 6, 7, 8, 9, 10, 11].map((id) => `wal${id}`));
    expect(await lines('-q', 'mail,wal', '-n', '3')).toEqual(['wal11', 'mail1', 'mail2']);
    expect(await lines('-q', '*', '-g', '2$')).toEqual(['wal2', 'mail2']);
    expect(await lines('-q', '*', '--header', 'type=x')).toEqual(['mail2']);
    expect(await lines('--to', '5', '-n', '2')).toEqual(['wal4', 'wal5']);
    expect(await lines('--from', '-2')).toEqual(['wal10', 'wal11']);
    expect(await lines('--since', '1h', '--to', '2')).toEqual(['wal1', 'wal2']);
    expect(await lines('--until', '1h')).toEqual([]);
    expect(await evaq(['tail', store, '-q', 'none'])).toMatchObject({ code: 6 });
  });

  test('of many that are not selected are found without reading for ever', async () => {
    const store = temporary();
    await evaq(['push', store, '--batch', '1000'], Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`).join(''));
    const found = await evaq(['tail', store, '-n', '2', '-g', ' (5|17|18)$', '--format', '%p']);
    expect(found.stdout.toString()).toBe('line 17\nline 18\n');
  });
});

describe('following', () => {
  test('goes over rolled segments, GC, a kill of the writer and the next one: each record once, in order', async () => {
    const store = temporary();
    const options = { segmentBytes: 64 * 1024, recycleSegments: 1 };
    {
      await using library = await Evaq.open(store, options);
      await library.wal.pushMany(['0', '1']);
    }
    const child = await startEvaq(['tail', store, '-f', '-n', '1', '--format', '%p']);
    const lines = new Lines(child);
    await lines.until((all) => all.length === 1);
    let next = 2;
    const expected = ['1'];
    for (let round = 0; round < 3; round++) {
      {
        await using library = await Evaq.open(store, options);
        for (let i = 0; i < 40; i++) {
          const payloads = Array.from({ length: 5 }, () => String(next++).padEnd(1000));
          expected.push(...payloads);
          await library.wal.pushMany(payloads);
        }
        // What has been seen may go, and its segments with it.
        await lines.until((all) => all.length === expected.length);
        await library.wal.removeThrough(Number.MAX_SAFE_INTEGER);
        await library.wal.compact();
      }
      const writer = await startEvaq(['push', store]);
      writer.stdin?.write(`${next}\n`);
      expected.push(String(next++));
      await lines.until((all) => all.length === expected.length);
      writer.kill('SIGKILL');
      await ended(writer);
    }
    expect(lines.all).toEqual(expected);
    child.kill('SIGINT');
    const stderr = finished(child).then(({ stderr: text }) => text);
    expect(await ended(child)).toBe(130);
    expect(await stderr).toMatch(/stopped behind ID \d+ of queue 'wal'/);
  });

  test('shows a record soon after its commit, and a new queue that is meant', async () => {
    const store = temporary();
    await using library = await Evaq.open(store);
    await library.wal.push('first');
    const child = await startEvaq(['tail', store, '-f', '-q', '*', '--format', '%q %p']);
    const lines = new Lines(child);
    await lines.until((all) => all.length === 1);
    // Long enough for it to be quiet.
    await sleep(1500);
    const tookMs: number[] = [];
    for (let i = 0; i < 5; i++) {
      await library.wal.push(`one ${i}`);
      const from = performance.now();
      await lines.until((all) => all.at(-1) === `wal one ${i}`);
      tookMs.push(performance.now() - from);
    }
    // Beside other tests the machine may be busy: one that is on time shows that it is not the interval.
    expect(Math.min(...tookMs)).toBeLessThan(200);
    const laterMs: number[] = [];
    for (let i = 0; i < 6; i++) {
      await sleep(150);
      const later = await library.queue(`later-${i}`);
      const from = performance.now();
      await later.push('hello');
      await lines.until((all) => all.at(-1) === `later-${i} hello`);
      laterMs.push(performance.now() - from);
    }
    expect(Math.min(...laterMs)).toBeLessThan(200);
    // Told of, nearly all of them, where the system tells, and not found by the look once a second.
    expect(laterMs.toSorted((a, b) => a - b)[4]).toBeLessThan(500);
  });

  test.runIf(process.platform === 'linux')(
    'sleeps while nothing happens, and looks at once when something does',
    async () => {
      const store = temporary();
      await using library = await Evaq.open(store);
      await library.wal.push('first');
      const child = await startEvaq(['tail', store, '-f', '-q', '*', '--format', '%p']);
      const lines = new Lines(child);
      await lines.until((all) => all.length === 1);
      await sleep(1500);
      const before = wakings(child);
      await sleep(3000);
      // A look at every 100 ms would be 30 of them; one a second is three.
      expect(wakings(child) - before).toBeLessThan(15);
      const tookMs: number[] = [];
      for (let i = 0; i < 5; i++) {
        await sleep(150);
        const from = performance.now();
        await library.wal.push(`one ${i}`);
        await lines.until((all) => all.at(-1) === `one ${i}`);
        tookMs.push(performance.now() - from);
      }
      expect(Math.min(...tookMs)).toBeLessThan(200);
      // Told of, all of them, and not found by the look once a second.
      expect(tookMs.toSorted((a, b) => a - b)[3]).toBeLessThan(500);
    },
  );

  test('goes on beside a system that tells nothing', async () => {
    const store = temporary();
    await using library = await Evaq.open(store);
    await library.wal.push('first');
    const silent = join(store, '..', 'silent.cjs');
    writeFileSync(
      silent,
      "require('node:fs').watch = () => { throw Object.assign(new Error('none left'), { code: 'ENOSPC' }); };",
    );
    const deaf = join(store, '..', 'deaf.cjs');
    writeFileSync(deaf, "require('node:fs').watch = () => ({ on: () => {}, close: () => {} });");
    for (const stub of [silent, deaf]) {
      const child = await startEvaq(['tail', store, '-f', '-n', '1', '--format', '%p'], {
        env: { ...process.env, NODE_OPTIONS: `--require=${stub}` },
      });
      const lines = new Lines(child);
      await lines.until((all) => all.length === 1);
      // One of the first has to wait for the look that finds out that nothing is told.
      for (const payload of ['a', 'b', 'c', 'd', 'e']) {
        const from = performance.now();
        await library.wal.push(payload);
        await lines.until((all) => all.at(-1) === payload);
        if (payload === 'e') expect(performance.now() - from).toBeLessThan(700);
      }
      child.kill('SIGINT');
      await ended(child);
    }
  });

  test('ends by itself where nothing more can be selected', async () => {
    const store = temporary();
    await evaq(['push', store], 'a\nb\nc\n');
    const result = await evaq(['tail', store, '-f', '--from', 'first', '--to', '2']);
    expect(result.stdout.toString()).toBe('a\nb\n');
  });
});
