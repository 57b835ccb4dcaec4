/** `evaq info`: a store on one screen. Takes no lock, writes nothing. */
import Table from 'cli-table3';
import { Command } from 'commander';
import { type Damage, ReadOnlyEvaq, type ReadOnlyQueue } from '../raw.js';
import { EXIT_CORRUPT } from './exit-code.js';
import { Output } from './output.js';
import { formatBytes, formatCount, isoTime } from './record-format.js';
import { holderOf, type StoreHolder } from './store-holder.js';

/** How its last writer left it. */
type StoreState =
  | { readonly kind: 'clean' }
  | { readonly kind: 'open'; readonly holder: StoreHolder }
  /** Its writer died; the next one to open it recovers it. */
  | { readonly kind: 'unclean' };

interface QueueInfo {
  readonly queue: string;
  readonly clean: boolean;
  readonly live: number;
  readonly dead: number;
  readonly nextId: number;
  readonly bytes: number;
  readonly segments: number;
  readonly tombstoneBytes: number;
  readonly recycledFiles: number;
  readonly recycledBytes: number;
  readonly oldestId: number | undefined;
  readonly oldestTime: string | undefined;
  readonly damage: readonly Damage[];
}

interface StoreInfo {
  /** Version of this layout. */
  readonly v: 1;
  readonly path: string;
  readonly uuid: string;
  readonly created: string;
  readonly state: StoreState;
  readonly diskFreeBytes: number;
  readonly queues: readonly QueueInfo[];
}

export function infoCommand(): Command {
  return new Command('info')
    .description('tell what is in a store, and how its last writer left it')
    .argument('<dir>', 'the store')
    .option('--json', 'as JSON', false)
    .action(async (dir: string, flags: { readonly json: boolean }) => {
      await using store = await ReadOnlyEvaq.open(dir);
      const info = await gather(store);
      const out = new Output();
      await out.line(flags.json ? JSON.stringify(info, null, 2) : render(info));
      await out.flush();
      if (info.queues.some(({ damage }) => damage.length > 0)) process.exitCode = EXIT_CORRUPT;
    });
}

async function gather(store: ReadOnlyEvaq): Promise<StoreInfo> {
  const queues: QueueInfo[] = [];
  for (const name of await store.queueNames()) queues.push(await gatherQueue(await store.queue(name)));
  // Asked last: a writer that closed meanwhile has left the queues clean.
  const holder = holderOf(store.path);
  const clean = queues.every((queue) => queue.clean);
  return {
    v: 1,
    path: store.path,
    uuid: store.uuid,
    created: isoTime(store.createdMs),
    state: holder !== undefined ? { kind: 'open', holder } : { kind: clean ? 'clean' : 'unclean' },
    diskFreeBytes: await store.freeBytes(),
    queues,
  };
}

async function gatherQueue(queue: ReadOnlyQueue): Promise<QueueInfo> {
  const stats = await queue.stats();
  // A damaged one has no time to tell; that it is damaged is told elsewhere.
  const oldest = stats.oldestId === undefined ? undefined : await queue.get(stats.oldestId).catch(() => undefined);
  return { ...stats, oldestTime: oldest === undefined ? undefined : isoTime(oldest.timestamp) };
}

function render({ path, uuid, created, state, diskFreeBytes, queues }: StoreInfo): string {
  const table = new Table({
    head: ['queue', 'live', 'dead', 'next ID', 'segments', 'size', 'recycled', 'oldest'],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [], compact: true },
  });
  for (const queue of queues) {
    table.push([
      queue.queue,
      queue.live,
      queue.dead,
      queue.nextId,
      queue.segments,
      formatBytes(queue.bytes),
      queue.recycledFiles === 0 ? '-' : formatBytes(queue.recycledBytes),
      queue.oldestId === undefined
        ? '-'
        : `${queue.oldestId}${queue.oldestTime === undefined ? '' : ` (${queue.oldestTime})`}`,
    ]);
  }
  const damaged = queues.reduce((sum, { damage }) => sum + damage.length, 0);
  return [
    `store      ${path}`,
    `state      ${describeState(state)}`,
    `created    ${created}, ${uuid}`,
    `disk free  ${formatBytes(diskFreeBytes)}`,
    ...(damaged === 0 ? [] : [`damage     in ${formatCount(damaged, 'place')}: evaq verify tells where`]),
    table.toString(),
  ].join('\n');
}

function describeState(state: StoreState): string {
  if (state.kind === 'clean') return 'closed';
  if (state.kind === 'unclean') return 'not closed: its writer died, the next one to open it recovers it';
  const { pid, script, since } = state.holder;
  return `open for writing by ${pid === undefined ? 'another process' : `pid ${pid}`}${script === undefined ? '' : ` (${script})`}${since === undefined ? '' : ` since ${since}`}`;
}
