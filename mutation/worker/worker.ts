/**
 * Runs tests in this process, one at a time, with one change or none switched on; told what by lines of its plan, tells what came of it by lines on its
 * standard output, a file. After a test that hangs, or leaves something behind, the process ends, and another one goes on (`hunt.ts`).
 */
import { readFileSync, writeSync } from 'node:fs';
import { runTest, type Test, tests } from './vitest.js';

export interface Planned {
  /** Of the change; none: the tests run as they are, and what they reach is counted. */
  readonly mutant: string | undefined;
  readonly tests: readonly string[];
}

export interface Plan {
  readonly work: readonly Planned[];
  /** Milliseconds of processor time that each test took. */
  readonly usual: Readonly<Record<string, number>>;
  /** The test files to load. */
  readonly files: readonly string[];
}

export type Told =
  | {
      readonly kind: 'reached';
      readonly test: string;
      readonly ms: number;
      readonly error?: string;
      readonly hits: Hits;
    }
  | { readonly kind: 'begun'; readonly mutant: string }
  | { readonly kind: 'found'; readonly mutant: string; readonly by: string; readonly how: How; readonly error?: string }
  | { readonly kind: 'survived'; readonly mutant: string }
  | { readonly kind: 'spoilt'; readonly test: string };

type Hits = Readonly<Record<string, number>>;
export type How = 'failed' | 'hung' | 'too long' | 'thrown aside';

/** Stryker's switchboard. */
interface Switches {
  activeMutant?: string;
  currentTestId?: string;
  hitCount?: number;
  hitLimit?: number;
  mutantCoverage?: { static: Hits; perTest: Record<string, Hits> };
}
const switches: Switches = {};
Object.assign(globalThis, { __stryker__: switches, __evaqLeftOut: isLeftOut });

/** Of waits for the disk (`waits.ts`), which are counted and switched as Stryker's changes are. */
function isLeftOut(number: number): boolean {
  const id = `wait#${number}`;
  if (switches.currentTestId !== undefined) {
    switches.mutantCoverage ??= { static: {}, perTest: {} };
    const hits = switches.mutantCoverage.perTest[switches.currentTestId] ?? {};
    switches.mutantCoverage.perTest[switches.currentTestId] = { ...hits, [id]: (hits[id] ?? 0) + 1 };
  }
  return switches.activeMutant === id;
}

const HITS_MAX = 2_000_000;
/** A test takes this many times what it usually does, and this much more, before it is given up. */
const TIMES = 8;
const MORE_MS = 4000;

let running:
  | { readonly test: string; readonly mutant: string | undefined; readonly limitMs: number; fromMs: number }
  | undefined;

function tell(told: Told): void {
  writeSync(1, `${JSON.stringify(told)}\n`);
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function giveUp(how: How, error?: string): never {
  const now = running;
  if (now?.mutant !== undefined)
    tell({ kind: 'found', mutant: now.mutant, by: now.test, how, ...(error === undefined ? {} : { error }) });
  else if (now === undefined) console.error(`without a test: ${how}: ${error ?? ''}`);
  else tell({ kind: 'reached', test: now.test, ms: cpuMs() - now.fromMs, error: error ?? how, hits: {} });
  process.exit(0);
}

export async function work(files: Readonly<Record<string, () => Promise<unknown>>>): Promise<void> {
  const plan: Plan = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'));
  process.on('beforeExit', () => giveUp('hung'));
  process.on('unhandledRejection', (reason) => giveUp('thrown aside', String(reason)));
  process.on('uncaughtException', (reason) => giveUp('thrown aside', String(reason)));
  setInterval(() => {
    if (running !== undefined && cpuMs() - running.fromMs > running.limitMs) giveUp('too long');
  }, 100).unref();
  for (const file of plan.files) {
    try {
      await files[file]?.();
    } catch (error) {
      console.error(`does not load here: ${file}: ${String(error)}`);
    }
  }
  const byName = new Map(tests.map((test) => [test.name, test]));
  // What is only slow since it is the first is not to be taken for one that does not end.
  const [warming] = plan.work.flatMap((one) => (one.mutant === undefined ? [] : one.tests.slice(0, 1)));
  const first = warming === undefined ? undefined : byName.get(warming);
  if (first !== undefined) await outcomeOf(first, undefined, 60_000);
  for (const { mutant, tests: names } of plan.work) {
    const chosen = names.length === 0 && mutant === undefined ? [...byName.keys()] : names;
    const run = chosen.flatMap((name) => byName.get(name) ?? []);
    if (mutant === undefined) await countReached(run);
    else if (!(await hunt(mutant, run, plan.usual))) break;
  }
  process.exit(0);
}

async function countReached(run: readonly Test[]): Promise<void> {
  for (const test of run) {
    switches.currentTestId = test.name;
    const error = await outcomeOf(test, undefined, 60_000);
    const hits = switches.mutantCoverage?.perTest[test.name] ?? {};
    if (switches.mutantCoverage !== undefined) switches.mutantCoverage.perTest = {};
    delete switches.currentTestId;
    const ms = cpuMs() - lastFromMs;
    tell(
      error === undefined
        ? { kind: 'reached', test: test.name, ms, hits }
        : { kind: 'reached', test: test.name, ms, error, hits },
    );
  }
}

let lastFromMs = 0;

async function outcomeOf(test: Test, mutant: string | undefined, limitMs: number): Promise<string | undefined> {
  lastFromMs = cpuMs();
  running = { test: test.name, mutant, limitMs, fromMs: lastFromMs };
  try {
    await runTest(test);
    return undefined;
  } catch (error) {
    return String(error).slice(0, 300);
  } finally {
    running = undefined;
  }
}

/** How many changes each test has found. */
const finds = new Map<Test, number>();

/** False: this process is not to be used any more. */
async function hunt(mutant: string, run: readonly Test[], usual: Plan['usual']): Promise<boolean> {
  tell({ kind: 'begun', mutant });
  // What has found others is the likeliest to find this one.
  for (const test of run.toSorted((a, b) => (finds.get(b) ?? 0) - (finds.get(a) ?? 0))) {
    switches.activeMutant = mutant;
    switches.hitCount = 0;
    switches.hitLimit = HITS_MAX;
    const error = await outcomeOf(test, mutant, (usual[test.name] ?? 0) * TIMES + MORE_MS);
    delete switches.activeMutant;
    if (error === undefined) continue;
    // Without the change it passes, or what was left behind is to blame.
    const clean = await outcomeOf(test, undefined, (usual[test.name] ?? 0) * TIMES + MORE_MS);
    if (clean !== undefined) {
      tell({ kind: 'spoilt', test: test.name });
      return false;
    }
    finds.set(test, (finds.get(test) ?? 0) + 1);
    tell({ kind: 'found', mutant, by: test.name, how: 'failed', error });
    return true;
  }
  tell({ kind: 'survived', mutant });
  return true;
}
