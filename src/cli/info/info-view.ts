/** `evaq info` for people: no more than 80 columns, but for names and paths that are longer. */
import { formatAge, formatDuration } from '../durations.js';
import { plainTable } from '../plain-table.js';
import { formatBytes, formatCount } from '../record-format.js';
import { shortened } from '../terminal-width.js';
import type { QueueInfo, StoreInfo, StoreState } from './store-info.js';

const COLUMNS_MAX = 80;
const NAME_MAX = 22;
/** What a name keeps, however wide the figures behind it are. */
const NAME_MIN = 8;

/** `rates`: of each queue, where they were measured. */
export function renderInfo(info: StoreInfo, nowMs: number, rates?: ReadonlyMap<string, number>): string {
  const { path, uuid, created, state, disk, queues } = info;
  const damaged = queues.reduce((places, { damage }) => places + damage.length, 0);
  const lines = [`store      ${path}`, `state      ${describeState(state, nowMs)}`];
  if (created !== undefined) lines.push(`created    ${formatAge(Date.parse(created), nowMs)}, ${created}`);
  if (uuid !== undefined) lines.push(`UUID       ${uuid}`);
  lines.push(`on disk    ${formatBytes(disk.bytes)} in ${formatCount(disk.files, 'file')}${kept(info)}`);
  if (disk.freeBytes !== undefined) lines.push(`disk free  ${formatBytes(disk.freeBytes)}`);
  lines.push(...remarks(info));
  if (damaged > 0) lines.push(`damage     in ${formatCount(damaged, 'place')}: evaq verify tells where`);
  if (state.kind === 'broken') lines.push(`to do      evaq repair ${path} shows how it would be mended`);
  if (queues.length === 0) return lines.join('\n');
  const head = ['queue', 'live', 'dead', 'next ID', 'files', 'size', 'oldest', 'pushed/s'];
  const aligns = ['left', 'right', 'right', 'right', 'right', 'right', 'left', 'right'] as const;
  const tableOf = (nameMax: number): string =>
    plainTable(
      head,
      aligns,
      queues.map((queue) => queueRow(queue, nowMs, rates, nameMax)),
    );
  const wide = tableOf(NAME_MAX);
  const excess = Math.max(...wide.split('\n').map(({ length }) => length)) - COLUMNS_MAX;
  return [...lines, '', excess <= 0 ? wide : tableOf(Math.max(NAME_MIN, NAME_MAX - excess))].join('\n');
}

function kept({ disk: { recycled } }: StoreInfo): string {
  return recycled.files === 0 ? '' : `, ${formatBytes(recycled.diskBytes)} of it kept to be overwritten`;
}

function remarks({ disk }: StoreInfo): string[] {
  const told: string[] = [];
  for (const [name, space, what] of [
    ['quarantine', disk.quarantine, 'set aside for damage, and kept for you'],
    ['backups', disk.backups, 'kept by repairs'],
    ['others', disk.others, "not evaq's"],
  ] as const) {
    if (space.files > 0) {
      told.push(`${name.padEnd(11)}${formatCount(space.files, 'file')}, ${formatBytes(space.diskBytes)}: ${what}`);
    }
  }
  return told;
}

function queueRow(
  queue: QueueInfo,
  nowMs: number,
  rates: ReadonlyMap<string, number> | undefined,
  nameMax: number,
): (string | number)[] {
  const { queue: name, live, dead, nextId, segments, bytes, oldestId, oldestTime, damage } = queue;
  // A folder that is gone, or empty, says nothing of what was in it.
  const isUnknown = segments === 0 && damage.length > 0;
  const age = oldestTime === undefined ? '' : ` (${formatDuration(Math.max(0, nowMs - Date.parse(oldestTime)))})`;
  const rate = rates === undefined ? queue.ratePerSecond : rates.get(name);
  return [
    shortened(name, nameMax),
    live,
    dead,
    isUnknown ? '-' : nextId,
    segments,
    formatBytes(bytes),
    oldestId === undefined ? '-' : `${oldestId}${age}`,
    rate === undefined ? '-' : rate >= 10 ? Math.round(rate) : rate.toFixed(1),
  ];
}

export function describeState(state: StoreState, nowMs: number): string {
  if (state.kind === 'clean') return 'closed';
  if (state.kind === 'unclean') return 'not closed: its writer died, the next one to open it recovers it';
  if (state.kind === 'broken') return `cannot be opened: ${state.what}`;
  const { pid, script, since } = state.holder;
  const who = pid === undefined ? 'another process' : `pid ${pid}`;
  const age = since === undefined ? '' : `, opened ${formatAge(Date.parse(since), nowMs)}`;
  return `open for writing by ${who}${script === undefined ? '' : ` (${script})`}${age}`;
}
