/** `evaq get`: one record to standard output. Takes no lock, writes nothing. */
import { Command } from 'commander';
import { EvaqError, ReadOnlyEvaq } from '../raw.js';
import { parseId, queueOption } from './arguments.js';
import { queueToRead } from './damage-told.js';
import { UsageError } from './exit-code.js';
import { addOutput, type OutputFlags, RecordPrinter } from './records/record-printer.js';

interface GetFlags extends OutputFlags {
  readonly queue: string;
  readonly raw: boolean;
}

export function getCommand(): Command {
  const command = new Command('get')
    .argument('<dir>', 'the store')
    .argument('<id>', 'the ID of the record', parseId)
    .addOption(queueOption())
    .option('--raw', 'the same as -o raw: the bytes of the record and nothing else', false);
  return addOutput(command)
    .addHelpText('after', '\nExamples:\n  evaq get ./orders 17\n  evaq get ./orders 17 -q dead-letters --json')
    .action(async (dir: string, id: number, flags: GetFlags) => {
      const printer = new RecordPrinter(rawly(flags));
      await using store = await ReadOnlyEvaq.open(dir);
      const queue = await queueToRead(store, flags.queue);
      const record = await queue.get(id);
      if (record === undefined) {
        throw new EvaqError('EVAQ_RECORD_NOT_FOUND', `queue '${queue.name}' has no live record ${id}`, {
          details: { queue: queue.name, id },
        });
      }
      await printer.print({ record, queue: queue.name });
      await printer.flush();
    });
}

function rawly(flags: GetFlags): OutputFlags {
  if (!flags.raw) return flags;
  if (flags.json === true) throw new UsageError('--raw and --json exclude each other');
  if (flags.output !== undefined && flags.output !== 'raw')
    throw new UsageError(`--raw and -o ${flags.output} exclude each other`);
  return { ...flags, output: 'raw' };
}
