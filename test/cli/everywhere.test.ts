/** What holds for every command: help with examples, pipes and disks that are full or closed, hints that fit, one line for what is wrong. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Command, Help } from 'commander';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { commandsFor, loadCommands } from '../../src/cli/commands.js';
import { describeIds, describeRanges } from '../../src/cli/id-ranges-text.js';
import { type CliResult, cliPath, evaq, finished, startEvaq } from './support/evaq-cli.js';

beforeAll(async () => {
  await cliPath();
});

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-every-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'store');
}

/** Through a shell: `evaq` is the command line, `$S` the store. */
async function shell(script: string, store: string): Promise<CliResult> {
  const prelude = `evaq() { "${process.execPath}" "${await cliPath()}" "$@"; }`;
  return finished(spawn('bash', ['-c', `${prelude}\n${script}`], { env: { ...process.env, NO_COLOR: '1', S: store } }));
}

describe('help', () => {
  test('of every command ends with two examples, which are of that command', async () => {
    for (const command of await loadCommands()) {
      let text = '';
      command.configureOutput({ writeOut: (part) => (text += part) }).outputHelp();
      const [, examples = ''] = text.split('\nExamples:\n');
      const lines = examples.trimEnd().split('\n');
      expect({ command: command.name(), examples: lines.length }).toEqual({ command: command.name(), examples: 2 });
      for (const line of lines) expect(line).toMatch(new RegExp(`evaq ${command.name()}(?: |$)`));
    }
  });
});

describe('the list of commands', () => {
  test('is the same whether they are loaded or not', async () => {
    const help = new Help();
    const listed = await commandsFor(['--help']);
    const line = (command: Command): string =>
      `${help.subcommandTerm(command)}: ${help.subcommandDescription(command)}`;
    expect(listed.map(line)).toEqual((await loadCommands()).map(line));
    expect(listed.length).toBeGreaterThan(20);
  });

  test('has the one that is wanted whole, wherever it is named', async () => {
    for (const words of [
      ['get', '--help'],
      ['--', 'get'],
      ['help', 'get'],
    ]) {
      const [whole, ...more] = (await commandsFor(words)).filter((command) =>
        command.options.some(({ long }) => long === '--json'),
      );
      expect({ words, name: whole?.name(), more }).toEqual({ words, name: 'get', more: [] });
    }
  });
});

describe.runIf(process.platform === 'linux')('streams', () => {
  test('a full disk behind standard output is a line and a failure, behind standard error it is nothing', async () => {
    const store = temporary();
    await evaq(['push', store], 'a\nb\n');
    const out = await shell('evaq cat "$S" > /dev/full; echo $?', store);
    expect(out.stdout.toString()).toBe('1\n');
    expect(out.stderr).toMatch(/^evaq: standard output: ENOSPC[^\n]*\n$/);
    const err = await shell('echo c | evaq push "$S" 2> /dev/full; echo $?', store);
    expect(err.stdout.toString()).toBe('0\n');
    expect((await evaq(['cat', store])).stdout.toString()).toBe('a\nb\nc\n');
  });

  test('a closed pipe behind either ends nothing that is to be done, and says nothing', async () => {
    const store = temporary();
    await evaq(['push', store, '--batch', '1000'], 'line\n'.repeat(50_000));
    const out = await shell('evaq export "$S" 2>/dev/null | head -1 > /dev/null; echo $PIPESTATUS', store);
    expect(out).toMatchObject({ stdout: Buffer.from('0\n'), stderr: '' });
    const err = await shell('{ echo x | evaq push "$S" 2>&1 >&3 | true; } 3>&1; echo $PIPESTATUS', store);
    expect(err.stderr).toBe('');
    expect((await evaq(['tail', store, '-n', '1'])).stdout.toString()).toBe('x\n');
  });

  test('a folder as input is said in a line', async () => {
    const store = temporary();
    const { stdout, stderr } = await shell('evaq push "$S" < /tmp; echo $?', store);
    expect(stdout.toString()).toBe('2\n');
    expect(stderr.trimEnd().split('\n').at(-1)).toBe('evaq: standard input is a folder');
  });

  test('on a terminal payloads are shown and not obeyed, but for -o raw', async () => {
    const store = temporary();
    await evaq(['push', store], '\u001b[31mred\u0007\n');
    const script = (args: string): string => {
      const command = `"${process.execPath}" "${cli}" cat "${store}" ${args}`;
      return execFileSync('script', ['-qec', command, '/dev/null'], {
        encoding: 'utf8',
        env: { ...process.env, NO_COLOR: '1' },
      });
    };
    const cli = await cliPath();
    try {
      execFileSync('script', ['--version'], { stdio: 'ignore' });
    } catch {
      console.warn('no script(1): nothing is known of a terminal');
      return;
    }
    expect(script('')).toContain('\\x1b[31mred\\x07');
    expect(script("--format '%i %p'")).toContain('1 \\x1b[31mred\\x07');
    expect(script('-o raw')).toContain('\u001b[31mred\u0007');
  });
});

describe('what is wrong', () => {
  test('is said with a hint that fits the command', async () => {
    for (const command of ['cat', 'verify', 'info', 'tail', 'get', 'export', 'replay']) {
      const { code, stderr } = await evaq([command, '/etc', ...(command === 'get' ? ['1'] : [])]);
      expect({ command, failed: code !== 0 }).toEqual({ command, failed: true });
      expect(stderr).toMatch(/\/etc/);
      expect(stderr).not.toMatch(/to make a store|made by opening/);
    }
  });

  test('the same ID twice means it once', async () => {
    const store = temporary();
    await evaq(['push', store], 'a\nb\nc\nd\n');
    expect(await evaq(['remove', store, '2', '2'])).toMatchObject({ code: 0, stderr: 'evaq: removed 1 record\n' });
    const gone = await evaq(['remove', store, '1', '2', '5', '6', '7']);
    expect(gone.code).toBe(6);
    expect(gone.stderr).toMatch(/removed 1 record\n.*no live record 2, 5 to 7/);
  });

  test('ranges are told merged, and not more of them than one reads', () => {
    expect(describeIds([3, 1, 2, 9])).toBe('1 to 3, 9');
    const many = Array.from({ length: 50 }, (_, i) => ({ first: i * 10, last: i * 10 + 2 }));
    expect(describeRanges(many)).toBe(
      '0 to 2, 10 to 12, 20 to 22, 30 to 32, 40 to 42, 50 to 52, 60 to 62, 70 to 72 and 42 more ranges',
    );
    expect(describeRanges(many.slice(0, 9))).not.toMatch(/more/);
  });
});

describe('remove of a selection', () => {
  test('says first what it is about, and does it with --yes', async () => {
    const store = temporary();
    await evaq(['push', store], 'apple\npear\nplum\napple\n');
    const plan = await evaq(['remove', store, '-g', '^apple']);
    expect(plan).toMatchObject({ code: 0 });
    expect(plan.stderr).toMatch(/would remove 2 records of wal: 1, 4\n.*--yes does it/);
    expect((await evaq(['cat', store])).stdout.toString()).toBe('apple\npear\nplum\napple\n');
    expect(await evaq(['remove', store, '-g', '^apple', '--yes'])).toMatchObject({ code: 0 });
    expect((await evaq(['cat', store])).stdout.toString()).toBe('pear\nplum\n');
    expect(await evaq(['remove', store, '2', '-g', 'x'])).toMatchObject({ code: 2 });
    expect(await evaq(['remove', store])).toMatchObject({ code: 2 });
  });
});

describe.runIf(process.platform === 'linux')('an interruption', () => {
  test('finishes the step, says where it stopped, and exits with 130', async () => {
    const store = temporary();
    await evaq(['push', store, '--batch', '1000'], `${'x'.repeat(999)}\n`.repeat(20_000));
    for (const command of ['cat', 'export']) {
      const child = await startEvaq([command, store]);
      const out = child.stdout;
      if (out === null) throw new Error('no pipe');
      // It has begun, and waits for somebody to read on.
      await once(out, 'readable');
      child.kill('SIGINT');
      const { code, stderr, stdout } = await finished(child);
      expect({ command, code }).toEqual({ command, code: 130 });
      expect(stderr).toMatch(/^evaq: stopped (?:behind|in front of) ID \d+ of queue 'wal'.*\n$/);
      expect(stdout.at(-1)).toBe(0x0a);
      expect(stdout.length).toBeLessThan(19_000_000);
    }
  });
});
