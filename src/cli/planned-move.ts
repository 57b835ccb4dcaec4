/** Commands that move or remove many records: they say first what they are about, do it with --yes, and show how far they are. */
import { SingleBar } from 'cli-progress';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseRate } from './arguments.js';
import { say } from './exit-code.js';
import { describeIds } from './id-ranges-text.js';
import { formatCount } from './record-format.js';

export interface PlanFlags {
  readonly yes: boolean;
  readonly dryRun: boolean;
}

export interface MoveFlags extends PlanFlags {
  readonly rate?: number;
  readonly limit?: number;
}

export function addPlan(command: Command): Command {
  return command
    .option('--yes', 'do it', false)
    .option('--dry-run', 'only say what would be done, which is what happens without --yes', false);
}

export function addMove(command: Command): Command {
  return addPlan(command)
    .addOption(new Option('--rate <n>', 'so many a second').argParser(parseRate))
    .addOption(new Option('--limit <n>', 'so many at most').argParser(parseLimit));
}

function parseLimit(text: string): number {
  const limit = Number(text);
  if (!/^\d+$/.test(text) || limit < 1) throw new InvalidArgumentError('It must be at least 1.');
  return limit;
}

/** Whether to go on. If not it has been said what would be done. */
export function isMeant({ yes, dryRun }: PlanFlags, what: string, queue: string, ids: readonly number[]): boolean {
  if (yes && !dryRun) return true;
  say(
    `would ${what} ${formatCount(ids.length, 'record')} of ${queue}${ids.length === 0 ? '' : `: ${describeIds(ids)}`}`,
  );
  return false;
}

/** To be said once, when all plans are told. */
export function sayNothingChanged(): void {
  say('nothing was changed; --yes does it');
}

/** On a terminal alone. */
export class MoveBar {
  readonly #bar = process.stderr.isTTY
    ? new SingleBar({
        format: '[{bar}] {value} of {total} | {eta_formatted} left',
        stream: process.stderr,
        clearOnComplete: true,
        hideCursor: true,
      })
    : undefined;

  constructor(total: number) {
    this.#bar?.start(total, 0);
  }

  show(done: number): void {
    this.#bar?.update(done);
  }

  stop(): void {
    this.#bar?.stop();
  }
}
