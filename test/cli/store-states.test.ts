/**
 * Every command that reads, on stores in every state: in use, damaged, with a file missing, and on single files of one. It ends with a result, or with one
 * line on what is wrong and perhaps a hint, and the exit code that says so; and it writes nothing.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Evaq } from '../../src/evaq.js';
import { segmentsOf, snapshotOf } from '../unit/raw/support/disk.js';
import { type CliResult, cliPath, evaq } from './support/evaq-cli.js';

/** `$S` is the store, `$T` a place that is not there. */
const COMMANDS = [
  'cat $S -q *',
  'tail $S -q *',
  'get $S 150 -q jobs',
  'export $S',
  'replay $S -q jobs',
  'dead-letters $S',
  'dead-letters show $S 1 -q jobs',
  'dead-letters purge $S --all',
  'move $S --from jobs --to wal --all',
  'remove $S -q jobs -g job',
  'forward $S -q jobs --to http://127.0.0.1:9 -n',
  'stats $S',
  'why $S',
  'info $S',
  'report $S --no-write',
  'verify $S',
  'repair $S',
  'doctor $S --no-write',
  'backup $S $T --copy',
  'restore $S $T',
] as const;

type Command = (typeof COMMANDS)[number];

interface State {
  readonly name: string;
  /** Brings a store into it. */
  readonly make: (store: string) => unknown;
  /** Exit codes that are not 0. */
  readonly codes: Partial<Record<Command, number>>;
}

/** Commands that need not read what is damaged. */
const PLANS: Partial<Record<Command, number>> = {
  'replay $S -q jobs': 3,
  'move $S --from jobs --to wal --all': 3,
  'remove $S -q jobs -g job': 3,
  'forward $S -q jobs --to http://127.0.0.1:9 -n': 3,
};
/** Those that look at a whole store. */
const WHOLE: Partial<Record<Command, number>> = {
  'cat $S -q *': 3,
  'export $S': 3,
  'stats $S': 3,
  'report $S --no-write': 3,
  'verify $S': 3,
  'repair $S': 3,
  'backup $S $T --copy': 3,
  'restore $S $T': 3,
};
const SEEN_AT_ONCE: Partial<Record<Command, number>> = { 'why $S': 3, 'info $S': 3, 'doctor $S --no-write': 1 };

const STATES: readonly State[] = [
  {
    name: 'in use',
    // It is open, and nothing is pushed: so that what others write shows.
    make: (store) => Evaq.open(store),
    codes: {},
  },
  {
    name: 'with a damaged record',
    make: (store) => {
      const [, second = ''] = segmentsOf(store, 'jobs');
      const bytes = readFileSync(second);
      bytes.writeUInt8(bytes.readUInt8(3000) ^ 1, 3000);
      writeFileSync(second, bytes);
    },
    codes: { ...WHOLE, ...PLANS },
  },
  {
    name: 'without its newest records',
    make: (store) => {
      for (const path of segmentsOf(store, 'jobs').slice(2)) rmSync(path);
    },
    codes: { ...WHOLE, ...PLANS, ...SEEN_AT_ONCE, 'tail $S -q *': 3 },
  },
  {
    name: 'without removals',
    make: (store) => removeFiles(join(store, 'queues/jobs'), '.tomb'),
    codes: { ...WHOLE, ...PLANS, ...SEEN_AT_ONCE, 'tail $S -q *': 3, 'get $S 150 -q jobs': 3 },
  },
  {
    name: 'without the folder of a queue',
    make: (store) => rmSync(join(store, 'queues/jobs'), { recursive: true }),
    codes: { ...WHOLE, ...PLANS, ...SEEN_AT_ONCE, 'tail $S -q *': 3, 'get $S 150 -q jobs': 3 },
  },
  {
    name: 'without STORE',
    make: (store) => rmSync(join(store, 'STORE')),
    codes: {
      ...Object.fromEntries(COMMANDS.map((command) => [command, 3])),
      // It judges the machine.
      'doctor $S --no-write': 1,
    },
  },
];

function removeFiles(folder: string, ending: string): void {
  for (const name of readdirSync(folder)) if (name.endsWith(ending)) rmSync(join(folder, name));
}

const root = mkdtempSync(join(tmpdir(), 'evaq-states-'));
const healthy = join(root, 'healthy');
afterAll(() => rmSync(root, { recursive: true, force: true }));

beforeAll(async () => {
  await cliPath();
  await using library = await Evaq.open(healthy, { segmentBytes: 64 * 1024 });
  const jobs = await library.queue('jobs');
  for (let i = 0; i < 6; i++) await jobs.pushMany(Array.from({ length: 50 }, (_, k) => `job ${k} ${'x'.repeat(500)}`));
  await library.wal.pushMany(Array.from({ length: 20 }, (_, i) => `wal ${i}`));
  for (const id of [1, 2, 3]) await jobs.deadLetter(id, { reason: 'no route' });
  await jobs.removeMany([4, 5, 6]);
  await library.wal.removeMany([7, 9]);
});

/** A line, or lines of what would be done, and a hint: no stack, no object. */
function expectLines(what: string, { stderr }: CliResult): void {
  const odd = stderr.split('\n').filter((line) => !/^(?:evaq|hint): \S|^$/.test(line));
  expect({ what, odd }).toEqual({ what, odd: [] });
}

async function runAll<T>(inputs: readonly T[], run: (input: T) => Promise<void>): Promise<void> {
  const rest = [...inputs];
  const lane = async (): Promise<void> => {
    for (let next = rest.shift(); next !== undefined; next = rest.shift()) await run(next);
  };
  await Promise.all([lane(), lane(), lane()]);
}

describe('every command that reads, of a store', () => {
  for (const { name, make, codes } of STATES) {
    test(`${name}, ends with a result or a line, and writes nothing`, async () => {
      const store = join(root, name.replaceAll(' ', '-'));
      cpSync(healthy, store, { recursive: true, preserveTimestamps: true });
      const made = await make(store);
      await using _open = made instanceof Evaq ? made : undefined;
      const before = snapshotOf(store);
      const ended: [string, number | string][] = [];
      await runAll(COMMANDS, async (command) => {
        const target = `${store}-${command.split(' ')[0]}`;
        const args = command.split(' ').map((word) => ({ $S: store, $T: target })[word] ?? word);
        const result = await evaq(args);
        ended.push([command, result.code]);
        expectLines(command, result);
        // Of a queue of which nothing is known no bound of what it may have had is given as one of what it had.
        expect({ command, bound: /53687091\d/.test(`${result.stderr}${result.stdout.toString()}`) }).toEqual({
          command,
          bound: false,
        });
        const said = result.stdout.length > 0 || result.stderr.startsWith('evaq: ');
        expect({ command, said }).toEqual({ command, said: true });
        if (typeof result.code === 'number' && result.code !== 0 && result.stdout.length === 0)
          expect({ command, stderr: result.stderr }).toMatchObject({ stderr: expect.stringMatching(/^evaq: /) });
      });
      const expected = COMMANDS.map((command) => [command, codes[command] ?? 0]);
      const order = (one: readonly (string | number | undefined)[]): string => `${one[0]}`;
      expect(ended.sort((a, b) => order(a).localeCompare(order(b)))).toEqual(
        expected.sort((a, b) => order(a).localeCompare(order(b))),
      );
      expect(snapshotOf(store)).toEqual(before);
    });
  }
});

test('cat and inspect say of every file of a store, copied out of it, what it is', async () => {
  const alone = join(root, 'alone');
  const folder = join(healthy, 'queues/jobs');
  cpSync(folder, alone, { recursive: true });
  for (const name of ['STORE', 'LOCK']) cpSync(join(healthy, name), join(alone, name));
  // Of a store it is the file STORE that makes it one.
  const files = readdirSync(alone);
  expect(files.length).toBeGreaterThan(6);
  const before = snapshotOf(alone);
  await runAll(files, async (file) => {
    const isSegment = file.endsWith('.seg');
    const isSpare = file.endsWith('.seg.tmp');
    const shown = await evaq(['cat', join(alone, file)]);
    expectLines(file, shown);
    expect({ file, code: shown.code }).toEqual({ file, code: isSegment || isSpare ? 0 : 2 });
    if (!isSegment) expect(shown.stderr).toMatch(/^evaq: \S+ is (?:a|an|the) [^\n]*\n$/);
    const inspected = await evaq(['inspect', join(alone, file)]);
    expectLines(file, inspected);
    expect({ file, code: inspected.code }).toEqual({ file, code: file === 'LOCK' ? 2 : 0 });
  });
  expect(snapshotOf(alone)).toEqual(before);
});
