/** `evaq compact`: gives back all the space that can be had, now. Opens the store for writing. */
import { Command, Option } from 'commander';
import { Evaq } from '../evaq.js';
import type { Damage } from '../log/damage.js';
import { rangesOf } from '../log/losses.js';
import { ReadOnlyEvaq, storeUsage } from '../raw.js';
import { parseQueue } from './arguments.js';
import { EXIT_CORRUPT, say } from './exit-code.js';
import { describeRanges } from './id-ranges-text.js';
import { interruptible } from './interrupt.js';
import { Output } from './output.js';
import { plainTable } from './plain-table.js';
import { formatBytes, formatCount } from './record-format.js';

interface CompactFlags {
  readonly queue?: string;
  readonly json: boolean;
}

interface Compacted {
  readonly queue: string;
  readonly droppedSegments: number;
  readonly rewrittenSegments: number;
  readonly copiedBytes: number;
  readonly reclaimedBytes: number;
}

export function compactCommand(): Command {
  return new Command('compact')
    .argument('<dir>', 'the store')
    .addOption(new Option('-q, --queue <name>', 'this queue alone; default: all').argParser(parseQueue))
    .option('--json', 'as JSON', false)
    .addHelpText(
      'after',
      '\nOpens the store for writing. In a program that has it open, that is `queue.compact()`.\n\nExamples:\n  evaq compact ./orders\n  evaq compact ./orders -q dead-letters --json',
    )
    .action((dir: string, flags: CompactFlags) => interruptible((signal) => compact(dir, flags, signal)));
}

async function compact(dir: string, { queue, json }: CompactFlags, signal: AbortSignal): Promise<void> {
  const names = await queuesOf(dir, queue);
  const before = (await storeUsage(dir, { sample: false })).total.diskBytes;
  const done: Compacted[] = [];
  {
    await using evaq = await Evaq.open(dir, { create: false, recycleSegments: 0, signal });
    for (const name of names) {
      const opened = await evaq.queue(name);
      await opened.compact();
      // With what GC had done by itself by then.
      const { gc, damage } = opened.stats();
      sayLost(name, damage);
      const { droppedSegments, rewrittenSegments, copiedBytes, reclaimedBytes } = gc;
      done.push({ queue: name, droppedSegments, rewrittenSegments, copiedBytes, reclaimedBytes });
      signal.throwIfAborted();
    }
  }
  const after = (await storeUsage(dir, { sample: false })).total.diskBytes;
  const out = new Output();
  await out.line(
    json
      ? JSON.stringify({ v: 1, diskBytesBefore: before, diskBytesAfter: after, queues: done }, null, 2)
      : render(done, before, after),
  );
  await out.flush();
}

/** What could not be copied is set aside, and not missed by the next open: so it is told here. */
function sayLost(queue: string, damage: readonly Damage[]): void {
  const lost = rangesOf(damage.filter(({ lossless }) => !lossless));
  if (lost.length === 0) return;
  const count = lost.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  const which = `${formatCount(count, 'record')}: ${describeRanges(lost)}`;
  say(`queue '${queue}' is damaged: what cannot be read is lost and was set aside in quarantine/: among ${which}`);
  process.exitCode = EXIT_CORRUPT;
}

/** Opening a queue for writing would make it. */
async function queuesOf(dir: string, queue: string | undefined): Promise<readonly string[]> {
  await using store = await ReadOnlyEvaq.open(dir);
  if (queue === undefined) return await store.queueNames();
  await store.queue(queue);
  return [queue];
}

function render(done: readonly Compacted[], before: number, after: number): string {
  const rows = done.map(({ queue, droppedSegments, rewrittenSegments, copiedBytes, reclaimedBytes }) => {
    return [queue, droppedSegments, rewrittenSegments, formatBytes(copiedBytes), formatBytes(reclaimedBytes)];
  });
  const head = ['queue', 'dropped', 'rewritten', 'copied', 'given back'];
  return [
    plainTable(head, ['left', 'right', 'right', 'right', 'right'], rows),
    `on disk    ${formatBytes(before)} before, ${formatBytes(after)} now`,
  ].join('\n');
}
