/** What a command loads before it does anything: time to start, told without a clock. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadCommands } from '../../src/cli/commands.js';
import { projectRoot } from './support/bundle.js';

/** KB of JavaScript and files. Of what nobody needs to start there is more than the room that is left in them. */
const PROGRAM = { kb: 90, files: 3 };
const READER = { kb: 550, files: 14 };
const WRITER = { kb: 810, files: 17 };
/** Of a command that has done its work, with the native packages (80 KB in 3 files). What it has loaded for nothing would be more than the room left. */
const DONE = { kb: 865, files: 21 };

const READERS = [
  'cat',
  'tail',
  'get',
  'inspect',
  'remove',
  'export',
  'replay',
  'info',
  'stats',
  'verify',
  'why',
  'doctor',
];

/** Prints on standard error what was loaded by the end. */
const COUNTER = `process.on('exit', () => {
  const { statSync, writeSync } = require('node:fs');
  const loaded = Object.keys(require.cache).filter((file) => file !== __filename);
  const bytes = loaded.reduce((sum, file) => sum + statSync(file).size, 0);
  writeSync(2, '\\nLOADED ' + JSON.stringify({ kb: Math.round(bytes / 1000), files: loaded.length, loaded }));
});`;

// Where the native packages are found.
const cache = join(projectRoot, 'node_modules/.cache');
mkdirSync(cache, { recursive: true });
const folder = mkdtempSync(join(cache, 'evaq-start-'));
const counter = join(folder, 'counter.cjs');
const cli = join(folder, 'cli');

beforeAll(() => {
  execFileSync(process.execPath, [join(projectRoot, 'scripts/build-cli.mjs'), cli]);
  writeFileSync(counter, COUNTER);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Loaded {
  readonly kb: number;
  readonly files: number;
  readonly loaded: readonly string[];
}

const known = new Map<string, Loaded>();

function loadedBy(...args: readonly string[]): Loaded {
  const before = known.get(args.join(' '));
  if (before !== undefined) return before;
  const { stderr, status } = spawnSync(process.execPath, ['-r', counter, join(cli, 'main.js'), ...args], {
    encoding: 'utf8',
    input: 'a\nb\n',
  });
  const said = stderr.slice(0, stderr.indexOf('\nLOADED '));
  expect({ args, status, said }).toEqual({ args, status: 0, said: args.includes('--help') ? '' : expect.any(String) });
  const loaded: Loaded = JSON.parse(stderr.slice(stderr.indexOf('\nLOADED ') + 8));
  known.set(args.join(' '), loaded);
  return loaded;
}

/** Which of them are above the bound, with what they load. */
function above(bound: Omit<Loaded, 'loaded'>, calls: readonly (readonly string[])[]): string[] {
  return calls.flatMap((args) => {
    const { kb, files } = loadedBy(...args);
    return kb > bound.kb || files > bound.files ? [`${args.join(' ')}: ${kb} KB in ${files} files`] : [];
  });
}

describe('a start loads', () => {
  test('no command for the version, the help and the help of help', () => {
    expect(above(PROGRAM, [['--version'], ['--help'], ['help']])).toEqual([]);
  });

  test('nothing that writes for a command that reads', () => {
    expect(
      above(
        READER,
        READERS.map((name) => [name, '--help']),
      ),
    ).toEqual([]);
  });

  test('one engine at the most, and nothing that is looked for beside the program', async () => {
    const names = (await loadCommands()).map((command) => command.name());
    expect(
      above(
        WRITER,
        names.map((name) => [name, '--help']),
      ),
    ).toEqual([]);
    const { loaded } = loadedBy('push', '--help');
    expect(loaded.filter((file) => !file.startsWith(cli))).toEqual([]);
  });

  test('what its work takes, and no delivery, link, message of metadata, or reading without a lock for one that writes', () => {
    const store = join(folder, 'store');
    const calls = [
      ['push', store],
      ['push', store, '--batch', '2'],
      ['remove', store, '1'],
    ];
    expect(above(DONE, calls)).toEqual([]);
  });
});
