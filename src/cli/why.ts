/** `evaq why`: where the bytes of a store are, and what keeps them. Takes no lock, writes nothing. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { EvaqError } from '../errors.js';
import { STORE_FILE } from '../layout/store-file.js';
import {
  type QueueUsage,
  ReadOnlyEvaq,
  type SegmentFate,
  type SegmentUsage,
  type StoreUsage,
  storeUsage,
  type UsedSpace,
} from '../raw.js';
import { parseBytes, parseShare } from './arguments.js';
import { damagedPlaces, sayPassedOver } from './damage-told.js';
import { formatAge } from './durations.js';
import { exitCodeOf, printError } from './exit-code.js';
import { interruptible } from './interrupt.js';
import { storeFileLost } from './lost-store-file.js';
import { Output } from './output.js';
import { plainTable } from './plain-table.js';
import { formatBytes, formatCount, isoTime } from './record-format.js';
import { holderOf } from './store-holder.js';
import { shortened, terminalWidth, wrapped } from './terminal-width.js';

interface WhyFlags {
  readonly json: boolean;
  readonly segmentBytes?: number;
  readonly liveShare?: number;
}

export function whyCommand(): Command {
  return new Command('why')
    .argument('<dir>', 'the store')
    .option('--segment-bytes <n>', "the writer's segmentBytes, if it has set it", parseBytes)
    .option('--live-share <share>', "the writer's gc.liveShareMax, if it has set it", parseShare)
    .option('--json', 'as JSON', false)
    .addHelpText(
      'after',
      "\nThe sum is what `du` says. What GC will do goes by the default settings, since a store does not hold those of\nits writer.\n\nExamples:\n  evaq why ./orders\n  evaq why ./orders --json | jq '.queues[].segments[] | select(.liveRecords == 1)'",
    )
    .action((dir: string, flags: WhyFlags) => interruptible((signal) => why(dir, flags, signal)));
}

async function why(dir: string, { json, segmentBytes, liveShare }: WhyFlags, signal: AbortSignal): Promise<void> {
  const usage = await storeUsage(dir, {
    signal,
    ...(segmentBytes === undefined ? {} : { segmentBytes }),
    ...(liveShare === undefined ? {} : { liveShareMax: liveShare }),
  });
  if (!existsSync(join(usage.path, STORE_FILE))) {
    const lost = storeFileLost(usage.path);
    printError(lost);
    process.exitCode = exitCodeOf(lost);
  }
  const out = new Output();
  await out.line(json ? toJson(usage) : render(usage, holderOf(usage.path) !== undefined, Date.now()));
  await out.flush();
  if (existsSync(join(usage.path, STORE_FILE))) sayPassedOver(await damagedIn(usage.path));
}

/** Places that are damaged so that something is lost, as far as that shows without reading every byte: what is told may not be all then, or not so. */
async function damagedIn(path: string): Promise<number> {
  await using store = await ReadOnlyEvaq.open(path);
  let places = 0;
  for (const name of await store.queueNames()) {
    try {
      places += await damagedPlaces(await store.queue(name));
    } catch (error) {
      if (!(error instanceof EvaqError) || error.code !== 'EVAQ_CORRUPT') throw error;
      places++;
    }
  }
  return places;
}

/** Version 1 of this layout. */
function toJson({ queues, ...rest }: StoreUsage): string {
  const timed = queues.map(({ segments, ...queue }) => {
    return { ...queue, segments: segments.map(timesAsText) };
  });
  return JSON.stringify({ v: 1, ...rest, queues: timed }, null, 2);
}

function timesAsText({ fromMs, toMs, ...segment }: SegmentUsage): object {
  return {
    ...segment,
    from: fromMs === undefined ? undefined : isoTime(fromMs),
    to: toMs === undefined ? undefined : isoTime(toMs),
  };
}

function render(usage: StoreUsage, isOpen: boolean, nowMs: number): string {
  const { path, queues, store, backups, others, total } = usage;
  const lines = [`${path}  ${formatBytes(total.diskBytes)} on disk, in ${formatCount(total.files, 'file')}`];
  for (const queue of queues) if (!isBare(queue)) lines.push('', ...renderQueue(queue, nowMs));
  const bare = queues.filter(isBare);
  const rest: (readonly [string, UsedSpace])[] = [
    [
      `empty queues (${bare.length})`,
      bare.filter(({ elsewhere }) => !elsewhere).reduce((sum, { total: one }) => plus(sum, one), NOTHING),
    ],
    ['STORE, LOCK, folders', store],
    ['backups of repairs', backups],
    ["not evaq's", others],
  ];
  lines.push('', ...rest.filter(([, space]) => space.diskBytes > 0 || space.files > 0).map(restLine));
  const fates = queues.flatMap(({ segments }) => segments.map(({ fate }) => fate));
  const legend = LEGEND.filter(({ is }) => fates.some(is)).map(({ says }) => says(isOpen));
  if (queues.some(({ segments }) => segments.some(({ shared }) => shared)))
    legend.push('*: a backup has the same file: its bytes come back when both are gone.');
  if (legend.length > 0) lines.push('', ...legend.flatMap((line) => wrapped(line, terminalWidth())));
  return lines.join('\n');
}

const NOTHING: UsedSpace = { files: 0, bytes: 0, diskBytes: 0 };

function plus(a: UsedSpace, b: UsedSpace): UsedSpace {
  return { files: a.files + b.files, bytes: a.bytes + b.bytes, diskBytes: a.diskBytes + b.diskBytes };
}

/** Nothing to tell of but that it takes some space. */
function isBare({ segments, quarantine, others, unreadable, elsewhere }: QueueUsage): boolean {
  const isEmpty = segments.every(({ records }) => records === 0);
  return isEmpty && quarantine.files === 0 && others.files === 0 && unreadable === undefined && !elsewhere;
}

function renderQueue(usage: QueueUsage, nowMs: number): string[] {
  const { queue, segments, total, unreadable, elsewhere } = usage;
  const where = elsewhere ? ', behind a link: not in the sum' : '';
  const lines = [`queue ${queue}  ${formatBytes(total.diskBytes)} on disk${where}`];
  if (unreadable !== undefined) lines.push(`  what is live is not known: ${unreadable}`);
  if (segments.length > 0) {
    const rows = segments.map((segment) => segmentRow(segment, nowMs));
    lines.push(...segmentTable(rows, terminalWidth() - INDENT.length).map((line) => `${INDENT}${line}`));
  }
  const rest: (readonly [string, UsedSpace])[] = [
    ['removals (tombstone logs)', usage.tombstones],
    ['kept to be overwritten', usage.pool],
    ['deliveries, message IDs', usage.logs],
    ['unfinished, or kept for opening', usage.leftovers],
    ['quarantine, kept for you', usage.quarantine],
    ["not evaq's, or unreadable", usage.others],
  ];
  lines.push(...rest.filter(([, space]) => space.files > 0 || space.diskBytes > 0).map(restLine));
  return lines;
}

const INDENT = '  ';
const HEAD = ['IDs', 'pushed', 'live', 'dead', 'on disk', 'first live', 'GC will'] as const;
const ALIGNS = ['left', 'left', 'right', 'right', 'right', 'right', 'left'] as const;
const LEFT_OUT = ['first live', 'pushed'] as const;

/** In lines of `width` at most, as far as figures can be spared: what GC will do is cut short, and columns that `info` knows, too, are left out. */
function segmentTable(rows: readonly (readonly (string | number)[])[], width: number): string[] {
  let lines: string[] = [];
  for (let left = 0; left <= LEFT_OUT.length; left++) {
    const isOut = (at: number): boolean => LEFT_OUT.slice(0, left).some((name) => name === HEAD[at]);
    const kept = <T>(cells: readonly T[]): T[] => cells.filter((_, at) => !isOut(at));
    const tableOf = (fateMax: number): string[] => {
      const cut = rows.map((row) => kept([...row.slice(0, -1), shortened(String(row.at(-1)), fateMax)]));
      return plainTable(kept(HEAD), kept(ALIGNS), cut).split('\n');
    };
    const excess = (): number => widest(lines) - width;
    lines = tableOf(Infinity);
    if (excess() > 0) lines = tableOf(Math.max(FATE_MIN, widest(rows.map((row) => String(row.at(-1)))) - excess()));
    if (excess() <= 0) break;
  }
  return lines;
}

/** What is kept of what GC will do, however wide the figures in front of it are. */
const FATE_MIN = 12;

function widest(lines: readonly string[]): number {
  return Math.max(...lines.map(({ length }) => length));
}

function restLine([name, { diskBytes, files }]: readonly [string, UsedSpace]): string {
  return `  ${name.padEnd(32)}${formatBytes(diskBytes).padStart(10)}  ${files === 0 ? '' : formatCount(files, 'file')}`.trimEnd();
}

function segmentRow(segment: SegmentUsage, nowMs: number): (string | number)[] {
  const { firstId, lastId, toMs, liveRecords, records, diskBytes, pinnedById, shared, fate } = segment;
  return [
    firstId === undefined ? 'none yet' : firstId === lastId ? `${firstId}` : `${firstId} to ${lastId}`,
    toMs === undefined ? '-' : formatAge(toMs, nowMs),
    liveRecords,
    records - liveRecords,
    `${formatBytes(diskBytes)}${shared ? '*' : ''}`,
    pinnedById ?? '-',
    shortly(fate, segment),
  ];
}

function shortly(fate: SegmentFate, { liveRecords, records }: SegmentUsage): string {
  if (fate.kind === 'drop') return 'drop it';
  if (fate.kind === 'leave') return 'collect it at rest';
  if (fate.kind === 'keep') return KEEP_WORDS[fate.why](Math.floor((100 * liveRecords) / Math.max(records, 1)));
  const others = fate.others === 0 ? '' : `, with ${fate.others} more`;
  return fate.kind === 'merge' ? `merge it${others}` : `rewrite it${others}: -${formatBytes(fate.gainBytes)}`;
}

const KEEP_WORDS: Record<Extract<SegmentFate, { kind: 'keep' }>['why'], (share: number) => string> = {
  live: () => 'keep it: all live',
  'mostly-live': (share) => `keep it: ${share} % live`,
  'small-gain': () => 'keep it: little to gain',
  active: () => 'append to it',
  unsealed: () => 'seal it first',
  damaged: () => 'keep it: damaged',
};

const LEGEND: readonly { readonly is: (fate: SegmentFate) => boolean; readonly says: (isOpen: boolean) => string }[] = [
  {
    is: ({ kind }) => kind === 'drop',
    says: (isOpen) =>
      `drop: nothing in it is live; it goes ${isOpen ? 'at the next look of GC' : 'when a writer opens the store'}.`,
  },
  {
    is: ({ kind }) => kind === 'rewrite' || kind === 'merge',
    says: (isOpen) =>
      `rewrite, merge: what is live is copied${isOpen ? '' : ' when a writer has the store open,'} once nothing was removed from it for 2 s.`,
  },
  {
    is: ({ kind }) => kind === 'leave',
    says: (isOpen) =>
      isOpen
        ? 'collect at rest: the queue appends to it; left alone for up to 18 s it is left for a new one, and rewritten or dropped.'
        : 'collect at rest: it is the newest; the next writer begins another, and collects it.',
  },
  {
    is: (fate) => fate.kind === 'keep' && fate.why === 'damaged',
    says: () =>
      'damaged: it stays until nothing in it is live, and goes to quarantine/ then; `evaq verify` tells more.',
  },
];
