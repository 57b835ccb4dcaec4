/** `evaq info`: stores, each on one screen. Takes no lock, writes nothing. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { EXIT_CORRUPT, exitCodeOf, printError } from './exit-code.js';
import { expandGlobs } from './globs.js';
import { renderInfo } from './info/info-view.js';
import { gatherStore, type StoreInfo } from './info/store-info.js';
import { interruptible } from './interrupt.js';
import { Output } from './output.js';

interface InfoFlags {
  readonly json: boolean;
  readonly watch?: number | true;
}

const WATCH_SECONDS = 2;

export function infoCommand(): Command {
  return new Command('info')
    .argument('<dir...>', 'the stores; a pattern in quotes is expanded')
    .addOption(
      new Option('--watch [seconds]', 'look again, every 2 seconds if not told otherwise').argParser(parseSeconds),
    )
    .option('--json', 'as JSON; of several stores as a list', false)
    .addHelpText(
      'after',
      "\nExit codes: 0 nothing is wrong, 3 damage was found, 1 there is no store.\n\nExamples:\n  evaq info ./orders './tenants/*'\n  evaq info ./orders --watch 5",
    )
    .action((dirs: string[], flags: InfoFlags) => interruptible((signal) => show(expandGlobs(dirs), flags, signal)));
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds < 1e6)) throw new InvalidArgumentError('It must be a number of seconds.');
  return seconds;
}

async function show(dirs: readonly string[], { json, watch }: InfoFlags, signal: AbortSignal): Promise<void> {
  const out = new Output();
  let before: Look | undefined;
  for (let first = true; ; first = false) {
    const look = await lookAt(dirs);
    signal.throwIfAborted();
    if (!first && !json) await out.write(Buffer.from(process.stdout.isTTY ? '\u001b[H\u001b[2J' : '\n'));
    await out.line(json ? toJson(look, dirs.length > 1) : render(look, before));
    await out.flush();
    if (watch === undefined) return;
    before = look;
    const ms = 1000 * (watch === true ? WATCH_SECONDS : watch);
    await sleep(ms, undefined, { signal }).catch(() => undefined);
    signal.throwIfAborted();
  }
}

interface Look {
  readonly atMs: number;
  readonly infos: readonly StoreInfo[];
}

/** What is wrong with one store is told, and the others are looked at all the same. */
async function lookAt(dirs: readonly string[]): Promise<Look> {
  const infos: StoreInfo[] = [];
  for (const dir of dirs) {
    try {
      const info = await gatherStore(dir);
      infos.push(info);
      const isDamaged = info.state.kind === 'broken' || info.queues.some(({ damage }) => damage.length > 0);
      if (isDamaged) process.exitCode = EXIT_CORRUPT;
    } catch (error) {
      if (dirs.length === 1) throw error;
      printError(error);
      process.exitCode ??= exitCodeOf(error);
    }
  }
  return { atMs: Date.now(), infos };
}

function toJson({ infos }: Look, isList: boolean): string {
  return JSON.stringify(isList ? infos : infos[0], null, 2);
}

function render({ atMs, infos }: Look, before: Look | undefined): string {
  return infos
    .map((info) => {
      const earlier = before?.infos.find(({ path }) => path === info.path);
      return renderInfo(
        info,
        atMs,
        earlier === undefined ? undefined : ratesBetween(earlier, info, atMs - (before?.atMs ?? 0)),
      );
    })
    .join('\n\n');
}

/** By what was given out in the time between two looks. */
function ratesBetween(earlier: StoreInfo, later: StoreInfo, ms: number): Map<string, number> {
  const rates = new Map<string, number>();
  for (const { queue, nextId } of later.queues) {
    const known = earlier.queues.find((one) => one.queue === queue);
    if (known !== undefined && ms > 0) rates.set(queue, (1000 * (nextId - known.nextId)) / ms);
  }
  return rates;
}
