/** `evaq get`: one record to standard output. Takes no lock, writes nothing. */
import { Command } from 'commander';
import { EvaqError, ReadOnlyEvaq } from '../raw.js';
import { parseId, queueOption } from './arguments.js';
import { UsageError } from './exit-code.js';
import { Output } from './output.js';
import { NEWLINE, recordToJson } from './record-format.js';

interface GetFlags {
  readonly queue: string;
  readonly raw: boolean;
  readonly json: boolean;
}

export function getCommand(): Command {
  return new Command('get')
    .description('print one record')
    .argument('<dir>', 'the store')
    .argument('<id>', 'the ID of the record', parseId)
    .addOption(queueOption())
    .option('--raw', 'the bytes of the record and nothing else, no newline behind them', false)
    .option('--json', 'as a line of JSON, with its ID, time and headers', false)
    .action(async (dir: string, id: number, flags: GetFlags) => {
      if (flags.raw && flags.json) throw new UsageError('--raw and --json exclude each other');
      await using store = await ReadOnlyEvaq.open(dir);
      const queue = await store.queue(flags.queue);
      const record = await queue.get(id);
      if (record === undefined) {
        throw new EvaqError('EVAQ_RECORD_NOT_FOUND', `queue '${queue.name}' has no live record ${id}`, {
          details: { queue: queue.name, id },
        });
      }
      const out = new Output();
      if (flags.json) await out.line(recordToJson(record));
      else await out.write(record.payload, ...(flags.raw ? [] : [NEWLINE]));
      await out.flush();
    });
}
