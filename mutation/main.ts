/** `npm run mutation -- <rooms or files>`: makes the changes, hunts them with the quick tests, and says what is left. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundleTests } from './bundle.js';
import { huntAll, type Outcome, type Reached, reachedBy } from './hunt.js';
import { type MutableFile, type Mutant, type MutatedFile, mutantsOf } from './mutants.js';
import { excusedBy } from './survivors.js';
import { waitsAll } from './waits.js';

export interface MutationOptions {
  readonly root: string;
  /** Rooms, or files below `src/`. */
  readonly where: readonly string[];
  /** Of each file, so many changes, spread over it; all where it is 0. */
  readonly sample: number;
  /** A test that takes more of the processor is left out. */
  readonly testMs: number;
  /** So much is run on one change, the cheapest tests first. */
  readonly mutantMs: number;
  /** Text in names of tests' files: fewer of them. */
  readonly tests: readonly string[];
  /** Leaves waits for the disk out, instead. */
  readonly waits: boolean;
  /** Also what was found before. */
  readonly again: boolean;
}

export const ROOMS: readonly string[] = ['segment', 'tombstone', 'gc', 'log', 'queue', 'store', 'raw'];
const TEST_ROOMS = [...ROOMS, 'index', 'intake', 'limits', 'time'];
/** Processes, threads and packages of their own; minutes; or what the tests' runner here has not. */
const LEFT_OUT =
  /(?:worker-threads|native-unavailable|store-locked|store-lock|one-writer|holds|gc-load|store-copied|batch-stream|recovered-tail|follow|payload-views|live-set)\.test\.ts$/;

/** Properties of pure parts, as quick as tests. */
const PROPERTIES = ['tombstone-ranges', 'gc-plan'];

/** Of a test: what it takes of the processor, and which changes it reaches, as their numbers by file. */
interface Reach {
  readonly ms: number;
  readonly error?: string;
  readonly hits: Readonly<Record<string, readonly number[]>>;
}

/** Of a test file, as it was with this text and these sources. */
interface FileReach {
  readonly text: string;
  /** By source file the hash of its text. */
  readonly sources: Readonly<Record<string, string>>;
  readonly tests: Record<string, Reach>;
}

interface Known {
  /** By test file. */
  readonly reach: Record<string, FileReach>;
  readonly results: Record<string, Outcome>;
}

export async function mutation(options: MutationOptions): Promise<boolean> {
  const { root } = options;
  const kept = join(root, 'node_modules/.mutation');
  mkdirSync(kept, { recursive: true });
  const folder = mkdtempSync(join(kept, 'run-'));
  try {
    const known = readKnown(join(kept, 'known.json'));
    const all = options.waits ? waitsAll(join(root, 'src')) : mutableFiles(root);
    const chosen = new Set(
      options.where.flatMap((one) => all.filter(({ file }) => file === one || file.startsWith(`${one}/`))),
    );
    const reach = await reachOf(options, folder, all, chosen, known);
    let unknown = 0;
    for (const { make } of chosen) unknown += await huntFile(options, folder, await make(), reach, known);
    return unknown === 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readKnown(path: string): Known & { save(): void } {
  let known: Known = { reach: {}, results: {} };
  try {
    known = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    // The first run here.
  }
  return { ...known, save: () => writeFileSync(path, JSON.stringify(known)) };
}

function mutableFiles(root: string): MutableFile[] {
  const files = ROOMS.flatMap((room) =>
    readdirSync(join(root, 'src', room))
      .filter((name) => name.endsWith('.ts'))
      .sort()
      .map((name) => `${room}/${name}`),
  );
  const src = join(root, 'src');
  return files.map((file) => ({
    file,
    source: readFileSync(join(src, file), 'utf8'),
    make: () => mutantsOf(src, file),
  }));
}

function testFiles({ root, tests }: MutationOptions): string[] {
  const files = TEST_ROOMS.flatMap((room) =>
    readdirSync(join(root, 'test/unit', room))
      .filter((name) => name.endsWith('.test.ts') && !LEFT_OUT.test(name))
      .map((name) => `test/unit/${room}/${name}`),
  );
  files.push(...PROPERTIES.map((name) => `test/property/${name}.test.ts`));
  return tests.length === 0 ? files : files.filter((file) => tests.some((text) => file.includes(text)));
}

function packed({ ms, error, hits }: Reached): Reach {
  const numbers: Record<string, number[]> = {};
  for (const id of Object.keys(hits)) {
    const [file = '', number] = id.split('#');
    numbers[file] ??= [];
    numbers[file].push(Number(number));
  }
  return error === undefined ? { ms, hits: numbers } : { ms, error, hits: numbers };
}

function isIn(hits: Reach['hits'], id: string): boolean {
  const [file = '', number] = id.split('#');
  return hits[file]?.includes(Number(number)) === true;
}

function hashOf(...texts: readonly string[]): string {
  return createHash('sha256').update(texts.join('\0')).digest('hex').slice(0, 16);
}

/**
 * Which tests reach which changes, and what each test costs. Looked at again are test files that are new or have changed, and all where a chosen source has:
 * what another one's change does to it is little, and nothing is called found that a run has not shown.
 */
async function reachOf(
  options: MutationOptions,
  folder: string,
  all: readonly MutableFile[],
  chosen: ReadonlySet<MutableFile>,
  known: Known & { save(): void },
): Promise<Map<string, Reach>> {
  const { root } = options;
  const files = testFiles(options);
  const texts = new Map(files.map((file) => [file, hashOf(readFileSync(join(root, file), 'utf8'))]));
  // The waits are numbered throughout: a change to one file is one to all.
  const waits = options.waits ? hashOf('waits', ...all.map(({ source }) => source)) : undefined;
  const sources = Object.fromEntries(all.map(({ file, source }) => [file, waits ?? hashOf(source)]));
  const keyOf = (file: string): string => (waits === undefined ? file : `${file} waits`);
  const isKnown = (file: string): boolean => {
    const before = known.reach[keyOf(file)];
    if (before === undefined || before.text !== texts.get(file)) return false;
    return [...chosen].every((one) => before.sources[one.file] === sources[one.file]);
  };
  const missing = files.filter((file) => !isKnown(file));
  if (missing.length > 0) {
    console.error(`${missing.length} test files: what they reach`);
    const bundle = join(folder, 'reach.mjs');
    await bundleTests(root, bundle, missing, await Promise.all(all.map(({ make }) => make())));
    for (const file of missing) known.reach[keyOf(file)] = { text: texts.get(file) ?? '', sources, tests: {} };
    await reachedBy(bundle, missing, (test, reached) => {
      const own = known.reach[keyOf(test.split(' > ')[0] ?? '')];
      if (own !== undefined) own.tests[test] = packed(reached);
      if (reached.error !== undefined) console.error(`left out: ${test}: ${reached.error.split('\n')[0]}`);
    });
    known.save();
  }
  return new Map(files.flatMap((file) => Object.entries(known.reach[keyOf(file)]?.tests ?? {})));
}

/** A constant at load: a process of its own for each, and their relations are asserted there. */
const CONSTANT = /^(?:export )?const [A-Z][A-Z0-9_]*\b/;

/** Returns how many changes survived that nothing excuses. */
async function huntFile(
  { root, sample, testMs, mutantMs, again }: MutationOptions,
  folder: string,
  mutated: MutatedFile,
  reach: ReadonlyMap<string, Reach>,
  known: Known & { save(): void },
): Promise<number> {
  const usable = [...reach].filter(([, { ms, error }]) => error === undefined && ms <= testMs);
  const usual = Object.fromEntries(usable.map(([name, { ms }]) => [name, ms]));
  const mutants = sampleOf(
    mutated.mutants.filter(({ text }) => !CONSTANT.test(text)),
    sample,
  );
  const hash = hashOf(mutated.text);
  const outcomes = new Map<string, Outcome | 'unreached'>();
  const work = [];
  for (const { id, file } of mutants) {
    const before = known.results[`${hash} ${id}`];
    if (before !== undefined && before.how !== 'survived' && !again) {
      outcomes.set(id, before);
      continue;
    }
    const tests = withinBudget(
      file,
      usable.filter(([, { hits }]) => isIn(hits, id)),
      mutantMs,
    );
    if (tests.length === 0) outcomes.set(id, 'unreached');
    else work.push({ mutant: id, tests });
  }
  if (work.length > 0) {
    const bundle = join(folder, 'hunt.mjs');
    const files = [...new Set(work.flatMap(({ tests }) => tests.map((test) => test.split(' > ')[0] ?? '')))];
    await bundleTests(root, bundle, files, [mutated]);
    await huntAll(bundle, work, usual, (id, outcome) => {
      outcomes.set(id, outcome);
      known.results[`${hash} ${id}`] = outcome;
    });
    known.save();
  }
  return report(mutated, mutants, outcomes);
}

/** So many, spread evenly: the same ones each time. */
function sampleOf(mutants: readonly Mutant[], sample: number): readonly Mutant[] {
  if (sample === 0 || mutants.length <= sample) return mutants;
  return Array.from({ length: sample }, (_, i) => mutants[Math.floor((i * mutants.length) / sample)]).flatMap(
    (one) => one ?? [],
  );
}

/** The cheapest first; those of the file's room, and more so of its name, as if they cost less. */
function withinBudget(file: string, tests: readonly (readonly [string, Reach])[], budgetMs: number): string[] {
  const own = file.replace(/\.ts$/, '.test.ts');
  const room = `/${file.slice(0, file.indexOf('/') + 1)}`;
  const rank = ([name, { ms }]: readonly [string, Reach]): number =>
    ms / (name.includes(own) ? 100 : name.includes(room) ? 4 : 1);
  let spentMs = 0;
  const chosen: string[] = [];
  for (const [name, { ms }] of tests.toSorted((a, b) => rank(a) - rank(b))) {
    spentMs += ms;
    if (spentMs > budgetMs && chosen.length > 0) break;
    chosen.push(name);
  }
  return chosen;
}

function report(
  { file }: MutatedFile,
  mutants: readonly Mutant[],
  outcomes: ReadonlyMap<string, Outcome | 'unreached'>,
): number {
  const counts = { found: 0, hung: 0, excused: 0, survived: 0, unreached: 0 };
  for (const mutant of mutants) {
    const outcome = outcomes.get(mutant.id) ?? 'unreached';
    const how = outcome === 'unreached' ? outcome : outcome.how;
    const excuse = how === 'survived' || how === 'unreached' ? excusedBy(mutant) : undefined;
    const kind = excuse === undefined ? how : 'excused';
    counts[kind]++;
    if (kind === 'survived' || kind === 'unreached')
      console.log(
        `${kind}: ${file}:${mutant.line} { ${mutant.text} } [${short(mutant.from)}] -> [${short(mutant.to)}]`,
      );
  }
  const { found, hung, excused, survived, unreached } = counts;
  console.log(`| \`${file}\` | ${mutants.length} | ${found} | ${hung} | ${excused} | ${survived} | ${unreached} |`);
  return survived + unreached;
}

function short(text: string): string {
  return text.length <= 100 ? text : `${text.slice(0, 90)} ...`;
}
