/** `evaq cat`: the records of a queue, or of segment files by themselves, to standard output. Takes no lock, writes nothing. */
import { statSync } from 'node:fs';
import { Command, Option } from 'commander';
import type { QueueRecord } from '../log/queue-record.js';
import { EvaqError, RawSegment, ReadOnlyEvaq } from '../raw.js';
import { parseCount, parseId, queueOption } from './arguments.js';
import { EXIT_CORRUPT, say, UsageError } from './exit-code.js';
import { Output } from './output.js';
import { formatCount, NEWLINE, NUL, recordToJson } from './record-format.js';

interface CatFlags {
  readonly queue: string;
  readonly from?: number;
  readonly to?: number;
  readonly count?: number;
  readonly null: boolean;
  readonly json: boolean;
  readonly skipDamaged: boolean;
}

export function catCommand(): Command {
  return new Command('cat')
    .description('print records: the live ones of a queue, or all that a segment file holds')
    .argument('<path...>', 'stores, or segment files (*.seg)')
    .addOption(queueOption())
    .addOption(new Option('--from <id>', 'the lowest ID').argParser(parseId))
    .addOption(new Option('--to <id>', 'the highest ID').argParser(parseId))
    .addOption(new Option('-n, --count <n>', 'at most so many records').argParser(parseCount))
    .option('-0, --null', 'a NUL byte behind each record instead of a newline', false)
    .option('--json', 'a line of JSON for each record, with its ID, time and headers', false)
    .option('--skip-damaged', 'go on behind records that are damaged; exits with 3 all the same', false)
    .action(async (paths: string[], flags: CatFlags) => {
      if (flags.json && flags.null) throw new UsageError('--json has lines of its own: leave out --null');
      const printer = new Printer(flags);
      try {
        for (const path of paths) {
          if (printer.isDone) break;
          if (isFile(path)) await catSegment(path, flags, printer);
          else await catStore(path, flags, printer);
        }
      } finally {
        await printer.flush();
      }
      if (printer.damaged > 0) {
        say(`passed over ${formatCount(printer.damaged, 'damaged place')}; evaq verify tells more`);
        process.exitCode = EXIT_CORRUPT;
      }
    });
}

class Printer {
  readonly #out = new Output();
  readonly #json: boolean;
  readonly #separator: Buffer;
  #left: number;
  damaged = 0;

  constructor(flags: CatFlags) {
    this.#json = flags.json;
    this.#separator = flags.null ? NUL : NEWLINE;
    this.#left = flags.count ?? Infinity;
  }

  get isDone(): boolean {
    return this.#left <= 0;
  }

  /** To be awaited where it returns something. */
  print(record: QueueRecord, offset?: number): Promise<void> | undefined {
    this.#left--;
    return this.#json ? this.#out.line(recordToJson(record, offset)) : this.#out.write(record.payload, this.#separator);
  }

  flush(): Promise<void> {
    return this.#out.flush();
  }
}

async function catStore(path: string, flags: CatFlags, printer: Printer): Promise<void> {
  await using store = await ReadOnlyEvaq.open(path, { onCorruption: flags.skipDamaged ? 'quarantine' : 'fail' });
  const queue = await store.queue(flags.queue);
  const { from = 0, to = Number.MAX_SAFE_INTEGER } = flags;
  for await (const record of queue.records({ from, to })) {
    await printer.print(record);
    if (printer.isDone) break;
  }
  if (flags.skipDamaged) printer.damaged += (await queue.stats()).damage.filter(({ lossless }) => !lossless).length;
}

async function catSegment(path: string, flags: CatFlags, printer: Printer): Promise<void> {
  await using segment = await RawSegment.open(path);
  const { from = 0, to = Number.MAX_SAFE_INTEGER } = flags;
  // Behind the last good commit of an unsealed file there may be a torn tail, or leftovers: only a good one after a bad one makes it damage.
  let bad: EvaqError | undefined;
  for await (const entry of segment.records()) {
    if (!entry.valid) {
      const { offset, bytes } = entry.damage;
      bad ??= new EvaqError(
        'EVAQ_CORRUPT',
        `${segment.path} is damaged at offset ${offset}, ${formatCount(bytes, 'byte')}`,
        {
          details: { path: segment.path, offset, bytes },
          hint: 'Use --skip-damaged to go on behind it.',
        },
      );
      if (segment.footer === undefined) continue;
    }
    if (bad !== undefined) {
      if (!flags.skipDamaged) throw bad;
      printer.damaged++;
      bad = undefined;
    }
    if (!entry.valid || entry.record.id < from) continue;
    if (entry.record.id > to || printer.isDone) return;
    await printer.print(entry.record, entry.record.offset);
    if (printer.isDone) return;
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}
