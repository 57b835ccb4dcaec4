/** `evaq export`: records as lines of JSON that lose nothing, between a line that says where they come from and one that says how many they were. */
import { Command } from 'commander';
import { ReadOnlyEvaq } from '../raw.js';
import { damagedPlaces, queueToRead, sayPassedOver } from './damage-told.js';
import { say } from './exit-code.js';
import { StoreExport } from './export/store-export.js';
import { interruptible } from './interrupt.js';
import { Output } from './output.js';
import { formatCount, isoTime } from './record-format.js';
import { EXPORT_KIND, EXPORT_VERSION } from './records/record-from-json.js';
import { queuesMeant, queuesOption } from './selection/queue-names.js';
import { type SelectionFlags, selectionOf } from './selection/selection.js';
import { addSelection } from './selection/selection-options.js';

interface ExportFlags extends SelectionFlags {
  readonly queue: readonly string[];
  readonly skipDamaged: boolean;
}

export function exportCommand(): Command {
  const command = new Command('export').argument('<dir>', 'the store').addOption(queuesOption('*'));
  return addSelection(command)
    .option('--skip-damaged', 'go on behind records that are damaged; exits with 3 all the same', false)
    .addHelpText(
      'after',
      "\nAll queues, unless -q says which. The first line tells of the store, the last one how many records there were.\nOf a store in use it has what was pushed when it began, and nothing that is pushed later; what is moved between\nqueues meanwhile is in it once; what is removed meanwhile may be in it or not (evaq backup is one moment).\n\nExamples:\n  evaq export ./orders > orders.ndjson\n  evaq export ./orders -q dead-letters --reason 'no route' | gzip > letters.gz",
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
    // So that none of them is given to another record in the store that is made of it.
    nextIds: await nextIdsOf(store, queues),
  };
  await out.line(JSON.stringify(head));
  const written = new StoreExport(store, selection, out, signal);
  await written.write(queues);
  const { records } = written;
  let damaged = 0;
  if (flags.skipDamaged) for (const name of queues) damaged += await damagedPlaces(await store.queue(name));
  await out.line(JSON.stringify({ v: EXPORT_VERSION, kind: 'end', records }));
  await out.flush();
  say(`exported ${formatCount(records, 'record')}`);
  sayPassedOver(damaged);
}

async function nextIdsOf(store: ReadOnlyEvaq, queues: readonly string[]): Promise<Record<string, number>> {
  const nextIds: [string, number][] = [];
  for (const name of queues) nextIds.push([name, (await (await queueToRead(store, name)).stats()).nextId]);
  return Object.fromEntries(nextIds);
}
