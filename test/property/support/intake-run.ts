/**
 * Messages and checkpoints under crashes at every point: a workload of pushes with message IDs and checkpoints, removals, compaction and reopening is
 * cut everywhere (`sim/explore.ts`), and the store that is left is asked what it knows.
 *
 * - A message whose push has resolved is known by the same ID, as long as fewer than the window holds have come since.
 * - A message that is known names a record that is there, or was removed; no other one is in the way of its push.
 * - The position of the source 'kept', whose records are never removed, is exactly the last one whose records are there, and they are there up to it.
 * - No source is behind what was acknowledged, or ahead of what was begun.
 *
 * In the weaker modes a power cut may take what was not flushed, of an older segment too where a newer one stays: of a batch that nothing made durable
 * all may be missing below the position, and nothing behind it may be there. The rest holds there, too.
 */
import { Evaq, type EvaqOptions, type Queue } from '../../../src/evaq.js';
import { type ExploreOptions, type ExploreReport, explore } from '../../../src/sim/explore.js';
import type { Host } from '../../../src/vfs/host.js';
import type { Vfs } from '../../../src/vfs/vfs.js';
import { BrokenPromise } from './store-model.js';

export type IntakeMode = 'sync' | 'interval' | 'os';

/** An exploration of more than so many states cuts the recovery as well. */
const DEEP_STATES = 2000;
const WINDOW_RECORDS = 8;
const PAYLOAD_BYTES = 20_000;
const OPS = 12;
/** Their records are never removed; the others' are. */
const SOURCES = ['kept', 'gone'] as const;
type Source = (typeof SOURCES)[number];

type Op =
  | { readonly kind: 'push'; readonly messageIds: readonly string[] }
  | {
      readonly kind: 'batch';
      readonly messageIds: readonly string[];
      readonly source: Source;
      readonly position: number;
    }
  | { readonly kind: 'move'; readonly source: Source; readonly position: number }
  | { readonly kind: 'remove' | 'compact' | 'flush' | 'reopen' };

type Fact =
  | { readonly kind: 'pushing'; readonly messageIds: readonly string[] }
  | { readonly kind: 'known'; readonly messageId: string; readonly id: number }
  | { readonly kind: 'removing'; readonly ids: readonly number[] }
  | Position
  | { readonly kind: 'flushed' };

interface Position {
  readonly kind: 'begun' | 'reached';
  readonly source: Source;
  readonly position: number;
  readonly records: number;
}

interface Machine {
  readonly vfs: Vfs;
  readonly host: Host;
}

/** The operations of a seed: each message has a name of its own, some are pushed by two at once, some again. */
export function intakeOps(seed: number): Op[] {
  let state = seed * 7919 + 13;
  const draw = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const ops: Op[] = [];
  const positions: Record<Source, number> = { kept: 0, gone: 0 };
  let messages = 0;
  const next = (): string => `m${++messages}`;
  for (let i = 0; i < OPS; i++) {
    const source = SOURCES[draw(2)] ?? 'kept';
    const drawn = draw(12);
    if (drawn < 4) {
      const one = draw(3) === 0 && messages > 0 ? `m${Math.max(1, messages - draw(WINDOW_RECORDS))}` : next();
      ops.push({ kind: 'push', messageIds: draw(2) === 0 ? [one, one] : [one, next()] });
    } else if (drawn < 7) {
      const messageIds = draw(2) === 0 ? [next()] : [next(), next()];
      ops.push({ kind: 'batch', messageIds, source, position: ++positions[source] });
    } else if (drawn < 8) ops.push({ kind: 'move', source, position: ++positions[source] });
    else if (drawn < 10) ops.push({ kind: 'remove' });
    else ops.push({ kind: (['compact', 'flush', 'reopen'] as const)[(seed + i) % 3] ?? 'compact' });
  }
  return ops;
}

function optionsOf(mode: IntakeMode, { vfs, host }: Machine): EvaqOptions {
  return {
    ports: { vfs, host },
    durability: mode === 'interval' ? { intervalMs: 20 } : mode,
    segmentBytes: 64 * 1024,
    recycleSegments: 0,
    dedupe: { windowMs: 1_000_000_000, windowRecords: WINDOW_RECORDS },
  };
}

const open = (mode: IntakeMode, machine: Machine): Promise<Evaq> => Evaq.open('/store', optionsOf(mode, machine));

function payloadOf(text: string): Buffer {
  const payload = Buffer.alloc(PAYLOAD_BYTES);
  payload.write(text);
  return payload;
}

const textOf = (payload: Buffer): string => payload.toString('utf8', 0, payload.indexOf(0));

async function carryOut(
  ops: readonly Op[],
  mode: IntakeMode,
  machine: Machine,
  tell: (fact: Fact) => void,
): Promise<void> {
  let evaq = await open(mode, machine);
  const removable: number[] = [];
  const kept = new Set<number>();
  for (const op of ops) {
    const { wal } = evaq;
    switch (op.kind) {
      case 'push': {
        const { messageIds } = op;
        tell({ kind: 'pushing', messageIds });
        const ids = await Promise.all(
          messageIds.map(async (messageId) => {
            const id = await wal.push(payloadOf(messageId), { messageId });
            tell({ kind: 'known', messageId, id });
            return id;
          }),
        );
        // A message that came in with 'kept' may have been pushed again here.
        removable.push(...ids.filter((id) => !kept.has(id)));
        break;
      }
      case 'batch': {
        const { messageIds, source, position } = op;
        const records = messageIds.length;
        tell({ kind: 'pushing', messageIds });
        tell({ kind: 'begun', source, position, records });
        const entries = messageIds.map((messageId) => ({ payload: payloadOf(`${source}:${position}`), messageId }));
        const { firstId } = await wal.pushMany(entries, { checkpoint: { source, position } });
        for (const [i, messageId] of messageIds.entries()) tell({ kind: 'known', messageId, id: firstId + i });
        tell({ kind: 'reached', source, position, records });
        for (const i of messageIds.keys()) {
          if (source === 'gone') removable.push(firstId + i);
          else kept.add(firstId + i);
        }
        break;
      }
      case 'move': {
        const { source, position } = op;
        tell({ kind: 'begun', source, position, records: 0 });
        await wal.pushMany([], { checkpoint: { source, position } });
        tell({ kind: 'reached', source, position, records: 0 });
        break;
      }
      case 'remove': {
        const ids = removable.splice(0);
        tell({ kind: 'removing', ids });
        await wal.removeMany(ids);
        break;
      }
      case 'compact':
        await wal.compact();
        break;
      case 'flush':
        await wal.flush();
        tell({ kind: 'flushed' });
        break;
      case 'reopen':
        await evaq.close();
        tell({ kind: 'flushed' });
        evaq = await open(mode, machine);
        break;
    }
  }
}

/** What must be there: in mode 'sync' all that was acknowledged, in the others what was flushed after it. */
function mandatory(facts: readonly Fact[], mode: IntakeMode): readonly Fact[] {
  return mode === 'sync' ? facts : facts.slice(0, facts.findLastIndex(({ kind }) => kind === 'flushed') + 1);
}

async function check(mode: IntakeMode, machine: Machine, facts: readonly Fact[]): Promise<unknown> {
  const evaq = await open(mode, machine);
  const { wal } = evaq;
  const told = mandatory(facts, mode);
  const reached = await checkSources(wal, mode, facts, told);
  await checkMessages(wal, facts, told);
  return reached;
}

async function checkSources(
  wal: Queue,
  mode: IntakeMode,
  facts: readonly Fact[],
  told: readonly Fact[],
): Promise<unknown> {
  const shown: unknown[] = [];
  for (const source of SOURCES) {
    const position = Number((await wal.checkpoint(source)) ?? 0);
    shown.push(position);
    const begun = positionsOf('begun', source, facts);
    const least = positionsOf('reached', source, told).at(-1)?.position ?? 0;
    const most = begun.at(-1)?.position ?? 0;
    if (position < least)
      throw new BrokenPromise('P1', `source '${source}' is at ${position}, and had been at ${least}`);
    if (position > most) throw new BrokenPromise('P3', `source '${source}' is at ${position}, and had come to ${most}`);
    if (source !== 'kept') continue;
    const there = new Map<number, number>();
    for await (const { payload } of wal.records()) {
      const [name, at] = textOf(payload).split(':');
      if (name === 'kept') there.set(Number(at), (there.get(Number(at)) ?? 0) + 1);
    }
    const bound = mode === 'sync' ? position : durableThrough(position, facts, told);
    for (const { position: at, records } of begun) {
      const found = there.get(at) ?? 0;
      const mayBeGone = at > bound && found === 0;
      if (!mayBeGone && found !== (at <= position ? records : 0))
        throw new BrokenPromise(
          'P4',
          `source 'kept' is at ${position}; of ${records} records of ${at} there are ${found}`,
        );
    }
  }
  return shown;
}

/** The records up to there are durable: they were flushed, or a position of no records was written behind them. */
function durableThrough(position: number, facts: readonly Fact[], told: readonly Fact[]): number {
  const alone = (one: Position): boolean => one.records === 0 && one.position <= position;
  const begun = positionsOf('begun', 'kept', facts).filter((one) => alone(one) && one.position === position);
  const reached = positionsOf('reached', 'kept', facts).filter(alone);
  const flushed = positionsOf('reached', 'kept', told).slice(-1);
  return Math.max(0, ...[...begun, ...reached, ...flushed].map((one) => one.position));
}

function positionsOf(kind: Position['kind'], source: Source, facts: readonly Fact[]): Position[] {
  const positions: Position[] = [];
  for (const fact of facts) {
    if ((fact.kind === 'begun' || fact.kind === 'reached') && fact.kind === kind && fact.source === source)
      positions.push(fact);
  }
  return positions;
}

async function checkMessages(wal: Queue, facts: readonly Fact[], told: readonly Fact[]): Promise<void> {
  const removed = new Set(facts.flatMap((one) => (one.kind === 'removing' ? one.ids : [])));
  const acknowledged = new Map<string, number>();
  for (const one of facts) if (one.kind === 'known') acknowledged.set(one.messageId, one.id);
  const durable = new Set(told.flatMap((one) => (one.kind === 'known' ? [one.messageId] : [])));
  // The newest first: what is pushed here drives the oldest out.
  const names = [...new Set(facts.flatMap((one) => (one.kind === 'pushing' ? one.messageIds : [])))].reverse();
  for (const [since, messageId] of names.slice(0, WINDOW_RECORDS - 1).entries()) {
    const before = wal.stats().nextId;
    const id = await wal.push(payloadOf(messageId), { messageId });
    const wasKnown = id < before;
    const expected = acknowledged.get(messageId);
    if (!wasKnown && durable.has(messageId))
      throw new BrokenPromise(
        'P1',
        `${messageId}, ${since} before the last, came in as ${expected}, and again as ${id}`,
      );
    if (!wasKnown) continue;
    // Where it was lost, a check before the last crash may have pushed it anew.
    const isAnew = !durable.has(messageId) && id > (expected ?? 0);
    if (expected !== undefined && id !== expected && !isAnew)
      throw new BrokenPromise('P3', `${messageId} came in as ${expected}, and is known as ${id}`);
    const record = await wal.get(id);
    if (record === undefined && !removed.has(id))
      throw new BrokenPromise('P1', `${messageId} is known as ${id}, which is not there and was never removed`);
    if (record !== undefined && record.messageId !== messageId)
      throw new BrokenPromise('P3', `${messageId} is known as ${id}, which is ${record.messageId}`);
  }
}

/** Explores one seed: rejects with the script of what is broken. */
export async function exploreIntake(
  seed: number,
  mode: IntakeMode,
  statesMax: number,
  onState?: ExploreOptions['onState'],
): Promise<ExploreReport> {
  const ops = intakeOps(seed);
  const report = await explore<Op, Fact>(
    { ops, run: ({ acknowledge, ...machine }, some) => carryOut(some, mode, machine, acknowledge) },
    (machine, facts) => check(mode, machine, facts),
    {
      seed,
      timing: 'steady',
      names: 'adversarial',
      sectorBytes: 4096,
      exhaustiveMax: 2,
      draws: 1,
      depth: statesMax > DEEP_STATES ? 1 : 0,
      statesMax,
      ...(onState === undefined ? {} : { onState }),
    },
  );
  const { failure } = report;
  if (failure !== undefined) {
    const why = failure.error instanceof Error ? failure.error.message : String(failure.error);
    throw new BrokenPromise('intake', `${why}\n${failure.script}`);
  }
  return report;
}
