/** `evaq export`: records as lines of JSON that lose nothing, between a line that says where they come from and one that says how many they were. */
import { Command } from 'commander';
import { ReadOnlyEvaq } from '../raw.js';
import { EXIT_CORRUPT, say } from './exit-code.js';
import { interruptible } from './interrupt.js';
import { Output } from './output.js';
import { formatCount, isoTime, recordToJson } from './record-format.js';
import { EXPORT_KIND, EXPORT_VERSION } from './records/record-from-json.js';
import { queuesMeant, queuesOption } from './selection/queue-names.js';
import { selectedRecords } from './selection/selected-records.js';
import { type SelectionFlags, selectionOf } from './selection/selection.js';
import { addSelection } from './selection/selection-options.js';

interface ExportFlags extends SelectionFlags {
  readonly queue: readonly string[];
  readonly skipDamaged: boolean;
}

export function exportCommand(): Command {
  const command = new Command('export')
    .description('records as lines of JSON that lose nothing: ID, time, headers, origin, reason, attempts, any bytes')
    .argument('<dir>', 'the store')
    .addOption(queuesOption('*'));
  return addSelection(command)
    .option('--skip-damaged', 'go on behind records that are damaged; exits with 3 all the same', false)
    .addHelpText(
      'after',
      "\nAll queues, unless -q says which. The first line tells of the store, the last one how many records there were.\n\nExamples:\n  evaq export ./orders > orders.ndjson\n  evaq export ./orders -q dead-letters --reason 'no route' | gzip > letters.gz",
    )
    .action((dir: string, flags: ExportFlags) => interruptible((signal) => exportStore(dir, flags, signal)));
}

async function exportStore(dir: string, flags: ExportFlags, signal: AbortSignal): Promise<void> {
  const out = new Output();
  const selection = selectionOf(flags);
  await using store = await ReadOnlyEvaq.open(dir, { onCorruption: flags.skipDamaged ? 'quarantine' : 'fail' });
  const queues = queuesMeant(flags.queue, await store.queueNames());
  const { uuid, path, createdMs } = store;
  const created = isoTime(createdMs);
  const head = {
    v: EXPORT_VERSION,
    kind: EXPORT_KIND,
    store: uuid,
    path,
    created,
    exported: isoTime(Date.now()),
    queues,
  };
  await out.line(JSON.stringify(head));
  let records = 0;
  let damaged = 0;
  for (const name of queues) {
    if (records >= selection.count) break;
    const queue = await store.queue(name);
    for await (const record of selectedRecords(queue, { ...selection, count: selection.count - records })) {
      if (signal.aborted) {
        await out.flush();
        say(`stopped in front of ID ${record.id} of queue '${name}', ${formatCount(records, 'record')} exported`);
        throw signal.reason;
      }
      records++;
      const full = out.line(recordToJson({ record, queue: name }));
      if (full !== undefined) await full;
    }
    if (flags.skipDamaged) damaged += (await queue.stats()).damage.filter(({ lossless }) => !lossless).length;
  }
  await out.line(JSON.stringify({ v: EXPORT_VERSION, kind: 'end', records }));
  await out.flush();
  say(`exported ${formatCount(records, 'record')}`);
  if (damaged === 0) return;
  say(`passed over ${formatCount(damaged, 'damaged place')}; evaq verify tells more`);
  process.exitCode = EXIT_CORRUPT;
}
