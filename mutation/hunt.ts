/** The processes in which tests meet changes: each does what it can of a plan, and where one ends early, the next goes on behind it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Plan, Planned, Told } from './worker/worker.js';

/** A loop that does not end tells nothing: what a process may take of the processor without a word, or of time where that cannot be asked. */
const SILENT_CPU_MS = 15_000;
const SILENT_MS = 300_000;
const LOOK_MS = 250;

export interface Outcome {
  readonly how: 'found' | 'hung' | 'survived';
  /** The test that found it. */
  readonly by?: string;
}

export interface Reached {
  readonly ms: number;
  readonly error?: string;
  readonly hits: Readonly<Record<string, number>>;
}

/** Runs each test file's tests as they are. A test that hangs takes the rest of its file with it. */
export async function reachedBy(
  bundle: string,
  files: readonly string[],
  told: (test: string, reached: Reached) => void,
): Promise<void> {
  let left = [...files];
  while (left.length > 0) {
    const done = new Set<string>();
    const ended = await runPlan(bundle, { work: [{ mutant: undefined, tests: [] }], usual: {}, files: left }, (one) => {
      if (one.kind !== 'reached') return;
      told(one.test, one);
      done.add(one.test.split(' > ')[0] ?? '');
    });
    if (ended === 'complete') return;
    const last = [...done].at(-1) ?? left[0];
    left = left.filter((file) => !done.has(file) && file !== last);
  }
}

export async function huntAll(
  bundle: string,
  work: readonly (Planned & { readonly mutant: string })[],
  usual: Plan['usual'],
  told: (mutant: string, outcome: Outcome) => void,
): Promise<void> {
  let left = [...work];
  let spoilt: string | undefined;
  while (left.length > 0) {
    const files = [...new Set(left.flatMap(({ tests }) => tests.map((test) => test.split(' > ')[0] ?? '')))];
    const done = new Set<string>();
    let begun: string | undefined;
    let spoiltBy: string | undefined;
    const tell = (mutant: string, outcome: Outcome): void => {
      done.add(mutant);
      told(mutant, outcome);
    };
    await runPlan(bundle, { work: left, usual, files }, (one) => {
      if (one.kind === 'begun') begun = one.mutant;
      else if (one.kind === 'spoilt') spoiltBy = one.test;
      else if (one.kind === 'survived') tell(one.mutant, { how: 'survived' });
      else if (one.kind === 'found')
        tell(one.mutant, { how: one.how === 'failed' || one.how === 'thrown aside' ? 'found' : 'hung', by: one.by });
    });
    // It was the first in a process of its own, and failed all the same: the test does not get over it.
    if (begun !== undefined && spoiltBy !== undefined && spoilt === begun && left[0]?.mutant === begun)
      tell(begun, { how: 'found', by: spoiltBy });
    else if (begun !== undefined && spoiltBy !== undefined) spoilt = begun;
    // Killed from here, since it told nothing any more.
    else if (begun !== undefined && !done.has(begun)) tell(begun, { how: 'hung' });
    if (begun === undefined) throw new Error('the tests do not load');
    left = left.filter(({ mutant }) => !done.has(mutant));
  }
}

const NEWLINE_BYTE = 0x0a;
let plans = 0;

async function runPlan(bundle: string, plan: Plan, tell: (told: Told) => void): Promise<'complete' | 'early'> {
  const name = join(bundle, '..', `plan-${++plans}`);
  writeFileSync(`${name}.json`, JSON.stringify(plan));
  const output = openSync(`${name}.out`, 'w');
  const child = spawn(process.execPath, ['--enable-source-maps', bundle, `${name}.json`], {
    stdio: ['ignore', output, 'inherit'],
    env: { ...process.env, NODE_ENV: 'test' },
  });
  closeSync(output);
  const input = openSync(`${name}.out`, 'r');
  let read = 0;
  let last: Told | undefined;
  const readOn = (): boolean => {
    const bytes = Buffer.allocUnsafe(Math.max(0, fstatSync(input).size - read));
    const held = bytes.subarray(0, readSync(input, bytes, 0, bytes.length, read));
    const end = held.lastIndexOf(NEWLINE_BYTE) + 1;
    for (const line of held.toString('utf8', 0, end).split('\n')) {
      if (line === '') continue;
      const told: Told = JSON.parse(line);
      last = told;
      tell(told);
    }
    read += end;
    return end > 0;
  };
  const code = await watched(child, readOn);
  readOn();
  closeSync(input);
  return code === 0 && last !== undefined && !('error' in last && last.error === 'hung') ? 'complete' : 'early';
}

function watched(child: ChildProcess, readOn: () => boolean): Promise<number | null> {
  return new Promise((resolve, reject) => {
    let silentCpuMs = cpuMsOf(child.pid);
    let silentMs = performance.now();
    const look = setInterval(() => {
      if (readOn()) {
        silentCpuMs = cpuMsOf(child.pid);
        silentMs = performance.now();
      } else if (cpuMsOf(child.pid) - silentCpuMs > SILENT_CPU_MS || performance.now() - silentMs > SILENT_MS) {
        child.kill('SIGKILL');
      }
    }, LOOK_MS);
    child.once('error', reject);
    child.once('exit', (code) => {
      clearInterval(look);
      resolve(code);
    });
  });
}

/** Of the processor, where the system tells. */
function cpuMsOf(pid: number | undefined): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return 0;
  }
}
