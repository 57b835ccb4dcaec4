/** `evaq remove`: takes records out of a queue, durably. Opens the store for writing. */
import { Command, Option } from 'commander';
import { Evaq, EvaqError } from '../evaq.js';
import { ReadOnlyEvaq } from '../raw.js';
import { parseId, parseIds, queueOption } from './arguments.js';
import { say, UsageError } from './exit-code.js';
import { formatCount } from './record-format.js';

interface RemoveFlags {
  readonly queue: string;
  readonly through?: number;
}

export function removeCommand(): Command {
  return new Command('remove')
    .description('remove records; exits with 0 when that is durable')
    .argument('<dir>', 'the store')
    .argument('[id...]', 'the IDs of the records', parseIds)
    .addOption(queueOption())
    .addOption(new Option('--through <id>', 'all records up to and including this one').argParser(parseId))
    .action(async (dir: string, ids: number[] | undefined, flags: RemoveFlags) => {
      if ((ids === undefined || ids.length === 0) === (flags.through === undefined)) {
        throw new UsageError('name the IDs to remove, or --through one, and not both');
      }
      await requireQueue(dir, flags.queue);
      await using evaq = await Evaq.open(dir, { create: false });
      const queue = await evaq.queue(flags.queue);
      if (flags.through !== undefined) {
        say(`removed ${formatCount(await queue.removeThrough(flags.through), 'record')}`);
        return;
      }
      const wanted = ids ?? [];
      const results = await Promise.all(wanted.map((id) => queue.remove(id)));
      say(`removed ${formatCount(results.filter((removed) => removed).length, 'record')}`);
      const missing = wanted.filter((_, i) => results[i] !== true);
      if (missing.length === 0) return;
      throw new EvaqError('EVAQ_RECORD_NOT_FOUND', `queue '${queue.name}' has no live record ${missing.join(', ')}`, {
        details: { queue: queue.name },
      });
    });
}

/** Opening a queue for writing would make it. */
async function requireQueue(dir: string, name: string): Promise<void> {
  await using store = await ReadOnlyEvaq.open(dir);
  await store.queue(name);
}
