/** Commands that move or remove many records: they say first what they are about, do it with --yes, and show how far they are. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseRate } from './arguments.js';
import { say } from './exit-code.js';
import { IdTally } from './id-ranges-text.js';
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
    .addOption(new Option('--rate <n>', 'so many a second; 0.5: one in two seconds').argParser(parseRate))
    .addOption(new Option('--limit <n>', 'so many at most').argParser(parseLimit));
}

function parseLimit(text: string): number {
  const limit = Number(text);
  if (!/^\d+$/.test(text) || limit < 1) throw new InvalidArgumentError('It must be at least 1.');
  return limit;
}

/** It is to be done, and not only said. */
export function isMeant({ yes, dryRun }: PlanFlags): boolean {
  return yes && !dryRun;
}

/** The first `limit` of them. */
export async function tallyOf(ids: AsyncIterable<number>, limit: number = Infinity): Promise<IdTally> {
  const tally = new IdTally();
  if (limit <= 0) return tally;
  for await (const id of ids) {
    tally.add(id);
    if (tally.count >= limit) break;
  }
  return tally;
}

/** What would be done with them. */
export function sayPlan(what: string, queue: string, tally: IdTally): void {
  const which = tally.count === 0 ? '' : `: ${tally.describe()}`;
  say(`would ${what} ${formatCount(tally.count, 'record')} of ${queue}${which}`);
}

/** To be said once, when all plans are told. */
export function sayNothingChanged(): void {
  say('nothing was changed; --yes does it');
}

/** What an interruption has left: how far it was, and where. */
export function sayStopped(done: number, what: string, lastId: number | undefined): void {
  const place = lastId === undefined ? '' : ` behind ID ${lastId}`;
  say(`stopped${place}: ${formatCount(done, 'record')} ${what}`);
}
