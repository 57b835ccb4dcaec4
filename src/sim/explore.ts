/**
 * Explores the crash states of a workload: runs it once on a simulated disk, cuts the power at every boundary of a call and after every
 * acknowledgement, and hands each distinct disk that may be left to a check, which recovers and looks. The check is cut in the same way, to a depth
 * of its own, and what it has shown once must be shown again after a further power cut.
 *
 * What is enumerated at a cut: all states where they are few (`exhaustiveMax`), otherwise the corners (nothing survives, everything, one thing missing
 * alone, one there alone, torn prefixes) and `draws` random ones. A found failure is shrunk: fewer operations, fewer losses; it reads as a script.
 * Deterministic for a seed, as long as workload and check wait for nothing but the machine's ports.
 */
import { signalOf, throwIfAborted } from '../abortable.js';
import { optionNames, requireNoMore, requireOptions } from '../arguments.js';
import { messageOf } from '../errors.js';
import { requireCount, describe as wrong } from '../ids.js';
import type { Host } from '../vfs/host.js';
import { after, hold } from '../vfs/own-timers.js';
import type { Vfs } from '../vfs/vfs.js';
import { DISK_OPTION_NAMES, requireAmount, requireSeed } from './sim-arguments.js';
import type { SimCallName } from './sim-call.js';
import type { CrashChoice } from './sim-crash.js';
import { SimDisk, type SimDiskOptions } from './sim-disk.js';
import { Prng } from './sim-prng.js';

/** What a workload runs on. */
export interface ExploreMachine<Fact> {
  readonly vfs: Vfs;
  readonly host: Host;
  /** States what the outside world was told just now, such as "record 7 is durable": every later crash is checked against it. */
  readonly acknowledge: (fact: Fact) => void;
}

/** What a check runs on: a disk after a crash. */
export interface RecoveryMachine {
  readonly vfs: Vfs;
  readonly host: Host;
}

export interface Workload<Op, Fact> {
  /** In order. `String(op)` is its line in a script. */
  readonly ops: readonly Op[];
  /** Carries the operations out, all of them or, while a failure is shrunk, some. */
  readonly run: (machine: ExploreMachine<Fact>, ops: readonly Op[]) => Promise<void>;
}

/**
 * Recovers and looks: throws where a promise is broken. `facts` are those that were acknowledged before the crash. What it returns, if anything,
 * is what a user of the recovered program sees: it has to be the same (as JSON) after another power cut.
 */
export type CrashCheck<Fact> = (machine: RecoveryMachine, facts: readonly Fact[]) => Promise<unknown>;

export interface ExploreOptions extends Partial<SimDiskOptions> {
  /** At each cut: all states if there are at most this many choices. 64 if not given. */
  readonly exhaustiveMax?: number;
  /** At each cut: random states beside the corners where there are more. 8 if not given. */
  readonly draws?: number;
  /** Crashes during the check, one within the other: 0 to 3. 1 if not given. */
  readonly depth?: number;
  /** Ends the exploration after so many distinct states. 20 000 if not given. */
  readonly statesMax?: number;
  /** A disk to begin with, instead of an empty one: what the workload needs and need not be cut. It stays as it is. */
  readonly start?: SimDisk;
  /** Milliseconds of real time after which a run counts as hanging. 10 000 if not given. */
  readonly hangMs?: number;
  /**
   * Told of each state before it is checked: the hash of its disk (`SimDisk.hash`), which several states have that differ only in what was acknowledged,
   * and the number of crashes during the check. For counting, and for showing that a long exploration goes on.
   */
  readonly onState?: (hash: string, depth: number) => void;
  /** Aborted: the exploration ends behind the run that is under way, and rejects with its reason. */
  readonly signal?: AbortSignal;
}

const NAMES = optionNames(
  'seed',
  ...DISK_OPTION_NAMES,
  'exhaustiveMax',
  'draws',
  'depth',
  'statesMax',
  'start',
  'hangMs',
  'onState',
  'signal',
);
const DEPTH_MAX = 3;

/** A power cut, or the death of the process, on the way to a failure. */
export interface ExploredCrash {
  /** The call that took effect last, or the fact that was acknowledged. */
  readonly after: string;
  /** What was lost, or undefined where only the process died. */
  readonly choice: CrashChoice | undefined;
  /** The same in words. */
  readonly lost: readonly string[];
}

export interface ExploreFailure {
  readonly error: unknown;
  readonly crashes: readonly ExploredCrash[];
  /** The whole story, with the seed. */
  readonly script: string;
}

export interface ExploreReport {
  readonly seed: number;
  /** Points at which the workload was cut. */
  readonly cuts: number;
  /** Distinct disks that were checked, as far as they were reached with different facts. */
  readonly states: number;
  /** The same, by the number of crashes during the check: the first number is complete if there is a second. */
  readonly statesByDepth: readonly number[];
  /** True unless `statesMax` ended the exploration. */
  readonly finished: boolean;
  /** The first broken promise that was found, shrunk. */
  readonly failure: ExploreFailure | undefined;
}

interface Snapshot<Fact> {
  readonly disk: SimDisk;
  readonly after: string;
  readonly facts: readonly Fact[];
}

/** An `ExploredCrash` of which nobody has asked yet what was lost. */
interface Crash {
  readonly after: string;
  readonly choice: CrashChoice | undefined;
  /** The disk on which it happened. */
  readonly on: SimDisk;
}

/** A point to crash at, with the story so far. */
interface Source<Fact> {
  readonly at: Snapshot<Fact>;
  readonly crashes: readonly Crash[];
  /** What a check has shown before, as JSON. */
  readonly shown: string | undefined;
}

/** A disk after a crash, to be checked. */
interface Node<Fact> {
  readonly disk: SimDisk;
  readonly facts: readonly Fact[];
  readonly crashes: readonly Crash[];
  readonly shown: string | undefined;
}

type Resolved = Required<Pick<ExploreOptions, 'exhaustiveMax' | 'draws' | 'depth' | 'statesMax' | 'hangMs'>> & {
  readonly begin: () => SimDisk;
  readonly onState: ExploreOptions['onState'];
  readonly signal: AbortSignal | undefined;
};

/** Calls that change nothing: a cut after them is the cut before them. */
const READING: ReadonlySet<SimCallName> = new Set([
  'list',
  'stat',
  'identity',
  'open',
  'freeBytes',
  'size',
  'read',
  'close',
  'release',
  'lock',
]);

const SHRINKS_MAX = 200;
/** Stands for the point after the last call. */
const THE_END = 'the end';

/**
 * Never rejects for what workload and check do: a failing check is the report's `failure`; so is a workload that fails by itself.
 * Wrong arguments are a TypeError or RangeError.
 */
export async function explore<Op, Fact>(
  workload: Workload<Op, Fact>,
  check: CrashCheck<Fact>,
  options: ExploreOptions = {},
): Promise<ExploreReport> {
  requireNoMore(arguments.length, 3, 'explore');
  requireWorkload(workload);
  if (typeof check !== 'function') throw new TypeError(`check must be a function, got ${wrong(check)}`);
  requireOptions(options, 'explore', NAMES);
  for (const name of ['exhaustiveMax', 'draws', 'statesMax', 'hangMs']) requireAmount(options, name, 0);
  const { exhaustiveMax = 64, draws = 8, depth = 1, statesMax = 20_000, hangMs = 10_000, seed = 1 } = options;
  requireSeed(seed);
  requireCount(depth, 'depth', 0);
  if (depth > DEPTH_MAX) throw new RangeError(`depth must be at most ${DEPTH_MAX}, got ${depth}`);
  const signal = signalOf(options, 'explore');
  const { start, onState } = options;
  if (onState !== undefined && typeof onState !== 'function') {
    throw new TypeError(`onState must be a function, got ${wrong(onState)}`);
  }
  if (start !== undefined && !(start instanceof SimDisk)) {
    throw new TypeError(`start must be a SimDisk, got ${wrong(start)}`);
  }
  const disk = diskOptionsOf(options);
  const begin = (): SimDisk => start?.fork(seed) ?? new SimDisk({ ...disk, seed });
  // Options that are none show here, and not as a failure of the workload.
  begin();
  throwIfAborted(signal);
  const resolved: Resolved = { exhaustiveMax, draws, depth, statesMax, hangMs, begin, onState, signal };
  const first = await exploreOnce(workload, workload.ops, check, resolved);
  if (first.found === undefined) return { seed, ...first.counts, failure: undefined };

  // Fewer operations first, each time with everything explored anew; then fewer losses.
  let ops = workload.ops;
  let found = first.found;
  let shrinks = 0;
  for (let i = ops.length - 1; i >= 0 && shrinks < SHRINKS_MAX; i--) {
    const fewer = ops.filter((_, at) => at !== i);
    shrinks++;
    const again = await exploreOnce(workload, fewer, check, resolved);
    if (again.found === undefined) continue;
    // A workload that cannot do without its operation tells another story.
    if (failsByItself(again.found) && !failsByItself(first.found)) continue;
    ops = fewer;
    found = again.found;
  }
  found = await shrinkLosses(found, check, resolved);
  const crashes = found.node.crashes.map(({ after, choice, on }): ExploredCrash => {
    return { after, choice, lost: choice === undefined ? [] : describe(on, choice) };
  });
  return { seed, ...first.counts, failure: { error: found.error, crashes, script: tell(ops, crashes, found, seed) } };
}

function requireWorkload(workload: unknown): void {
  if (typeof workload !== 'object' || workload === null) {
    throw new TypeError(`workload must be an object, got ${wrong(workload)}`);
  }
  if (!Array.isArray(Reflect.get(workload, 'ops'))) throw new TypeError('workload.ops must be an array');
  if (typeof Reflect.get(workload, 'run') !== 'function') throw new TypeError('workload.run must be a function');
}

function diskOptionsOf(options: ExploreOptions): Partial<SimDiskOptions> {
  return Object.fromEntries(DISK_OPTION_NAMES.map((name) => [name, options[name]]));
}

interface Found<Fact> {
  readonly node: Node<Fact>;
  readonly error: unknown;
  /** The disks on which the crashes happened, for shrinking. */
  readonly parent: Snapshot<Fact> | undefined;
}

function failsByItself({ parent, node }: Found<unknown>): boolean {
  return parent === undefined && node.crashes.length === 0;
}

interface Counts {
  readonly cuts: number;
  readonly states: number;
  readonly statesByDepth: readonly number[];
  readonly finished: boolean;
}

async function exploreOnce<Op, Fact>(
  workload: Workload<Op, Fact>,
  ops: readonly Op[],
  check: CrashCheck<Fact>,
  options: Resolved,
): Promise<{ counts: Counts; found: Found<Fact> | undefined }> {
  const seen = new Set<string>();
  const statesByDepth: number[] = [];
  const snapshots: Snapshot<Fact>[] = [];
  const disk = options.begin();
  const facts: Fact[] = [];
  const failed = await observe(disk, facts, snapshots, options.hangMs, (acknowledge) =>
    workload.run({ vfs: disk.vfs, host: disk.host, acknowledge }, ops),
  );
  const counts = (finished: boolean): Counts => ({
    cuts: snapshots.length,
    states: seen.size,
    statesByDepth,
    finished,
  });
  if (failed !== undefined) {
    const node: Node<Fact> = { disk, facts, crashes: [], shown: undefined };
    return { counts: counts(false), found: { node, error: failed.error, parent: undefined } };
  }

  // Level by level, so that the shortest story is found first.
  let parents: readonly Node<Fact>[] = [];
  for (let depth = 0; depth <= options.depth; depth++) {
    const nodes: Node<Fact>[] = [];
    /** Checks what may be left of `source`. */
    const look = async (source: Source<Fact>): Promise<Found<Fact> | 'enough' | undefined> => {
      for (const node of statesAfter(source, depth, options)) {
        const how = node.crashes.at(-1)?.choice === undefined ? 'killed' : 'cut';
        const hash = node.disk.hash();
        const key = `${hash} ${how} ${node.facts.length} ${node.shown ?? ''}`;
        if (seen.has(key)) continue;
        if (seen.size >= options.statesMax) return 'enough';
        seen.add(key);
        statesByDepth[depth] = (statesByDepth[depth] ?? 0) + 1;
        options.onState?.(hash, depth);
        const outcome = await runCheck(node, check, options.hangMs, undefined);
        throwIfAborted(options.signal);
        if (outcome.kind === 'failed') return { node, error: outcome.error, parent: source.at };
        if (depth < options.depth) nodes.push(node);
      }
      return undefined;
    };
    const sources =
      depth === 0
        ? snapshots.map((at): Source<Fact> => ({ at, crashes: [], shown: undefined }))
        : cutChecks(parents, check, options);
    for await (const source of sources) {
      const end = await look(source);
      if (end === 'enough') return { counts: counts(false), found: undefined };
      if (end !== undefined) return { counts: counts(true), found: end };
    }
    // In any order, so that a bound leaves a sample of all of them and not the first ones.
    parents = shuffled(nodes, new Prng(depth + 1));
  }
  return { counts: counts(true), found: undefined };
}

/** Runs the check once more on each of `nodes`, this time to be cut itself: the points to cut it at. */
async function* cutChecks<Fact>(
  nodes: readonly Node<Fact>[],
  check: CrashCheck<Fact>,
  options: Resolved,
): AsyncGenerator<Source<Fact>> {
  for (const { disk, facts, crashes, shown } of nodes) {
    const inner: Snapshot<Fact>[] = [];
    const outcome = await runCheck({ disk, facts, crashes, shown }, check, options.hangMs, inner);
    // It passed before. Where it does not now, what follows from its cuts says more.
    const view = outcome.kind === 'ok' ? outcome.shown : shown;
    for (const at of inner) yield { at, crashes, shown: at.after === THE_END ? view : shown };
  }
}

/** The disks that may be left if everything stops at a snapshot: the process dies alone, or the power goes. */
function* statesAfter<Fact>(
  { at, crashes, shown }: Source<Fact>,
  depth: number,
  options: Resolved,
): Generator<Node<Fact>> {
  const { facts, after } = at;
  yield { disk: at.disk.fork(), facts, shown, crashes: [...crashes, { after, choice: undefined, on: at.disk }] };
  // Deeper down the corners are enough.
  const exhaustiveMax = depth === 0 ? options.exhaustiveMax : Math.min(options.exhaustiveMax, 8);
  const draws = depth === 0 ? options.draws : Math.min(options.draws, 2);
  for (const { choice, disk } of at.disk.crashStates({ exhaustiveMax, draws })) {
    yield { disk, facts, shown, crashes: [...crashes, { after, choice, on: at.disk }] };
  }
}

async function runCheck<Fact>(
  node: Node<Fact>,
  check: CrashCheck<Fact>,
  hangMs: number,
  snapshots: Snapshot<Fact>[] | undefined,
): Promise<
  { readonly kind: 'ok'; readonly shown: string | undefined } | { readonly kind: 'failed'; readonly error: unknown }
> {
  // The state is kept as it is: for a further look, and for shrinking.
  const disk = node.disk.fork();
  let shown: string | undefined;
  const failed = await observe(disk, [...node.facts], snapshots, hangMs, async () => {
    const view = await check({ vfs: disk.vfs, host: disk.host }, node.facts);
    shown = view === undefined ? undefined : JSON.stringify(view);
    if (node.shown !== undefined && shown !== node.shown) {
      throw new Error(`recovery shows ${shown ?? 'nothing'} and showed ${node.shown} before the last crash`);
    }
  });
  return failed === undefined ? { kind: 'ok', shown } : { kind: 'failed', error: failed.error };
}

/** Runs `body` and takes a snapshot at each point worth a cut. Resolves with what it threw, if anything. */
async function observe<Fact>(
  disk: SimDisk,
  facts: Fact[],
  snapshots: Snapshot<Fact>[] | undefined,
  hangMs: number,
  body: (acknowledge: (fact: Fact) => void) => Promise<void>,
): Promise<{ readonly error: unknown } | undefined> {
  const take = (after: string): void => {
    snapshots?.push({ disk: disk.fork(), after, facts: [...facts] });
  };
  take('the start');
  const stop = disk.observe(({ phase, call }) => {
    if (phase !== 'effect' || READING.has(call.name)) return;
    take(`${call.name} ${call.path}${call.detail === '' ? '' : ` ${call.detail}`}`);
  });
  let cancel: () => void = () => undefined;
  const release = hold();
  const hang = new Promise<never>((_, reject) => {
    cancel = after(hangMs, () => reject(new Error(`nothing came to an end within ${hangMs} ms`)));
  });
  try {
    const done = body((fact) => {
      facts.push(fact);
      take(`the acknowledgement of ${String(fact)}`);
    });
    await Promise.race([done, hang]);
    take(THE_END);
    return undefined;
  } catch (error) {
    return { error };
  } finally {
    cancel();
    release();
    stop();
    disk.kill();
  }
}

function shuffled<T>(items: readonly T[], prng: Prng): T[] {
  const rest = [...items];
  const result: T[] = [];
  while (rest.length > 0) result.push(...rest.splice(prng.below(rest.length), 1));
  return result;
}

/** Gives back, one by one, what the last crash need not lose for the check to fail. */
async function shrinkLosses<Fact>(
  found: Found<Fact>,
  check: CrashCheck<Fact>,
  options: Resolved,
): Promise<Found<Fact>> {
  const last = found.node.crashes.at(-1);
  if (found.parent === undefined || last?.choice === undefined) return found;
  const parent = found.parent.disk;
  let best = found;
  let choice = last.choice;
  for (let i = 0; i < choice.length && i < SHRINKS_MAX; i++) {
    if (choice[i] === 0) continue;
    const gentler = choice.with(i, 0);
    const crash: Crash = { after: last.after, choice: gentler, on: parent };
    const node = { ...found.node, disk: parent.crash(gentler), crashes: [...found.node.crashes.slice(0, -1), crash] };
    const outcome = await runCheck(node, check, options.hangMs, undefined);
    if (outcome.kind === 'ok') continue;
    choice = gentler;
    best = { ...found, node, error: outcome.error };
  }
  return best;
}

function describe(disk: SimDisk, choice: CrashChoice): string[] {
  const lost: string[] = [];
  for (const [i, point] of disk.crashPoints().entries()) {
    const pick = (choice[i] ?? 0) % point.options;
    if (pick === 0) continue;
    lost.push(
      point.kind === 'fill'
        ? `fill ${pick} of ${point.subject}`
        : `${point.subject}${pick === point.lost ? '' : ` back by ${pick}`}`,
    );
  }
  return lost;
}

function tell<Op, Fact>(
  ops: readonly Op[],
  crashes: readonly ExploredCrash[],
  found: Found<Fact>,
  seed: number,
): string {
  const lines = [
    `workload: ${ops.map(String).join(' ')}`,
    `acknowledged: ${found.node.facts.map(String).join(' ') || 'nothing'}`,
  ];
  for (const [i, { after, choice, lost }] of crashes.entries()) {
    const where = i === 0 ? '' : ' during recovery';
    lines.push(
      choice === undefined
        ? `kill${where} after ${after}`
        : `power cut${where} after ${after}; choice [${choice.join(' ')}]`,
    );
    for (const one of lost) lines.push(`  lost: ${one}`);
  }
  lines.push(`then: ${messageOf(found.error)}`, `seed: ${seed}`);
  return lines.join('\n');
}
