/**
 * As much of vitest as the quick tests use, in one process and without timers: a test that waits for ever is seen as soon as nothing is left to happen
 * (`worker.ts`), and a run of one test costs no more than the test.
 */
import { inspect } from 'node:util';
import {
  ASYMMETRIC_MATCHERS_OBJECT,
  chai,
  GLOBAL_EXPECT,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
  setState,
} from '@vitest/expect';

type Step = () => unknown;

export interface Test {
  /** `test/unit/gc/gc-plan.test.ts > P6: ... > does`. */
  readonly name: string;
  readonly file: string;
  readonly body: Step;
  /** Of the groups around it, outermost first. */
  readonly before: readonly Step[];
  readonly after: readonly Step[];
}

interface Group {
  readonly name: string;
  readonly before: Step[];
  readonly after: Step[];
}

/** All that were registered. */
export const tests: Test[] = [];
/** Registered by a fixture, outside of any file: they hold for every test. */
const everywhere: Group = { name: '', before: [], after: [] };
const groups: Group[] = [everywhere];
const once = new Map<string, Step[]>();
let finishers: Step[] = [];
const twice = new Map<string, number>();

function add(file: string, name: string, body: Step | undefined): void {
  if (body === undefined) return;
  const plain = [file, ...groups.slice(1).map((group) => group.name), name].filter((one) => one !== '').join(' > ');
  const nth = (twice.get(plain) ?? 0) + 1;
  twice.set(plain, nth);
  tests.push({
    name: nth === 1 ? plain : `${plain} (${nth})`,
    file,
    body,
    before: groups.flatMap((group) => group.before),
    after: groups.flatMap((group) => group.after),
  });
}

type Row = readonly unknown[];
type Register = (name: string, body: Step) => void;

/** `it.each(rows)(name, body)`; a row that is no list is one argument. */
function eachOf(register: Register) {
  return (rows: readonly unknown[]) =>
    (name: string, first: unknown, second?: unknown): void => {
      const body = bodyOf(first, second);
      for (const row of rows) {
        const args: Row = Array.isArray(row) ? row : [row];
        register(titleOf(name, args), () => body(...args));
      }
    };
}

function titleOf(name: string, args: Row): string {
  let at = 0;
  return name.replaceAll(/%[sdifjo]|\$\w+/g, (mark) => {
    const one = mark.startsWith('$') ? Reflect.get(Object(args[0]), mark.slice(1)) : args[at++];
    return typeof one === 'object' ? inspect(one, { breakLength: Infinity }) : String(one);
  });
}

function bodyOf(first: unknown, second: unknown): (...args: unknown[]) => unknown {
  const body = typeof first === 'function' ? first : second;
  if (typeof body !== 'function') throw new Error('a test without a body');
  return (...args) => Reflect.apply(body, undefined, args);
}

type Call = (name: string, first: unknown, second?: unknown) => void;

interface Callable extends Call {
  readonly each: (rows: readonly unknown[]) => Call;
  readonly skipIf: (skip: unknown) => Omit<Callable, 'skipIf' | 'runIf' | 'skip'>;
  readonly runIf: (run: unknown) => Omit<Callable, 'skipIf' | 'runIf' | 'skip'>;
  readonly skip: Call;
}

function callable(register: Register): Callable {
  const call: Call = (name, first, second) => register(name, bodyOf(first, second));
  const skip: Call = () => undefined;
  const none = Object.assign((...args: Parameters<Call>) => skip(...args), { each: () => skip });
  const full = Object.assign(call, { each: eachOf(register) });
  return Object.assign(full, {
    skipIf: (skipped: unknown) => (skipped ? none : full),
    runIf: (run: unknown) => (run ? full : none),
    skip,
  });
}

interface OfFile {
  readonly describe: Callable;
  readonly it: Callable;
  readonly test: Callable;
  readonly beforeEach: (step: Step) => void;
  readonly afterEach: (step: Step) => void;
  readonly beforeAll: (step: Step) => void;
}

/** What a test file imports: its tests bear its name. */
export function inFile(file: string): OfFile {
  const test = callable((name, body) => add(file, name, body));
  const describe = callable((name, body) => {
    groups.push({ name, before: [], after: [] });
    try {
      body();
    } finally {
      groups.pop();
    }
  });
  const hook =
    (to: (group: Group) => Step[]) =>
    (step: Step): void => {
      to(groups.at(-1) ?? everywhere).push(step);
    };
  return {
    describe,
    it: test,
    test,
    beforeEach: hook(({ before }) => before),
    afterEach: hook(({ after }) => after),
    beforeAll: (step) => {
      once.set(file, [...(once.get(file) ?? []), step]);
    },
  };
}

const anywhere = inFile('');
export const beforeEach: OfFile['beforeEach'] = anywhere.beforeEach;
export const afterEach: OfFile['afterEach'] = anywhere.afterEach;
/** Nothing of a file is over before the process is. */
export const afterAll = (): void => undefined;
export const vi: object = {};

export function onTestFinished(step: Step): void {
  finishers.push(step);
}

chai.use(JestExtend);
chai.use(JestChaiExpect);
chai.use(JestAsymmetricMatchers);
const plainExpect = (value: unknown, message?: string): unknown => chai.expect(value, message);
export const expect: object = Object.assign(
  plainExpect,
  chai.expect,
  Object(Reflect.get(globalThis, ASYMMETRIC_MATCHERS_OBJECT)),
  { assertions: (): void => undefined },
);
Reflect.apply(setState, undefined, [{ assertionCalls: 0, isExpectingAssertions: false }, expect]);
Object.assign(globalThis, { [GLOBAL_EXPECT]: expect });

/** Runs one, with all that belongs to it. Rejects with what it fails with. */
export async function runTest({ file, body, before, after }: Test): Promise<void> {
  finishers = [];
  const first = once.get(file) ?? [];
  once.delete(file);
  for (const step of first) await step();
  try {
    for (const step of before) await step();
    await body();
  } finally {
    for (const step of finishers.toReversed()) await step();
    for (const step of after.toReversed()) await step();
  }
}
