/**
 * `evaq demo`: the evacuation drill. The progress goes to standard error, what came of it to standard output.
 *
 * Exit codes: 0 nothing was lost; 1 something was, or the drill could not be finished; 2 it could not be started; 130 interrupted.
 */
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import type { SingleBar } from 'cli-progress';
import Table from 'cli-table3';
import { Command, InvalidArgumentError } from 'commander';
import { messageOf } from '../errors.js';
import { runApplication } from './demo/application.js';
import { runDestination } from './demo/destination.js';
import { type DrillEvent, DrillInputError, type DrillResult, type DrillStatus, runDrill } from './demo/drill.js';
import { progressBar } from './progress-bar.js';

interface DemoFlags {
  readonly kills: number;
  readonly records?: number;
  readonly input?: string;
  readonly rate?: number;
  readonly seed?: number;
  readonly dir: string;
  readonly keep: boolean;
  readonly json: boolean;
}

const KILLS_DEFAULT = 10;
const PLAIN_STATUS_MS = 1_000;
const INTERRUPTS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

export function demoCommand(): Command {
  const command = new Command('demo')
    .option('--kills <n>', 'how often the application is killed with SIGKILL', wholeFrom(0), KILLS_DEFAULT)
    .option('--records <n>', 'lines to push (default: 20000, or all of the input)', wholeFrom(1))
    .option('--input <file>', 'push the lines of this file (default: lines made up from the seed)')
    .option('--rate <n>', 'lines a second (default: what makes the input last 8 s)', wholeFrom(1))
    .option('--seed <n>', 'decides the lines, the failures and the kills (default: by chance)', wholeFrom(0))
    .option('--dir <folder>', 'where the folder of the drill is made', tmpdir())
    .option('--keep', 'leave that folder behind, as a drill that failed does', false)
    .option('--json', 'the result as JSON', false)
    .addHelpText(
      'after',
      '\nExit codes: 0 nothing was lost, 1 it was, or the drill broke off, 2 it could not be started.\n\nExamples:\n  evaq demo --kills 3\n  evaq demo --input app.log --seed 7 --keep',
    )
    .action(async (flags: DemoFlags) => {
      process.exitCode = await demo(flags);
    });
  // The processes of the drill are this program again.
  command.command('application', { hidden: true }).action(runApplication);
  command.command('destination', { hidden: true }).action(runDestination);
  return command;
}

/** Resolves with the exit code. */
async function demo(flags: DemoFlags): Promise<number> {
  const seed = flags.seed ?? Date.now() % 1_000_000;
  const interrupt = new AbortController();
  const stop = (signal: NodeJS.Signals): void => interrupt.abort(signal);
  // Once: the second one ends this process on the spot, and its children with it.
  for (const signal of INTERRUPTS) process.once(signal, stop);
  const bar = await progressBar(BAR, { barCompleteChar: '=', barIncompleteChar: ' ', noTTYOutput: false });
  const view = bar === undefined ? new PlainView() : new BarView(bar);
  view.say(`evacuation drill: ${flags.kills} kills, seed ${seed}`);
  try {
    const result = await runDrill({
      // Bundled, this module is the program.
      program: process.argv[1] ?? '',
      args: ['demo'],
      seed,
      kills: flags.kills,
      lines: flags.records,
      input: flags.input,
      linesPerSecond: flags.rate,
      parentDir: resolve(flags.dir),
      keep: flags.keep,
      signal: interrupt.signal,
      onEvent: (event) => view.show(event),
    });
    view.end();
    console.log(flags.json ? JSON.stringify({ v: 1, ...result }) : rendered(result));
    return result.failures.length === 0 ? 0 : 1;
  } catch (error) {
    view.end();
    if (interrupt.signal.aborted) {
      console.error('evaq demo: interrupted; its processes are ended');
      return 130;
    }
    console.error(`evaq demo: ${messageOf(error)}`);
    return error instanceof DrillInputError ? 2 : 1;
  } finally {
    for (const signal of INTERRUPTS) process.off(signal, stop);
  }
}

interface DemoView {
  readonly say: (text: string) => void;
  readonly show: (event: DrillEvent) => void;
  readonly end: () => void;
}

const BAR =
  ' delivered [{bar}] {value}/{total}  acknowledged {acknowledged}  kills {kills}  dead letters {deadLetters}  {destination}';

/** For a terminal: one bar that stays in its place. */
class BarView implements DemoView {
  readonly #bar: SingleBar;

  constructor(bar: SingleBar) {
    this.#bar = bar;
  }

  say(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  show(event: DrillEvent): void {
    if (event.kind === 'started') {
      this.#bar.start(event.lines, 0, { acknowledged: 0, kills: 0, deadLetters: 0, destination: '' });
    }
    if (event.kind !== 'status') return;
    const { delivered, acknowledged, kills, deadLetters, isDestinationUp } = event.status;
    this.#bar.update(delivered, {
      acknowledged,
      kills,
      deadLetters,
      destination: isDestinationUp ? '' : 'destination down',
    });
  }

  end(): void {
    this.#bar.stop();
  }
}

/** For a file or a pipe: a line now and then. */
class PlainView implements DemoView {
  #shownMs = 0;
  #last: DrillStatus | undefined;

  say(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  show(event: DrillEvent): void {
    switch (event.kind) {
      case 'started':
        this.say(`${event.lines} lines, in ${event.dir}`);
        return;
      case 'killed':
        this.#sayAt(`kill ${event.kills}: pid ${event.pid} ${MOMENTS[event.moment]}`);
        return;
      case 'destination':
        this.#sayAt(event.isUp ? 'the destination is back' : 'the destination is down');
        return;
      case 'status': {
        this.#last = event.status;
        const { elapsedMs, acknowledged, delivered, lines, deadLetters, diskBytes } = event.status;
        if (elapsedMs - this.#shownMs < PLAIN_STATUS_MS) return;
        this.#shownMs = elapsedMs;
        this.#sayAt(
          `acknowledged ${acknowledged}/${lines}, delivered ${delivered}, dead letters ${deadLetters}, disk ${bytes(diskBytes)}`,
        );
        return;
      }
    }
  }

  end(): void {
    this.#last = undefined;
  }

  #sayAt(text: string): void {
    this.say(`${((this.#last?.elapsedMs ?? 0) / 1000).toFixed(1).padStart(5)} s  ${text}`);
  }
}

const MOMENTS = {
  opening: 'while it was opening the store',
  pushing: 'while it was pushing',
  sending: 'while it was sending',
  any: 'at any moment',
} as const;

function rendered(result: DrillResult): string {
  const table = new Table({ colAligns: ['left', 'right'], style: { head: [], border: [] } });
  const kept = result.dir === undefined ? [] : [['folder', result.dir]];
  table.push(
    ['lines', result.lines],
    ['pushed', `${result.pushed} (${result.pushedAgain} of them again)`],
    ['acknowledged', result.acknowledged],
    ['delivered once', result.deliveredOnce],
    ['delivered more than once', result.deliveredMore],
    ['lost', result.lost],
    ['dead-lettered', result.deadLettered],
    ['retried', result.retried],
    ['kills', result.kills],
    ['recoveries', result.recoveries],
    ['recovery time, median / max', `${ms(result.recoveryMedianMs)} / ${ms(result.recoveryMaxMs)}`],
    ['torn tails cut off', result.tornTails],
    ['moves completed by recovery', result.movesCompleted],
    ['disk, at the peak / at the end', `${bytes(result.diskPeakBytes)} / ${bytes(result.diskEndBytes)}`],
    ['time', `${(result.durationMs / 1000).toFixed(1)} s`],
    ['seed', result.seed],
    ...kept,
  );
  const verdict =
    result.failures.length === 0
      ? `PASSED: all ${result.acknowledged} acknowledged lines arrived, through ${result.kills} kills.`
      : `FAILED: ${result.failures.join('; ')}.`;
  return `${table.toString()}\n${verdict}`;
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}

function bytes(value: number): string {
  return value < 1024 * 1024 ? `${Math.round(value / 1024)} KiB` : `${(value / 1024 / 1024).toFixed(1)} MiB`;
}

function wholeFrom(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < min) {
      throw new InvalidArgumentError(`It must be a whole number of at least ${min}.`);
    }
    return value;
  };
}
