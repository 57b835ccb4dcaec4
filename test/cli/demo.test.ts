/** The evacuation drill, run as its users run it, with few lines and few kills. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runDrill } from '../../src/cli/demo/drill.js';
import { DrillLedger } from '../../src/cli/demo/drill-ledger.js';
import { planKills } from '../../src/cli/demo/kill-plan.js';
import { bundle, projectRoot } from './support/bundle.js';

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'evaq-test-demo-'));
let program = '';
beforeAll(async () => {
  program = await bundle(path.join(projectRoot, 'src/cli/main.ts'));
});
afterAll(() => fs.rmSync(scratch, { recursive: true }));

interface Running {
  readonly child: ChildProcess;
  readonly output: { stdout: string; stderr: string };
  /** The folder in which this drill makes its own. */
  readonly dir: string;
  readonly ended: Promise<unknown>;
}

function start(...args: string[]): Running {
  const dir = fs.mkdtempSync(path.join(scratch, 'run-'));
  const child = spawn(process.execPath, [program, 'demo', ...(args.includes('--dir') ? [] : ['--dir', dir]), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()));
  return { child, output, dir, ended: once(child, 'close') };
}

async function run(...args: string[]): Promise<Running> {
  const running = start(...args);
  await running.ended;
  return running;
}

/** Resolves when the drill has come so far that lines are acknowledged. */
async function atWork({ child, output }: Running): Promise<void> {
  while (!/acknowledged [1-9]/.test(output.stderr)) {
    if (child.stderr === null || child.exitCode !== null) throw new Error(output.stderr);
    await once(child.stderr, 'data');
  }
}

function childrenOf(pid: number | undefined): number[] {
  const text = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.split(' ').filter(Boolean).map(Number);
}

/** A process that has ended may stay listed until somebody asks for its exit code. */
function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z /.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Looks at processes until one that does not end counts as a survivor: far more than an ending takes on the slowest machine. */
const LOOKS_MAX = 1_000_000;

/** Those that do not end, ended now. */
async function survivorsOf(pids: readonly number[]): Promise<number[]> {
  for (let looks = 0; pids.some(isAlive) && looks < LOOKS_MAX; looks++)
    await new Promise((resolve) => setImmediate(resolve));
  const survivors = pids.filter(isAlive);
  for (const pid of survivors) process.kill(pid, 'SIGKILL');
  return survivors;
}

describe('the evacuation drill', () => {
  test('P1: of the lines that were acknowledged none is lost through kills', async () => {
    const few = ['--kills', '5', '--records', '1500', '--rate', '1000'];
    const { child, output, dir } = await run('--json', '--seed', '7', ...few);
    expect(output.stderr).toContain('1500 lines');
    expect(child.exitCode, output.stderr).toBe(0);
    const result: unknown = JSON.parse(output.stdout);
    expect(result).toMatchObject({ v: 1, lines: 1500, acknowledged: 1500, lost: 0, wrong: 0, left: 0, failures: [] });
    expect(result).toMatchObject({ kills: 5, seed: 7 });
    const { deliveredOnce, deliveredMore, pushed, pushedAgain } = Object(result);
    expect(deliveredOnce + deliveredMore).toBe(1500);
    expect({ pushed, pushedAgain }).toEqual({ pushed: 1500, pushedAgain: 0 });
    expect(fs.readdirSync(dir), 'the folder of the drill is gone').toEqual([]);
  });

  test('P1: one line, killed again and again, arrives; the input is a file', async () => {
    const input = path.join(scratch, 'one-line.txt');
    fs.writeFileSync(input, 'the only line, with "quotes", ümlauts and no end');
    const { child, output, dir } = await run('--input', input, '--kills', '4', '--keep');
    expect(child.exitCode, output.stderr).toBe(0);
    expect(output.stdout).toContain('PASSED: all 1 acknowledged lines arrived, through 4 kills.');
    const [kept] = fs.readdirSync(dir);
    expect(output.stdout).toContain(kept);
  });

  test('an application that acknowledges what it has not stored fails the drill', async () => {
    const liar = await bundle(path.join(projectRoot, 'test/cli/support/lying-application.ts'));
    const result = await runDrill({
      program: liar,
      args: [],
      seed: 1,
      kills: 0,
      lines: 20,
      input: undefined,
      linesPerSecond: undefined,
      parentDir: scratch,
      keep: false,
      signal: new AbortController().signal,
      onEvent: () => undefined,
    });
    expect(result).toMatchObject({ acknowledged: 20, deliveredOnce: 0, lost: 20, left: 1 });
    expect(fs.readdirSync(result.dir ?? ''), 'what failed is evidence').toContain('store');
    expect(result.failures.join('; ')).toMatch(/20 lines were acknowledged and never arrived; 1 records are left/);
  });

  test('an interrupt ends its processes and removes its folder', async () => {
    const running = start('--kills', '3', '--records', '100000', '--rate', '500');
    await atWork(running);
    const children = childrenOf(running.child.pid);
    expect(children.length).toBeGreaterThan(0);
    running.child.kill('SIGINT');
    await running.ended;
    expect(running.child.exitCode).toBe(130);
    expect(children.filter(isAlive)).toEqual([]);
    expect(fs.readdirSync(running.dir)).toEqual([]);
  });

  test('its processes end with it, also when it is killed', async () => {
    const running = start('--kills', '0', '--records', '100000', '--rate', '500');
    await atWork(running);
    const children = childrenOf(running.child.pid);
    expect(children.filter(isAlive).length).toBe(2);
    running.child.kill('SIGKILL');
    await running.ended;
    expect(await survivorsOf(children)).toEqual([]);
  });

  test.each([
    ['a missing file', ['--input', path.join(scratch, 'nowhere')], /nowhere cannot be read: ENOENT/],
    ['a folder', ['--input', scratch], /cannot be read: EISDIR/],
    ['a file without lines', ['--input', '/dev/null'], /has no lines/],
    ['no place for its folder', ['--dir', path.join(scratch, 'none')], /no folder can be made in .*none: ENOENT/],
  ])('cannot be started with %s, and says so in one line', async (_, args, message) => {
    const { child, output } = await run(...args);
    expect(child.exitCode).toBe(2);
    expect(output.stderr.trimEnd().split('\n').at(-1)).toMatch(message);
    expect(output.stdout).toBe('');
  });
});

describe('the books of the drill', () => {
  test('tell lines that were lost, and lines that came otherwise than they were pushed', () => {
    const ledger = new DrillLedger([11, 22, 33, 44]);
    ledger.note({ kind: 'pushing', from: 1, to: 3 });
    ledger.note({ kind: 'acknowledged', to: 2 });
    ledger.note({ kind: 'pushing', from: 2, to: 4 });
    ledger.note({ kind: 'acknowledged', to: 3 });
    ledger.noteAccepted([1, 2, 11, 2, 1, 99, 7, 1, 0]);
    // Line 2 came with another text, and line 7 is none; 4 was never acknowledged.
    expect(ledger.figures()).toMatchObject({ pushed: 4, pushedAgain: 1, acknowledged: 3, deliveredMore: 1 });
    expect(ledger.figures()).toMatchObject({ deliveredOnce: 0, lost: 2, wrong: 2 });
  });
});

describe('the plan of kills', () => {
  test('is the same for the same seed, and strikes at every kind of moment', () => {
    const plan = planKills(3, 200, 8000);
    expect(plan).toEqual(planKills(3, 200, 8000));
    expect(plan).not.toEqual(planKills(4, 200, 8000));
    expect(new Set(plan.map(({ moment }) => moment))).toEqual(new Set(['opening', 'pushing', 'sending', 'any']));
    expect(Math.max(...plan.map(({ afterMs }) => afterMs))).toBeLessThanOrEqual(80);
  });
});
