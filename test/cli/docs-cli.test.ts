/**
 * Holds docs/cli.md to the command line: every listing is run, and has to print what the page shows. `UPDATE_DOCS=1` writes down what it printed
 * instead, for a person to read before it is committed.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cliPath } from './support/evaq-cli.js';

const PAGE = join(import.meta.dirname, '../../docs/cli.md');
const page = readFileSync(PAGE, 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'evaq-docs-'));
const update = process.env['UPDATE_DOCS'] === '1';
const updated = new Map<string, string>();

afterAll(() => {
  if (update)
    writeFileSync(
      PAGE,
      page.replaceAll(/^```console\n[\s\S]*?^```$/gm, (block) => updated.get(block) ?? block),
    );
  rmSync(folder, { recursive: true, force: true });
});

interface Step {
  readonly command: string;
  readonly output: string;
}

/** What changes from run to run. */
function steady(text: string): string {
  return text
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, '<time>')
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<uuid>')
    .replaceAll(/just now|\b\d+ (?:s|min|h|d)\b(?: ago)?/g, '<age>')
    .replaceAll(/\b\d+(?:\.\d)? [KMGT]iB/g, '<size>')
    .replaceAll(/^(?:[^█▏▎▍▌▋▊▉\n]*) {2}[█▏▎▍▌▋▊▉]+$/gm, '<bar>')
    .replaceAll(/ {2,}/g, '  ')
    .replaceAll(/((?:checksum|time ms) +)[0-9a-f]+( +)= \d+/g, '$1<changes>$2');
}

function stepsOf(block: string): Step[] {
  const body = block.split('\n').slice(1, -1).join('\n');
  return body
    .split(/^\$ /m)
    .slice(1)
    .map((one) => {
      const [command = '', ...output] = one.split('\n');
      return { command, output: output.join('\n').trimEnd() };
    });
}

let cli = '';

/** Standard output and standard error as a terminal would have them. */
function run(command: string, cwd: string): string {
  const prelude = `evaq() { "${process.execPath}" "${cli}" "$@"; }`;
  return execFileSync('bash', ['-c', `${prelude}\n(${command}) 2>&1; true`], {
    cwd,
    encoding: 'utf8',
    timeout: 60_000,
    env: { ...process.env, NO_COLOR: '1' },
  }).trimEnd();
}

function check(block: string, cwd: string): void {
  const printed = stepsOf(block).map(({ command }) => {
    return { command, output: run(command, cwd).replaceAll(cwd, '/tmp/demo') };
  });
  const text = printed.map(({ command, output }) => `$ ${command}\n${output === '' ? '' : `${output}\n`}`).join('');
  if (update) {
    updated.set(block, `\`\`\`console\n${text}\`\`\``);
    return;
  }
  const shown = stepsOf(block).map(({ command, output }) => ({ command, output: steady(output) }));
  expect(printed.map(({ command, output }) => ({ command, output: steady(output) }))).toEqual(shown);
}

const [head = '', ...sections] = page.split(/^## /m);
const blocksIn = (text: string): string[] => text.match(/^```console\n[\s\S]*?^```$/gm) ?? [];
const start = join(folder, 'start');

beforeAll(async () => {
  cli = await cliPath();
  execFileSync('mkdir', [start]);
  // Both are run; what they print is compared below.
  for (const block of blocksIn(head)) for (const { command } of stepsOf(block)) run(command, start);
});

describe('docs/cli.md', () => {
  test('the store of the page is made as it says', () => {
    const cwd = mkdtempSync(join(folder, 'head-'));
    expect(blocksIn(head).length).toBe(1);
    for (const block of blocksIn(head)) check(block, cwd);
    expect(existsSync(join(start, 'orders/STORE'))).toBe(true);
  });

  for (const section of sections) {
    const [title = ''] = section.split('\n');
    const blocks = blocksIn(section);
    if (blocks.length === 0) continue;
    test(`the listings of '${title}' print what they show`, { timeout: 120_000 }, () => {
      const cwd = mkdtempSync(join(folder, 'section-'));
      cpSync(start, cwd, { recursive: true });
      for (const block of blocks) check(block, cwd);
    });
  }
});
