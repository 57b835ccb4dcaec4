/**
 * `evaq replay`: the records of a queue again, to a destination, another store, a command or standard output; at a pace, with retries, and from where an
 * interrupted one stopped. Takes no lock and writes nothing to the store, but with `--remove`.
 */
import { statSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { deliveryIdOf } from '../delivery/delivery-context.js';
import { Evaq } from '../evaq.js';
import type { QueueRecord } from '../log/queue-record.js';
import { ReadOnlyEvaq, type ReadOnlyQueue } from '../raw.js';
import { parseCount, queueOption } from './arguments.js';
import { EXIT_SOME_FAILED, Refused, say, UsageError } from './exit-code.js';
import { describeIds } from './id-ranges-text.js';
import { interruptible } from './interrupt.js';
import { Meter } from './meter.js';
import { formatCount } from './record-format.js';
import { addOutput, type OutputFlags } from './records/record-printer.js';
import { type FailedRecord, readCheckpoint, writeCheckpoint } from './replay/replay-checkpoint.js';
import { ReplayClock } from './replay/replay-clock.js';
import {
  execTarget,
  isUnauthorized,
  type ReplayTarget,
  sinkTarget,
  stdoutTarget,
  storeTarget,
} from './replay/replay-target.js';
import { ReplayWindow } from './replay/replay-window.js';
import { Replayer } from './replay/replayer.js';
import { type Position, parsePosition } from './selection/position.js';
import { selectedRecords } from './selection/selected-records.js';
import { isSelective, type Selection, type SelectionFlags, selectionOf } from './selection/selection.js';
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

const SAVE_EVERY_MS = 1000;

export function replayCommand(): Command {
  const command = new Command('replay')
    .description('send records again: to a URL, another store, a command, or standard output')
    .argument('<dir>', 'the store')
    .addOption(queueOption())
    .option('--exec <command>', 'run it for each record, which is its standard input')
    .addOption(new Option('--rate <n>', 'records a second, at most').argParser(parseCount))
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
  return addOutput(addSelection(command, { to }))
    .addHelpText(
      'after',
      '\nExits with 7 if some failed, and says which. Ctrl-C ends it when what is under way has arrived.\n\nExamples:\n  evaq replay ./orders --to http://127.0.0.1:8080/orders --since 2h --rate 200 --checkpoint ./replay.json\n  evaq replay ./orders -g failed --exec "curl -sf --data-binary @- https://example.com/in"',
    )
    .action((dir: string, flags: ReplayFlags) => interruptible((signal) => replay(dir, flags, signal)));
}

function parseTo(text: string, before: ReplayTo = {}): ReplayTo {
  const position = parsePosition(text, Date.now());
  return position === undefined ? { ...before, target: text } : { ...before, position };
}

function parseSpeed(text: string): number | 'max' {
  if (text === 'max') return 'max';
  const speed = Number(/^(\d+(?:\.\d+)?)x?$/.exec(text)?.[1]);
  if (!(speed > 0)) throw new InvalidArgumentError('A speed is 1x, 10x, 0.5x, or max.');
  return speed;
}

async function replay(dir: string, flags: ReplayFlags, signal: AbortSignal): Promise<void> {
  const { to, exec, checkpoint, remove } = flags;
  if (to?.target !== undefined && exec !== undefined) throw new UsageError('--to and --exec exclude each other');
  await using store = await ReadOnlyEvaq.open(dir);
  const queue = await store.queue(flags.queue);
  const before = checkpoint === undefined ? undefined : readCheckpoint(checkpoint, store.uuid, queue.name);
  await using writer = remove ? await Evaq.open(dir, { create: false }) : undefined;
  const target = await openTarget(flags);
  const run = new Run(flags, store.uuid, queue, before, writer);
  try {
    await run.go(target, signal);
  } finally {
    await run.end();
    await target.close();
    run.tell(target.name, signal.aborted);
  }
  signal.throwIfAborted();
}

function openTarget(flags: ReplayFlags): Promise<ReplayTarget> {
  const { exec } = flags;
  const to = flags.to?.target;
  if (exec !== undefined) return Promise.resolve(execTarget(exec));
  if (to === undefined) return Promise.resolve(stdoutTarget(flags));
  const isUrl = /^[a-z][a-z0-9+.-]*:\/\//i.test(to) && !to.startsWith('file:');
  if (isUrl) return sinkTarget(to, {});
  if (statSync(to, { throwIfNoEntry: false })?.isFile() === true) throw new UsageError(`--to: ${to} is a file`);
  return storeTarget(to);
}

/** One replay of a queue. */
class Run {
  readonly #flags: ReplayFlags;
  readonly #store: string;
  readonly #queue: ReadOnlyQueue;
  readonly #writer: Evaq | undefined;
  readonly #window: ReplayWindow;
  readonly #done: ReadonlySet<number>;
  readonly #through: number;
  /** Of the run before: to be tried again. */
  readonly #owed: readonly number[];
  readonly #failed = new Map<number, FailedRecord>();
  readonly #toRemove: number[] = [];
  #delivered = 0;
  readonly #deliveredBefore: number;
  #savedMs: number = performance.now();
  #meter: Meter | undefined;
  #removing: Promise<unknown> = Promise.resolve();

  constructor(
    flags: ReplayFlags,
    store: string,
    queue: ReadOnlyQueue,
    before: ReturnType<typeof readCheckpoint>,
    writer: Evaq | undefined,
  ) {
    this.#flags = flags;
    this.#store = store;
    this.#queue = queue;
    this.#writer = writer;
    const { through = 0, beyond = [], failed = [], delivered = 0 } = before ?? {};
    this.#through = through;
    this.#done = new Set(beyond);
    this.#window = new ReplayWindow(through);
    // What the run before has settled beyond is settled for this one, too, as soon as it comes by.
    this.#owed = failed.map(({ id }) => id);
    for (const one of failed) this.#failed.set(one.id, one);
    this.#deliveredBefore = delivered;
  }

  async go(target: ReplayTarget, signal: AbortSignal): Promise<void> {
    const { rate, speed, concurrency, retry } = this.#flags;
    const { to, ...rest } = this.#flags;
    const selection = selectionOf(to?.position === undefined ? rest : { ...rest, to: to.position });
    const isPlain =
      !isSelective(selection) &&
      selection.count === Infinity &&
      this.#flags.from === undefined &&
      to?.position === undefined;
    this.#meter = new Meter('replayed', isPlain ? (await this.#queue.stats()).live : undefined);
    const clock = new ReplayClock({ rate, speed: speed === 'max' ? undefined : speed });
    const replayer = new Replayer({
      target,
      queue: this.#queue.name,
      deliveryId: (record) => deliveryIdOf({ storeId: this.#store, queue: this.#queue.name }, { record }),
      clock,
      concurrency,
      attempts: retry,
      window: this.#window,
      onSettled: (record, failed) => this.#settle(record, failed),
      signal,
    });
    try {
      for await (const { record, isOwed } of this.#records(selection)) {
        if (this.#done.has(record.id) && !isOwed) {
          this.#window.begin(record.id);
          this.#window.settle(record.id);
          continue;
        }
        await replayer.take(record);
        if (!replayer.goesOn) break;
      }
    } finally {
      await replayer.finish().catch((error: unknown) => {
        if (!isUnauthorized(error)) throw error;
        throw new Refused(`${target.name} lets nobody in: ${error.message}`);
      });
    }
  }

  /** Those that failed before, and then those behind what is settled. */
  async *#records(
    selection: Selection,
  ): AsyncGenerator<{ readonly record: QueueRecord; readonly isOwed: boolean }, void, undefined> {
    for (const id of this.#owed) {
      const record = await this.#queue.get(id);
      if (record !== undefined) yield { record, isOwed: true };
      else this.#failed.delete(id);
    }
    for await (const record of selectedRecords(this.#queue, behind(selection, this.#through))) {
      if (record.id > this.#through) yield { record, isOwed: false };
    }
  }

  #settle({ id }: QueueRecord, failed: FailedRecord | undefined): void {
    if (failed === undefined) {
      this.#failed.delete(id);
      this.#delivered++;
      if (this.#writer !== undefined) this.#toRemove.push(id);
    } else {
      this.#failed.set(id, failed);
    }
    this.#meter?.add(1);
    const nowMs = performance.now();
    if (nowMs - this.#savedMs < SAVE_EVERY_MS) return;
    this.#savedMs = nowMs;
    this.#save();
  }

  /** What is delivered is removed, and then it is said how far it has come. */
  #save(): void {
    const ids = this.#toRemove.splice(0);
    const writer = this.#writer;
    if (ids.length > 0 && writer !== undefined) {
      this.#removing = this.#removing.then(async () => (await writer.queue(this.#queue.name)).removeMany(ids));
      // It is waited for at the end.
      this.#removing.catch(() => undefined);
    }
    const { checkpoint } = this.#flags;
    if (checkpoint === undefined) return;
    const { through, beyond } = this.#window;
    const settled = [...beyond, ...[...this.#done].filter((id) => id > through)];
    writeCheckpoint(checkpoint, {
      v: 1,
      store: this.#store,
      queue: this.#queue.name,
      through,
      beyond: [...new Set(settled)].sort((a, b) => a - b),
      failed: [...this.#failed.values()],
      delivered: this.#deliveredBefore + this.#delivered,
    });
  }

  async end(): Promise<void> {
    this.#meter?.end();
    this.#save();
    await this.#removing;
  }

  tell(target: string, isInterrupted: boolean): void {
    const before = this.#deliveredBefore === 0 ? '' : `, ${this.#deliveredBefore} before`;
    say(`replayed ${formatCount(this.#delivered, 'record')} to ${target}${before}`);
    if (isInterrupted) {
      const again = this.#flags.checkpoint === undefined ? '' : '; the same command goes on from there';
      say(`stopped behind ID ${this.#window.through}${again}`);
    }
    const failed = [...this.#failed.values()];
    const [first] = failed;
    if (first === undefined) return;
    const ids = describeIds(failed.map(({ id }) => id).sort((a, b) => a - b));
    say(`${formatCount(failed.length, 'record')} failed: ${ids} (${first.error})`);
    process.exitCode = EXIT_SOME_FAILED;
  }
}

/** The same selection, without what would be read only to be passed over. */
function behind(selection: Selection, through: number): Selection {
  const { from, count } = selection;
  if (count !== Infinity || from.kind === 'from-end') return selection;
  const id = Math.max(through + 1, from.kind === 'id' ? from.id : 0);
  return { ...selection, from: { kind: 'id', id } };
}
