/**
 * `evaq inspect`: what stands in a file of a store, from its first byte to its last: every commit, frame and footer, every round of removals, with its
 * offset, its length, and whether its checksum holds. `--at` shows the bytes around an offset with their meaning. Takes no lock, writes nothing.
 */
import { statSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { EXIT_CORRUPT, UsageError } from './exit-code.js';
import { showAt } from './inspect/annotated-hex.js';
import { inspectCommits } from './inspect/inspect-commits.js';
import { InspectLines, type InspectOptions } from './inspect/inspect-lines.js';
import { inspectSegment } from './inspect/inspect-segment.js';
import { inspectTombstones } from './inspect/inspect-tombstones.js';
import { interruptible } from './interrupt.js';
import { Output } from './output.js';
import { isSpare, pathKind } from './path-kind.js';

interface InspectFlags {
  readonly at?: number;
  readonly json: boolean;
  readonly commits: boolean;
}

export function inspectCommand(): Command {
  return new Command('inspect')
    .argument('<file>', 'a segment, a tombstone log, or any other file of a store')
    .addOption(new Option('--at <offset>', 'the bytes there, with their meaning').argParser(parseOffset))
    .option('--commits', 'commits alone, without the records, ranges and index entries in them', false)
    .option('--json', 'a line of JSON for each thing', false)
    .addHelpText(
      'after',
      '\nExits with 3 where something is damaged, a torn end excepted.\n\nExamples:\n  evaq inspect ./orders/queues/wal/*1.seg --commits\n  evaq inspect ./orders/queues/wal/00000000000000000001-0000000000000001.seg --at 176',
    )
    .action((file: string, flags: InspectFlags) => interruptible((signal) => inspect(file, flags, signal)));
}

async function inspect(path: string, flags: InspectFlags, signal: AbortSignal): Promise<void> {
  const out = new Output();
  const found = pathKind(path);
  if (flags.at !== undefined) {
    if (flags.json || flags.commits) throw new UsageError('--at is for people: leave out --json and --commits');
    await showAt(path, found, flags.at, out);
    return out.flush();
  }
  const options: InspectOptions = { json: flags.json, commitsOnly: flags.commits, signal };
  if ((found.kind === 'segment' || found.kind === 'tombstones') && isSpare(path)) {
    await new InspectLines(out, options).file(path, statSync(path).size, 'a spare file: nothing is in it');
    return out.flush();
  }
  let intact: boolean;
  switch (found.kind) {
    case 'segment':
    case 'other-file':
      intact = await inspectSegment(path, out, options);
      break;
    case 'tombstones':
      intact = await inspectTombstones(path, out, options);
      break;
    case 'deliveries':
    case 'intake':
    case 'store-file':
      intact = await inspectCommits(path, found.kind, out, options);
      break;
    case 'lock':
      throw new UsageError(`${path} is ${found.what}, and nothing else; evaq info tells who has it`);
    case 'none':
      throw new UsageError(`there is no file of a store at ${path}`);
    default:
      throw new UsageError(`${path} is a folder: name one of its files, or see evaq info`);
  }
  await out.flush();
  if (!intact) process.exitCode = EXIT_CORRUPT;
}

function parseOffset(text: string): number {
  const offset = Number(text);
  if (!/^(?:\d+|0x[0-9a-f]+)$/i.test(text) || !Number.isSafeInteger(offset)) {
    throw new InvalidArgumentError('An offset is a whole number; 0x in front of hex digits.');
  }
  return offset;
}
