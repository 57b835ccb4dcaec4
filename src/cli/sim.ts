/** `evaq sim`: explores the crash states of calls on a store, seed after seed, and tells the story of what it finds. Touches no real disk. */
import { pathToFileURL } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { messageOf } from '../errors.js';
import { type CrashCheck, type ExploreReport, explore, type Workload } from '../sim.js';
import { EXIT_ERROR, UsageError } from './exit-code.js';
import { interruptible } from './interrupt.js';
import { Output } from './output.js';
import { progressBar } from './progress-bar.js';
import { checkStore, storeWorkload } from './sim/store-workload.js';

interface SimFlags {
  readonly seed?: number;
  readonly runs: number;
  readonly ops: number;
  readonly states: number;
  readonly depth: number;
  readonly workload?: string;
}

interface Subject {
  readonly workload: Workload<unknown, unknown>;
  readonly check: CrashCheck<unknown>;
}

export function simCommand(): Command {
  return new Command('sim')
    .option('--seed <n>', 'explore this one seed: repeats what was found', wholeNumber)
    .option('--runs <n>', 'seeds to explore, from 1 on', wholeNumber, 4)
    .option('--ops <n>', 'calls in a run', wholeNumber, 8)
    .option('--states <n>', 'distinct disks to check in a run, at most', wholeNumber, 2_000)
    .option('--depth <n>', 'crashes during recovery, one within the other', wholeNumber, 1)
    .option('--workload <file>', 'a module of your own that exports `workload` and `check` (see docs/sim.md)')
    .addHelpText(
      'after',
      '\nExit codes: 0 nothing found, 1 a promise was broken: its story is on standard output.\n\nExamples:\n  evaq sim --runs 20 --ops 12\n  evaq sim --seed 7',
    )
    .action((flags: SimFlags) => interruptible((signal) => simulate(flags, signal)));
}

async function simulate(flags: SimFlags, signal: AbortSignal): Promise<void> {
  const { seed, runs, ops, states: statesMax, depth, workload } = flags;
  const own = workload === undefined ? undefined : await loadSubject(workload);
  const seeds = seed === undefined ? Array.from({ length: runs }, (_, i) => i + 1) : [seed];
  const bar = await progressBar('seed {value} of {total} [{bar}] {states} states');
  const started = performance.now();
  let states = 0;
  let cuts = 0;
  let failed: ExploreReport | undefined;
  bar?.start(seeds.length, 0, { states });
  try {
    for (const [i, one] of seeds.entries()) {
      signal.throwIfAborted();
      const options = { seed: one, statesMax, depth };
      const report =
        own === undefined
          ? await explore(storeWorkload(one, ops), checkStore, options)
          : await explore(own.workload, own.check, options);
      states += report.states;
      cuts += report.cuts;
      bar?.update(i + 1, { states });
      if (report.failure === undefined) continue;
      failed = report;
      break;
    }
  } finally {
    bar?.stop();
  }
  const out = new Output();
  const seconds = (performance.now() - started) / 1000;
  if (failed?.failure !== undefined) {
    await out.line(failed.failure.script);
    process.exitCode = EXIT_ERROR;
  } else {
    await out.line(
      `nothing found: ${states} distinct states at ${cuts} cuts, ${Math.round(states / seconds)} states a second`,
    );
  }
  await out.flush();
}

async function loadSubject(file: string): Promise<Subject> {
  let module: unknown;
  try {
    module = await import(pathToFileURL(file).href);
  } catch (cause) {
    throw new UsageError(`${file} cannot be loaded: ${messageOf(cause)}`);
  }
  if (!isSubject(module))
    throw new UsageError(`${file} must export \`workload\` ({ ops, run }) and \`check\` (a function)`);
  return module;
}

function isSubject(module: unknown): module is Subject {
  if (typeof module !== 'object' || module === null || !('workload' in module) || !('check' in module)) return false;
  const { workload, check } = module;
  if (typeof check !== 'function' || typeof workload !== 'object' || workload === null) return false;
  return 'run' in workload && typeof workload.run === 'function' && 'ops' in workload && Array.isArray(workload.ops);
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('It must be a whole number.');
  return value;
}
