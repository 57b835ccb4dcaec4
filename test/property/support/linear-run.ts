/**
 * Carries out a script of several clients on the simulated machine and writes the history of it. Between its parts everything is read; each part
 * is then checked on its own, also for a few states that its power cut could have left.
 */
import { Evaq } from '../../../src/evaq.js';
import type { Queue } from '../../../src/queue/queue.js';
import { formatCall, type SimCall } from '../../../src/sim/sim-call.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { describeCall, type Iteration, QUEUES, type QueueName, type Seen, type View } from './history.js';
import { type CheckStats, unexplained } from './linear-check.js';
import { Clients, endingOf, Memory, Payloads, SOURCE, type Store, Unexplained } from './linear-client.js';
import { describeLinear, type LinearScript, type Part } from './linear-script.js';
import { learnMessages } from './linear-words.js';

const STORE = '/srv/store';
/** Of simulated time: whatever has not ended by then never does. */
const HANG_MS = 20 * 60_000;
/** For all that is under way in the background, before a tail is asked for what it has left out. */
const DRAIN_MS = 10_000;
/** Further states of each power cut. */
const BRANCHES = 2;

class LinearRun {
  readonly #script: LinearScript;
  readonly #stats: CheckStats;
  readonly #payloads: Payloads = new Payloads();
  readonly #memory: Memory = new Memory();
  #position: number | undefined;
  #disk: SimDisk;

  constructor(script: LinearScript, stats: CheckStats) {
    const { seed, timing, names } = script;
    this.#script = script;
    this.#stats = stats;
    this.#disk = new SimDisk({ seed, timing, names });
  }

  async run(): Promise<void> {
    let before = await this.#fill();
    for (const part of this.#script.parts) before = await this.#part(part, before);
    this.#disk.kill();
  }

  async #fill(): Promise<View> {
    const store = await this.#open(this.#disk, false);
    for (const [queue, sizes] of [
      [store.evaq.wal, this.#script.wal],
      [store.evaq.deadLetters, this.#script.dead],
    ] as const) {
      for (const bytes of sizes) await queue.push(this.#payloads.next(bytes));
    }
    const view = await this.#look(store);
    await store.evaq.close();
    return view;
  }

  async #open(disk: SimDisk, isLimited = true): Promise<Store> {
    const { mode, limit } = this.#script;
    const evaq = await Evaq.open(STORE, {
      ports: { vfs: disk.vfs, host: disk.host },
      segmentBytes: 64 * 1024,
      durability: mode === 'interval' ? { intervalMs: 20 } : mode,
      recycleSegments: this.#script.seed % 3,
      gc: { liveShareMax: 0.9 },
      dedupe: { windowMs: 1e12, windowRecords: 1000 },
      ...(limit === undefined || !isLimited ? {} : { limits: { records: limit } }),
    });
    const queues = new Map<QueueName, Queue>([
      ['wal', evaq.wal],
      ['dead-letters', evaq.deadLetters],
    ]);
    return { evaq, queues };
  }

  async #part(part: Part, before: View): Promise<View> {
    const disk = this.#disk;
    const store = await this.#open(disk);
    const mayFail = part.faults.length > 0 || part.roomBytes !== undefined;
    const clients = new Clients(disk, store, this.#payloads, before, this.#memory, mayFail);
    const { calls } = clients.history;
    for (const { path, ...rule } of part.faults) disk.fault(path === '' ? rule : { ...rule, path });
    if (part.roomBytes !== undefined) disk.limits.capacityBytes = disk.usedBytes + part.roomBytes;
    const firstCall = disk.calls.length;
    await this.#serve(part, store, clients);
    clients.end();
    const made = disk.calls.slice(firstCall);
    const trouble = {
      faults: part.faults.length > 0 || part.roomBytes !== undefined,
      stops: made.some(mayStop) || failedTwice(made),
      failures: made.filter(({ outcome }) => outcome !== 'ok' && outcome !== 'under way').map(formatCall),
    };
    const { end } = part;
    const { mode, limit } = this.#script;
    let reached: number | undefined;
    disk.limits.capacityBytes = Infinity;
    const states =
      end === 'power'
        ? [disk.drawCrash(part.draw), disk.nothingSurvives(), disk.drawCrash(part.draw + 1)]
            .slice(0, BRANCHES + 1)
            .map((choice) => disk.crash(choice))
        : [disk.fork()];
    let result: View | undefined;
    for (const state of states) {
      state.limits.capacityBytes = Infinity;
      const opened = await this.#open(state);
      const [damage] = opened.evaq.recovery.damage;
      if (damage !== undefined) throw new Unexplained(`P9: a crash was taken for damage: ${damage.what}`);
      const after = await this.#look(opened);
      const position = await opened.evaq.wal.checkpoint(SOURCE);
      await opened.evaq.close();
      const positions = { before: this.#position, after: typeof position === 'number' ? position : undefined };
      const chapter = { calls, before, after, end, mode, positions, limit };
      const found = unexplained(chapter, trouble, this.#stats);
      if (found !== undefined) throw new Unexplained(found);
      if (result === undefined) {
        result = after;
        reached = positions.after;
        learnMessages(this.#memory, chapter);
        this.#disk = state;
      }
    }
    disk.kill();
    if (result === undefined) throw new Error('a part leaves at least one state');
    this.#position = reached;
    return result;
  }

  /** Resolves when the part is over: its process is dead, or the store closed. */
  async #serve(part: Part, store: Store, clients: Clients): Promise<void> {
    const disk = this.#disk;
    const { host } = disk;
    const watch = disk.spawn();
    const signal = new AbortController();
    let cancelWatch = (): void => undefined;
    const hung = new Promise<'hung'>((resolve) => {
      cancelWatch = watch.host.after(HANG_MS, () => resolve('hung'));
    });
    const running = part.clients.map((acts, i) => clients.run('abcdef'[i] ?? `${i}`, acts));
    const iterations: Iteration[] = [];
    const tails = part.tails.map((queue, i) => clients.tail(`tail ${i + 1}`, queue, signal.signal, iterations));
    const stopAt = new Promise<'stopped'>((resolve) => {
      if (part.endAfterSteps === Infinity) return;
      if (part.end !== 'close') {
        void disk.cutAfter(disk.steps + part.endAfterSteps).then(() => resolve('stopped'));
        return;
      }
      const last = disk.steps + part.endAfterSteps;
      const stop = disk.observe(({ step }) => {
        if (step < last) return;
        stop();
        resolve('stopped');
      });
    });
    const done = Promise.all(running).then(async () => {
      if (tails.length > 0) await new Promise<void>((resolve) => host.after(DRAIN_MS, resolve));
      const now = clients.history.tick();
      for (const iteration of iterations) iteration.drainedAt = now;
      signal.abort('enough');
      await Promise.all(tails);
      return 'done' as const;
    });
    done.catch(() => undefined);
    try {
      if ((await Promise.race([done, stopAt, hung])) === 'hung') throw new Unexplained(hang('the clients', clients));
      if (part.end === 'close') {
        const closed = store.evaq.close().then(
          () => 'closed' as const,
          (error: unknown) => endingOf(error),
        );
        const outcome = await Promise.race([closed, hung]);
        if (outcome === 'hung') throw new Unexplained(hang('close', clients));
        if ((await Promise.race([done, hung])) === 'hung') throw new Unexplained(hang('a call beside close', clients));
        cancelWatch();
        const open = disk.openHandles();
        if (outcome === 'closed' && open.length > 0) throw new Unexplained(`open after close: ${open.join(', ')}`);
      }
    } finally {
      cancelWatch();
      disk.kill();
    }
  }

  async #look({ queues }: Store): Promise<View> {
    const view = new Map<QueueName, Seen[]>();
    for (const name of QUEUES) {
      const queue = queues.get(name);
      if (queue === undefined) continue;
      const seen: Seen[] = [];
      for (let from = 0; ; ) {
        const records = await queue.read({ from, maxBytes: 30_000 });
        const last = records.at(-1);
        if (last === undefined) break;
        for (const record of records) seen.push(this.#payloads.seen(record));
        from = last.id + 1;
      }
      if (seen.length !== queue.size)
        throw new Unexplained(`P3: ${name} counts ${queue.size}, and ${seen.length} can be read`);
      view.set(name, seen);
    }
    return view;
  }
}

function hang(who: string, { history }: Clients): string {
  const waiting = history.calls.filter(({ ending }) => ending === 'under way');
  return [`${who} never came to an end`, ...waiting.map(describeCall)].join('\n  ');
}

/** Nothing was synced, and nothing failed to be. */
const PASSING_ERRORS: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN']);

/** A sync that failed, or what may be a failed cut after a failed write: only that may stop a store. */
function mayStop({ name, outcome }: SimCall): boolean {
  if (outcome === 'ok' || outcome === 'under way') return false;
  switch (name) {
    case 'sync':
    case 'truncate':
      return true;
    case 'writeAndSyncBlocking':
    case 'syncDir':
      return !PASSING_ERRORS.has(outcome);
    default:
      return false;
  }
}

/** A write failed, and what was to undo it, which for a log of tombstones is another write. */
function failedTwice(calls: readonly SimCall[]): boolean {
  const failed = new Set<string>();
  for (const { name, path, outcome } of calls) {
    if (outcome === 'ok' || outcome === 'under way' || (name !== 'write' && name !== 'writeBlocking')) continue;
    if (failed.has(path) && path.includes('.tomb')) return true;
    failed.add(path);
  }
  return false;
}

/** @throws `Unexplained`, with the history and the script. */
export async function runLinear(script: LinearScript, stats: CheckStats): Promise<void> {
  try {
    await new LinearRun(script, stats).run();
  } catch (error) {
    if (error instanceof Unexplained) error.message += `\nscript: ${describeLinear(script)}`;
    throw error;
  }
}
