/** Called wrongly: a line that says so and an exit code of 2, and nothing is done. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { loadCommands } from '../../src/cli/commands.js';
import { refuseEmpty } from '../../src/cli/empty-arguments.js';
import { type CliResult, cliPath, evaq, finished, startEvaq } from './support/evaq-cli.js';

beforeAll(async () => {
  await cliPath();
});

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-wrong-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function evaqIn(cwd: string, ...args: string[]): Promise<CliResult> {
  const child = await startEvaq(args, { cwd });
  child.stdin?.end();
  return finished(child);
}

describe('an argument that is empty', () => {
  test('is refused by every command that takes one, wherever it stands', async () => {
    const seen: string[] = [];
    const look = (command: Command, path: string): void => {
      for (const inner of command.commands) look(inner, `${path} ${inner.name()}`);
      command.registeredArguments.forEach((argument, i) => {
        command.args = command.registeredArguments.map((_, j) => (j === i ? '' : 'x'));
        seen.push(path);
        expect(() => refuseEmpty(command)).toThrow(`<${argument.name()}> is empty`);
      });
    };
    for (const command of await loadCommands()) look(command, command.name());
    expect(new Set(seen).size).toBeGreaterThan(25);
  });

  test('is not taken for the current folder', async () => {
    const store = join(temporary(), 'store');
    await evaq(['push', store], 'a\n');
    for (const args of [
      ['cat', ''],
      ['cat', store, ''],
      ['repair', '', '--apply'],
      ['restore', store, '', '--yes'],
      ['backup', '', '../copy'],
      ['doctor', ''],
      ['dead-letters', 'ls', ''],
    ]) {
      const { code, stderr } = await evaqIn(store, ...args);
      expect({ args, code, stderr }).toEqual({
        args,
        code: 2,
        stderr: expect.stringMatching(/^evaq: <\w+> is empty\n$/),
      });
    }
  });

  test('behind an option that names a place is refused, too', async () => {
    const store = join(temporary(), 'store');
    await evaq(['push', store], 'a\n');
    for (const option of ['--exec', '--checkpoint', '--to']) {
      const { code, stderr } = await evaq(['replay', store, option, '']);
      expect({ option, code }).toEqual({ option, code: 2 });
      expect(stderr).toMatch(/^evaq: [^\n]*empty\.?\n$/);
    }
    expect(await evaq(['report', store, '-o', ''])).toMatchObject({ code: 2, stderr: 'evaq: --output is empty\n' });
    expect(await evaq(['cat', store, '-g', ''])).toMatchObject({ code: 0 });
  });
});

describe('a file that is none', () => {
  test.runIf(process.platform === 'linux')('is not read without an end, and is said to be that', async () => {
    const folder = temporary();
    const store = join(folder, 'store');
    mkdirSync(join(folder, 'folder'));
    await evaq(['push', store], 'a\n');
    for (const [path, why] of [
      ['/dev/zero', 'is no file'],
      [join(folder, 'folder'), 'is a folder'],
    ] as const) {
      const wrong = { code: 2, stderr: `evaq: ${path} ${why}\n` };
      expect(await evaq(['replay', store, '--checkpoint', path])).toMatchObject(wrong);
      expect(await evaq(['forward', store, '--config', path])).toMatchObject(wrong);
    }
    expect(statSync('/dev/zero').isCharacterDevice()).toBe(true);
  });
});

describe('a number', () => {
  test.each([
    ['cat', '-n', 'x', 'It must be a whole number, at least 1.'],
    ['replay', '--retry', '-1', 'It must be a whole number, at least 1.'],
    ['forward', '--lock-timeout', 'soon', 'It must be a whole number.'],
    ['remove', '--through', 'x', 'A record ID is a whole number.'],
  ])('of %s %s that is none is called by what it is', async (command, option, value, why) => {
    const { code, stderr } = await evaq([command, 'store', option, value]);
    expect(code).toBe(2);
    expect(stderr).toContain(`argument '${value}' is invalid. ${why}\n`);
  });
});

test('a replay to somewhere does not take what is about printing', async () => {
  const folder = temporary();
  const store = join(folder, 'store');
  const out = join(folder, 'out');
  writeFileSync(out, '');
  await evaq(['push', store], 'a\n');
  for (const args of [['-o', 'json'], ['--json'], ['--format', '%p'], ['-0']]) {
    const { code, stderr } = await evaq(['replay', store, '--exec', `cat > ${out}`, ...args]);
    expect({ args, code }).toEqual({ args, code: 2 });
    expect(stderr).toMatch(/about standard output/);
  }
  expect(readFileSync(out, 'utf8')).toBe('');
  expect(await evaq(['replay', store, '--json'])).toMatchObject({ code: 0 });
});

test('a device in the place of a store is said to be no folder', async () => {
  const { code, stderr } = await evaq(['stats', '/dev/null']);
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringContaining('/dev/null is not an evaq store: it is not a folder'),
  });
});

test('in a folder that is gone a relative path is said to lead nowhere', async () => {
  const folder = temporary();
  const gone = join(folder, 'gone');
  for (const args of [
    ['cat', 'orders'],
    ['push', 'orders'],
    ['verify', 'orders'],
    ['backup', 'orders', 'copy'],
    ['doctor', 'orders'],
  ]) {
    mkdirSync(gone);
    const { code, stderr } = await evaqInGone(gone, ...args);
    expect({ args, code, stderr }).toEqual({
      args,
      code: 1,
      stderr: expect.stringContaining('the current folder is gone'),
    });
  }
});

/** In a folder that was removed when the program starts: the shell is in it by then. */
async function evaqInGone(folder: string, ...args: string[]): Promise<CliResult> {
  const shell = spawn('sh', ['-c', 'rmdir "$PWD" && exec "$0" "$@"', process.execPath, await cliPath(), ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return finished(shell);
}
