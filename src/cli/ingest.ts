/**
 * `evaq ingest`: what comes from elsewhere into a queue, with how far that is in the same commit. Killed at any moment it goes on where its records end.
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import { Evaq } from '../evaq.js';
import { parseCount, parseWhole, queueOption } from './arguments.js';
import { say, UsageError } from './exit-code.js';
import { fileSource } from './ingest/file-source.js';
import { kafkaSource } from './ingest/kafka-source.js';
import type { IngestFlags, Source } from './ingest/source.js';
import { SourceIntake } from './ingest/source-intake.js';
import { interruptible } from './interrupt.js';
import { serveMetrics } from './metrics-server.js';
import { formatCount } from './record-format.js';
import { addServiceOptions } from './service-options.js';

/** Of a checkpoint, less room for a partition. */
const SOURCE_BYTES_MAX = 240;

interface Flags extends IngestFlags {
  readonly from?: string;
  readonly queue: string;
  readonly metrics?: number;
  readonly lockTimeout: number;
}

export function ingestCommand(): Command {
  const command = new Command('ingest')
    .argument('<dir>', 'the store')
    .addOption(
      new Option('--from <source>', 'where from: file:PATH, kafka://HOST:PORT/TOPIC (docs/ingest.md)').env('EVAQ_FROM'),
    )
    .addOption(queueOption())
    .option('-f, --follow', 'go on with what comes, until Ctrl-C', false)
    .addOption(
      new Option(
        '--source <name>',
        'the name by which the queue keeps how far it has come; default: what --from says',
      ).argParser(parseSource),
    )
    .option('-0, --null', 'file: lines end with a NUL byte instead of a newline', false)
    .addOption(new Option('--line-bytes <n>', 'file: what a line has at most').argParser(parseCount))
    .addOption(
      new Option('--long <how>', 'what becomes of a longer one: pieces, or nothing')
        .choices(['split', 'skip'])
        .default('split'),
    )
    .addOption(
      new Option('--leave-ms <ms>', 'file: one that was renamed is left when it was not written to for so long')
        .argParser((text: string) => parseWhole(text))
        .default(2000),
    );
  addServiceOptions(command).addHelpText(
    'after',
    '\nExits with 0 when all that was there is durable, or was before.\n\nExamples:\n  evaq ingest ./outbox --from file:/var/log/access.log --follow\n  evaq ingest ./outbox --from kafka://127.0.0.1:9092/orders',
  );
  return command.action((dir: string, flags: Flags) => interruptible((signal) => run(dir, flags, signal)));
}

async function run(dir: string, flags: Flags, signal: AbortSignal): Promise<void> {
  const source = sourceOf(flags);
  await using evaq = await Evaq.open(dir, { lockTimeoutMs: flags.lockTimeout });
  if (evaq.recovery.created) say(`made a new store at ${evaq.path}`);
  const queue = await evaq.queue(flags.queue);
  const server = flags.metrics === undefined ? undefined : await serveMetrics(evaq, flags.metrics);
  const intake = new SourceIntake(queue, say);
  const { recordBytesMax: bytesMax } = queue;
  try {
    await source.run(intake, { bytesMax, storeId: evaq.storeId, queue: queue.name, signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await server?.();
    say(`${formatCount(intake.records, 'record')} of ${source.name} pushed`);
  }
  signal.throwIfAborted();
}

function sourceOf(flags: Flags): Source {
  const source = sourceFrom(flags);
  if (Buffer.byteLength(source.name) > SOURCE_BYTES_MAX) {
    throw new UsageError(`the name of the source has more than ${SOURCE_BYTES_MAX} bytes: give it another by --source`);
  }
  return source;
}

function sourceFrom(flags: Flags): Source {
  const { from } = flags;
  if (from === undefined) throw new UsageError('say where from, by --from, EVAQ_FROM or the file of --config');
  if (from.startsWith('file:')) return fileSource(from.slice('file:'.length), flags);
  const url = URL.canParse(from) ? new URL(from) : undefined;
  if (url?.protocol === 'kafka:') return kafkaSource(url, flags);
  throw new UsageError('--from must be file:PATH or kafka://HOST:PORT/TOPIC');
}

function parseSource(text: string): string {
  if (text === '' || Buffer.byteLength(text) > SOURCE_BYTES_MAX) {
    throw new InvalidArgumentError(`It has 1 to ${SOURCE_BYTES_MAX} bytes.`);
  }
  return text;
}
