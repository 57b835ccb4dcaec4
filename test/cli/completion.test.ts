/** What shells complete, asked of the shells themselves. Those that are not installed are passed over. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { cliPath, evaq } from './support/evaq-cli.js';

beforeAll(async () => {
  await cliPath();
});

function isThere(shell: string): boolean {
  return spawnSync(shell, ['-c', 'true']).status === 0;
}

async function scriptOf(shell: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-completion-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const { code, stdout, stderr } = await evaq(['completion', shell]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const file = join(folder, '_evaq');
  writeFileSync(file, stdout);
  return file;
}

/** A zsh in a pseudo-terminal of another one: what is typed, Tab, and a key that prints the line as it is then, between `<` and `>`. */
function zshTyping(script: string, line: string): string {
  return `zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1=""; autoload -U compinit; compinit -u -D; eval "$(< ${script})"; show() { print -r -- "@@<$BUFFER>@@"; exit 0 }; zle -N show; bindkey "^X" show; bindkey "^I" complete-word; print READY"":'
got=''
while [[ $got != *READY:* ]]; do zpty -r shell part || exit 1; got+=$part; done
zpty -w -n shell $'${line}\t\x18'
got=''
while [[ $got != *'@@<'*'>@@'* ]]; do zpty -r shell part || exit 1; got+=$part; done
got=\${got#*@@}
print -rn -- \${got%@@*}
zpty -d shell
`;
}

describe('completion', () => {
  test('bash completes commands, commands of commands, options and their values', async () => {
    const script = await scriptOf('bash');
    const complete = (...words: readonly string[]): string[] => {
      const all = ['evaq', ...words].map((word) => `'${word}'`).join(' ');
      const asked = `source ${script}; COMP_WORDS=(${all}); COMP_CWORD=${words.length}; _evaq; printf '%s\\n' "\${COMPREPLY[@]}"`;
      return execFileSync('bash', ['-c', asked], { encoding: 'utf8', cwd: join(script, '..') })
        .trim()
        .split('\n');
    };
    expect(complete('ver')).toEqual(['verify']);
    expect(complete('')).toEqual(expect.arrayContaining(['push', 'dead-letters', 'completion', '--help']));
    expect(complete('dead-letters', 're')).toEqual(['redrive']);
    expect(complete('dead-letters', 'redrive', '--co')).toEqual(['--count', '--code']);
    expect(complete('stats', '--by', 'm')).toEqual(['minute']);
    // A value is no command, and files are offered where a store is meant.
    expect(complete('cat', '-o', 'json', '--skip')).toEqual(['--skip-damaged']);
    expect(complete('verify', '_ev')).toEqual(['_evaq']);
    expect(complete('completion', 'z')).toEqual(['zsh']);
  });

  test.skipIf(!isThere('zsh'))('zsh takes the script, and asks it', async () => {
    const script = await scriptOf('zsh');
    const asked = `autoload -U compinit; compinit -u -D; source ${script}; compadd() { print -- $@ }; words=(evaq stats --by ''); CURRENT=4; _evaq`;
    expect(execFileSync('zsh', ['-f', '-c', asked], { encoding: 'utf8' })).toBe('-- minute segment queue\n');
  });

  test.skipIf(!isThere('fish'))('fish completes as bash does', async () => {
    const script = await scriptOf('fish');
    const complete = (line: string): string[] =>
      execFileSync('fish', ['--no-config', '-c', `source ${script}; complete -C '${line}'`], { encoding: 'utf8' })
        .trim()
        .split('\n')
        .map((found) => found.split('\t')[0] ?? '');
    expect(complete('evaq dead-letters re')).toEqual(['redrive']);
    expect(complete('evaq stats --by m')).toEqual(['minute']);
  });

  test('bash knows whose completion it is', async () => {
    const script = await scriptOf('bash');
    const asked = `eval "$(cat ${script})"; complete -p evaq`;
    expect(execFileSync('bash', ['--norc', '-c', asked], { encoding: 'utf8' })).toBe(
      'complete -o filenames -F _evaq evaq\n',
    );
  });

  test.skipIf(!isThere('zsh'))('zsh completes at the key Tab, in a terminal', async () => {
    const script = await scriptOf('zsh');
    const typed = (line: string): string => {
      const file = join(script, '..', 'type.zsh');
      writeFileSync(file, zshTyping(script, line));
      return execFileSync('zsh', ['-f', file], { encoding: 'utf8', timeout: 20_000 });
    };
    expect(typed('evaq compl')).toBe('<evaq completion >');
    expect(typed('evaq dead-letters redr')).toBe('<evaq dead-letters redrive >');
    expect(typed('evaq stats --by m')).toBe('<evaq stats --by minute >');
  });

  test('another shell is a wrong call', async () => {
    expect((await evaq(['completion', 'tcsh'])).code).toBe(2);
  });
});
