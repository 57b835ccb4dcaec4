/**
 * `evaq replay`: the records of a queue again, to a destination, another store, a command or standard output; at a pace, with retries, and from where an
 * interrupted one stopped. Takes no lock and writes nothing to the store, but with `--remove`.
 */
import { existsSync, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { STORE_FILE } from '../layout/store-file.js';
import { storePathOf } from '../layout/store-path.js';
import { ReadOnlyEvaq } from '../raw.js';
import { parseCount, parseRate, queueOption } from './arguments.js';
import { queueToRead } from './damage-told.js';
import { openExisting } from './existing-store.js';
import { UsageError } from './exit-code.js';
import { interruptible } from './interrupt.js';
import { addOutput, type OutputFlags } from './records/record-printer.js';
import { readCheckpoint } from './replay/replay-checkpoint.js';
import { ReplayProgress } from './replay/replay-progress.js';
import { ReplayRun } from './replay/replay-run.js';
import { keptSelection, requireSame, selectionGiven } from './replay/replay-selection.js';
import {
  execTarget,
  placeOf,
  type ReplayTarget,
  sinkTarget,
  stdoutTarget,
  storeTarget,
} from './replay/replay-target.js';
import { type Position, parsePosition } from './selection/position.js';
import { type Selection, type SelectionFlags, selectionOf } from './selection/selection.js';
import { addSelection } from './selection/selection-options.js';

interface ReplayFlags extends Omit<SelectionFlags, 'to'>, OutputFlags {
  readonly queue: string;
  readonly to?: ReplayTo;
  readonly exec?: string;
  readonly rate?: number;
  readonly speed?: number | 'max';
  readonly concurrency: number;
  readonly retry: number;
  readonly checkpoint?: string;
  readonly remove: boolean;
}

/** `--to` says where to, or up to which record: a position is no URL, and a folder of such a name is `./17`. */
interface ReplayTo {
  readonly target?: string;
  readonly position?: Position;
}

export function replayCommand(): Command {
  const command = new Command('replay')
    .argument('<dir>', 'the store')
    .addOption(queueOption())
    .option('--exec <command>', 'run it for each record, which is its standard input')
    .addOption(new Option('--rate <n>', 'records a second, at most; 0.5: one in two seconds').argParser(parseRate))
    .addOption(
      new Option('--speed <times>', 'as they were pushed: 1x, 10x; max: without waiting').argParser(parseSpeed),
    )
    .addOption(new Option('--concurrency <n>', 'records at a time').argParser(parseCount).default(1))
    .addOption(new Option('--retry <n>', 'tries of a record').argParser(parseCount).default(8))
    .option('--checkpoint <file>', 'keep there how far it has come, and go on from there')
    .option('--remove', 'remove what was delivered; opens the store for writing', false);
  const to = new Option(
    '--to <where>',
    'http://… (POST, Idempotency-Key), or another store; or the last record',
  ).argParser(parseTo);
  addOutput(addSelection(command, { to }));
  const given = selectionGiven(command);
  return command
    .addHelpText(
      'after',
      '\nExits with 7 if some failed, and says which. Ctrl-C ends it when what is under way has arrived.\n\nExamples:\n  evaq replay ./orders --to http://127.0.0.1:8080/orders --since 2h --rate 200 --checkpoint ./replay.json\n  evaq replay ./orders -g failed --exec "curl -sf --data-binary @- https://example.com/in"',
    )
    .action((dir: string, flags: ReplayFlags) => interruptible((signal) => replay(dir, flags, given(), signal)));
}

function parseTo(text: string, given: ReplayTo | undefined): ReplayTo {
  const before = given ?? {};
  if (text === '') throw new InvalidArgumentError('It is empty.');
  const position = parsePosition(text, Date.now());
  if ((position === undefined ? before.target : before.position) !== undefined)
    throw new InvalidArgumentError('It is given twice.');
  return position === undefined ? { ...before, target: text } : { ...before, position };
}

function parseSpeed(text: string): number | 'max' {
  if (text === 'max') return 'max';
  const speed = Number(/^(\d+(?:\.\d+)?)x?$/.exec(text)?.[1]);
  if (!(speed > 0)) throw new InvalidArgumentError('A speed is 1x, 10x, 0.5x, or max.');
  return speed;
}

async function replay(dir: string, flags: ReplayFlags, given: readonly string[], signal: AbortSignal): Promise<void> {
  const { to, exec, checkpoint: path, remove, rate, speed, concurrency, retry } = flags;
  if (to?.target !== undefined && exec !== undefined) throw new UsageError('--to and --exec exclude each other');
  if (to?.target !== undefined || exec !== undefined) requireNoOutput(flags);
  await using store = await ReadOnlyEvaq.open(dir);
  const queue = await queueToRead(store, flags.queue);
  const where = whereTo(flags);
  const before = path === undefined ? undefined : readCheckpoint(path, store.uuid, queue.name, where);
  if (path !== undefined && before !== undefined) requireSame(path, before, given);
  const selection = selectionIn(flags);
  const kept = before?.selection ?? (await keptSelection(queue, selection, given));
  requireTarget(store.path, flags);
  await using writer = remove ? await openExisting(dir) : undefined;
  const removing = writer === undefined ? undefined : await writer.queue(queue.name);
  const progress = new ReplayProgress({
    store: store.uuid,
    queue: queue.name,
    to: where,
    selection: kept,
    before,
    path,
    remove: removing && ((ids) => removing.removeMany(ids)),
  });
  const target = await openTarget(flags);
  const run = new ReplayRun({
    store: store.uuid,
    queue,
    selection,
    kept,
    progress,
    pace: { rate, speed: speed === 'max' ? undefined : speed },
    concurrency,
    attempts: retry,
    hasCheckpoint: path !== undefined,
  });
  try {
    await run.go(target, signal);
  } finally {
    try {
      await run.end();
    } finally {
      await target.close();
      run.tell(target.name, signal.aborted);
    }
  }
  signal.throwIfAborted();
}

/** What a checkpoint is of. What is run may be mended in between: that it is run is what counts. Without what is secret. */
function whereTo({ exec, to }: ReplayFlags): string {
  if (exec !== undefined) return '--exec';
  if (to?.target === undefined) return 'standard output';
  return isUrl(to.target) ? (placeOf(to.target) ?? to.target) : storePathOf(to.target);
}

function selectionIn({ to, ...rest }: ReplayFlags): Selection {
  return selectionOf(to?.position === undefined ? rest : { ...rest, to: to.position });
}

/** @throws UsageError where it is said how records are printed, and none is: they are sent as they are */
function requireNoOutput({ output, json, format, null: isNull }: OutputFlags): void {
  if (output !== undefined || json === true || format !== undefined || isNull === true)
    throw new UsageError(
      '-o, --json, --format and --null are about standard output: with --to and --exec the payload is sent',
    );
}

/** @throws UsageError for what can only be a slip: it would make a store, or never end */
function requireTarget(from: string, { to }: ReplayFlags): void {
  const target = to?.target;
  if (target === undefined || isUrl(target)) return;
  const path = storePathOf(target);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (target.startsWith('@') && stat === undefined) throw new UsageError(`--to: ${target} is no time, and no store`);
  if (stat?.isFile() === true) throw new UsageError(`--to: ${target} is a file`);
  const own = statSync(from);
  if (stat !== undefined && stat.ino === own.ino && stat.dev === own.dev) {
    throw new UsageError(`--to: ${target} is the store that is replayed`);
  }
  const isPath = isAbsolute(target) || /^(?:\.{1,2}(?:[/\\]|$)|file:)/.test(target);
  if (!isPath && !existsSync(join(path, STORE_FILE))) {
    throw new UsageError(`--to: there is no store ${target}; to make it: ./${target}. A URL begins with its scheme`);
  }
}

function isUrl(to: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(to) && !to.startsWith('file:');
}

function openTarget(flags: ReplayFlags): Promise<ReplayTarget> {
  const { exec } = flags;
  const to = flags.to?.target;
  if (exec !== undefined) return Promise.resolve(execTarget(exec));
  if (to === undefined) return Promise.resolve(stdoutTarget(flags));
  return isUrl(to) ? sinkTarget(to, {}) : storeTarget(to);
}
