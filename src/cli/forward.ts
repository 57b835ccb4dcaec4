/**
 * `evaq forward`: the records of a queue to a destination. Opens the store for writing, since what has arrived is removed.
 */
import { once } from 'node:events';
import { Command, InvalidArgumentError, Option } from 'commander';
import { Evaq, type EvaqOptions, type Queue, type QueueRecord, StopDelivery } from '../evaq.js';
import { type Forwarding, type ForwardOptions, forward } from '../forward.js';
import { ReadOnlyEvaq } from '../raw.js';
import { parseCount, parseRate, queueOption } from './arguments.js';
import { queueToRead } from './damage-told.js';
import type { OpenDestination } from './destinations/destination.js';
import { openDestination, withoutSecrets } from './destinations.js';
import { EXIT_SOME_FAILED, Refused, say, UsageError } from './exit-code.js';
import { interruptible } from './interrupt.js';
import { serveMetrics } from './metrics-server.js';
import { formatCount } from './record-format.js';
import { addServiceOptions } from './service-options.js';
import { watchBreaker } from './watch-breaker.js';

/** How long the client of a destination may take to let go. */
const CLOSE_MS = 5000;
const EXIT_MS = 500;

interface ForwardFlags {
  readonly to?: string;
  readonly queue: string;
  readonly key?: string;
  readonly order?: 'fifo' | 'key';
  readonly follow: boolean;
  readonly rate?: number;
  readonly batch?: number;
  readonly concurrency?: number;
  readonly attempts?: number;
  readonly format: 'raw' | 'ndjson';
  readonly header: readonly (readonly [string, string])[];
  readonly dryRun: boolean;
  readonly metrics?: number;
  readonly lockTimeout: number;
}

export function forwardCommand(): Command {
  const command = new Command('forward')
    .argument('<dir>', 'the store')
    .addOption(
      new Option('--to <url>', 'where to: http, kafka, amqp, nats, redis, mqtt, s3, postgres (docs/forwarding.md)').env(
        'EVAQ_TO',
      ),
    )
    .addOption(queueOption())
    .addOption(new Option('--key <header:name>', 'a record’s key is this header of it').argParser(parseKey))
    .addOption(new Option('--order <order>', 'one at a time: of all, or of each key').choices(['fifo', 'key']))
    .option('-f, --follow', 'go on with what comes, until Ctrl-C', false)
    .addOption(
      new Option('--rate <n>', 'records a second, at most; 0.5: one in two').argParser(parseRate).env('EVAQ_RATE'),
    )
    .addOption(new Option('--batch <n>', 'records of a batch, at most').argParser(parseCount))
    .addOption(new Option('--concurrency <n>', 'batches at a time').argParser(parseCount))
    .addOption(new Option('--attempts <n>', 'tries of a record before it is a dead letter').argParser(parseCount))
    .addOption(
      new Option('--format <format>', 'HTTP: a request a record, or a batch').choices(['raw', 'ndjson']).default('raw'),
    )
    .addOption(
      new Option('-H, --header <line>', 'HTTP: sent with each request, as "name: value"; may be repeated')
        .argParser(parseHeader)
        .default([]),
    )
    .option('-n, --dry-run', 'say what would be sent, and send nothing', false);
  addServiceOptions(command).addHelpText(
    'after',
    '\nExits with 0 when all that was there at the start has arrived, with 7 if some of it became a dead letter.\n\nExamples:\n  evaq forward ./outbox --to http://127.0.0.1:8080/orders --format ndjson\n  evaq forward ./outbox --to https://example.com/in -H "authorization: Bearer abc" --follow --rate 200',
  );
  return command.action((dir: string, flags: ForwardFlags) => interruptible((signal) => run(dir, flags, signal)));
}

async function run(dir: string, flags: ForwardFlags, signal: AbortSignal): Promise<void> {
  if (flags.to === undefined) throw new UsageError('say where to, by --to, EVAQ_TO or the file of --config');
  if (flags.order === 'key' && flags.key === undefined) throw new UsageError('--order key needs --key');
  const destination = await openDestination(flags.to, {
    format: flags.format,
    headers: Object.fromEntries(flags.header),
    follow: flags.follow,
  });
  try {
    if (flags.dryRun) await tell(dir, flags, destination);
    else await send(dir, flags, destination, signal);
  } finally {
    await letGo(destination);
  }
}

/** A client that cannot be let go, for the other side hangs, does not hold the program up. */
async function letGo({ close }: OpenDestination): Promise<void> {
  const closed = close().catch(() => undefined);
  const signal = AbortSignal.timeout(CLOSE_MS);
  const late = once(signal, 'abort').then(() => {
    // Its connections would: by then everything has been said.
    setTimeout(() => process.exit(), EXIT_MS).unref();
  });
  await Promise.race([closed, late]);
}

/** Reads alone. */
async function tell(dir: string, { queue: name, to }: ForwardFlags, { sink }: OpenDestination): Promise<void> {
  await using store = await ReadOnlyEvaq.open(dir);
  const queue = await queueToRead(store, name);
  const { recordBytesMax = Infinity } = sink.limits ?? {};
  let bytes = 0;
  let records = 0;
  let tooLarge = 0;
  for await (const { payload } of queue.records()) {
    records++;
    bytes += payload.length;
    if (payload.length > recordBytesMax) tooLarge++;
  }
  say(`would send ${formatCount(records, 'record')}, ${bytes} bytes, of queue '${name}' to ${withoutSecrets(to)}`);
  if (tooLarge > 0) say(`of these ${formatCount(tooLarge, 'record')} too large for it would become dead letters`);
}

async function send(
  dir: string,
  flags: ForwardFlags,
  destination: OpenDestination,
  signal: AbortSignal,
): Promise<void> {
  await requireQueue(dir, flags.queue);
  const options: EvaqOptions = { create: false, lockTimeoutMs: flags.lockTimeout };
  await using evaq = await Evaq.open(dir, options);
  const queue = await evaq.queue(flags.queue);
  const unwatch = watchBreaker(evaq.storeId, withoutSecrets(flags.to));
  const server = flags.metrics === undefined ? undefined : await serveMetrics(evaq, flags.metrics);
  try {
    await sendFrom(queue, destination, flags, signal);
  } finally {
    unwatch();
    await server?.();
  }
}

async function sendFrom(
  queue: Queue,
  destination: OpenDestination,
  flags: ForwardFlags,
  signal: AbortSignal,
): Promise<void> {
  const forwarding = forward(queue, destination.sink, optionsOf(flags, destination));
  const stop = (): void => void forwarding.stop();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    await (flags.follow ? forwarding.done : drained(forwarding));
  } catch (error) {
    if (!signal.aborted && !(error instanceof StopDelivery)) throw error;
    if (error instanceof StopDelivery) {
      throw new Refused(
        `${withoutSecrets(flags.to)} lets nobody in: ${error.reason}. What it has not taken is in the queue still`,
      );
    }
  } finally {
    signal.removeEventListener('abort', stop);
    await forwarding.stop();
    const { delivered, deadLettered, dropped } = await forwarding.stats();
    const dead = deadLettered === 0 ? '' : `, ${formatCount(deadLettered, 'dead letter')}`;
    say(`${formatCount(delivered, 'record')} arrived${dead}${dropped === 0 ? '' : `, ${dropped} dropped`}`);
    if (deadLettered > 0 && !flags.follow) process.exitCode = EXIT_SOME_FAILED;
  }
  signal.throwIfAborted();
}

/** What was there at the start has gone; or the forwarding has failed. */
async function drained(forwarding: Forwarding): Promise<void> {
  const failed = forwarding.done.then(() => undefined);
  await Promise.race([forwarding.drained(), failed]);
}

function optionsOf(flags: ForwardFlags, { batch: best, timeoutMs }: OpenDestination): ForwardOptions {
  const { key: name, order, rate, batch, concurrency, attempts } = flags;
  const key = name === undefined ? undefined : ({ headers }: QueueRecord): string | undefined => headers?.[name];
  return {
    ...(key === undefined ? {} : { key }),
    ...(order === undefined ? {} : { order: order === 'key' && key !== undefined ? key : 'fifo' }),
    ...(rate === undefined ? {} : { rate: rateOf(rate) }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    batch: batch === undefined ? { ...best } : { ...best, maxRecords: batch },
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(attempts === undefined ? {} : { retry: { maxAttempts: attempts } }),
  };
}

/** A bound counts whole records: of what is less than one a second, one in a longer time. */
export function rateOf(perSecond: number): { readonly limit: number; readonly perMs: number } {
  const limit = Math.max(1, Math.floor(perSecond));
  return { limit, perMs: Math.max(1, Math.round((limit * 1000) / perSecond)) };
}

/** Opening a queue for writing would make it. */
async function requireQueue(dir: string, name: string): Promise<void> {
  await using store = await ReadOnlyEvaq.open(dir);
  await store.queue(name);
}

function parseKey(text: string): string {
  const name = /^header:(.+)$/.exec(text)?.[1];
  if (name === undefined) throw new InvalidArgumentError('A key is header:NAME.');
  return name;
}

function parseHeader(text: string, before: readonly (readonly [string, string])[]): (readonly [string, string])[] {
  const [, name, value] = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([\t\x20-\x7e]*)$/.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new InvalidArgumentError('A header is "name: value".');
  return [...before, [name.toLowerCase(), value]];
}
