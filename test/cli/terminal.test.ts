/** What is said on a terminal alone: colour, a width, progress. By the pseudo-terminal of Python's library; without it nothing is known of terminals. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { cliPath, evaq, finished } from './support/evaq-cli.js';

function hasPty(): boolean {
  if (process.platform === 'win32') return false;
  try {
    execFileSync('python3', ['-c', 'import pty'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const isThere = hasPty();
if (!isThere) console.warn('terminal.test: there is no python3 with a pty; colour, width and progress are not tested');

/** Runs a command with all three streams on a terminal of so many columns; what is piped into it is read by a shell. */
const PTY = `
import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 24, int(sys.argv[1]), 0, 0))
while True:
    try:
        data = os.read(fd, 65536)
    except OSError:
        break
    if not data:
        break
    os.write(1, data)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

let cli = '';

beforeAll(async () => {
  cli = await cliPath();
});

async function onTerminal(
  script: string,
  { columns = 80, env = {} }: { readonly columns?: number; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<{ code: number | string; text: string }> {
  const prelude = `sleep 0.1; evaq() { "${process.execPath}" "${cli}" "$@"; }`;
  // Of its own environment alone: CI, and others, say what they think of colours.
  const { PATH, HOME } = process.env;
  const child = spawn('python3', ['-c', PTY, `${columns}`, 'bash', '-c', `${prelude}\n${script}`], {
    env: { PATH, HOME, TERM: 'xterm', ...env },
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  const { code, stdout } = await finished(child);
  return { code, text: stdout.toString().replaceAll('\r\n', '\n') };
}

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-tty-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'store');
}

/** The line is begun anew. */
const CLEARED = '\r\u001b[K';
const RED = '\u001b[31m';

describe.skipIf(!isThere)('on a terminal', () => {
  test('what is wrong is coloured, unless NO_COLOR or a pipe says otherwise', async () => {
    const store = temporary();
    const wrong = `evaq cat ${store}`;
    const plain = await onTerminal(wrong);
    expect(plain.code).toBe(1);
    expect(plain.text).toContain(`evaq: ${RED}EVAQ_NOT_A_STORE`);
    expect((await onTerminal(wrong, { env: { NO_COLOR: '1' } })).text).not.toContain('\u001b');
    expect((await onTerminal(`${wrong} 2>&1 | cat`)).text).not.toContain('\u001b');
  });

  test('bars are as wide as it is, or as COLUMNS says', async () => {
    const store = temporary();
    await evaq(['push', store, '--batch', '100'], 'line\n'.repeat(300));
    const widest = ({ text }: { readonly text: string }): number =>
      Math.max(
        ...text
          .split('\n')
          .filter((line) => line.includes('█'))
          .map(({ length }) => length),
      );
    const stats = `evaq stats ${store} -q wal`;
    expect(widest(await onTerminal(stats, { columns: 60 }))).toBe(60);
    expect(widest(await onTerminal(stats, { columns: 90 }))).toBe(90);
    expect(widest(await onTerminal(`COLUMNS=50 ${stats}`, { columns: 90 }))).toBe(50);
    expect(widest(await onTerminal(`${stats} | cat`, { columns: 60 }))).toBe(80);
  });

  test('what draws a bar draws it, takes it away, and ends as it does elsewhere', async () => {
    const store = temporary();
    await evaq(['push', store, '--batch', '100'], 'line\n'.repeat(300));
    const CURSOR_BACK = '\u001b[?25h';
    for (const command of [
      `verify ${store}`,
      `backup ${store} ${store}.copy`,
      `restore ${store}.copy ${store}.again --yes`,
      'sim --runs 1 --ops 2 --states 20',
      'demo --kills 1 --seed 7',
    ]) {
      const { code, text } = await onTerminal(`evaq ${command}`);
      expect({ command, code, text }).toEqual({ command, code: 0, text: expect.stringContaining(CURSOR_BACK) });
    }
    expect((await onTerminal(`evaq verify ${store} 2>&1 | cat`)).text).not.toContain('\u001b');
  }, 60_000);

  test('progress is shown from the first second on, and taken away; with a pipe there is none', async () => {
    const store = temporary();
    // When it is there it reads.
    const slow = `until [ -e ${store}/STORE ]; do sleep 0.1; done; for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.2; done`;
    const { text } = await onTerminal(`(${slow}) | evaq push ${store}`);
    const shown = text.split(CLEARED);
    expect(shown.length).toBeGreaterThan(2);
    expect(shown.slice(1, -1).every((line) => /^pushed \d+, \d+ a second$/.test(line))).toBe(true);
    expect(shown.at(-1)).toBe('evaq: pushed 8 records, IDs 1 to 8\n');
    const piped = await onTerminal(`(${slow}) | evaq push ${store} 2>&1 | cat`);
    expect(piped.text).toBe('evaq: pushed 8 records, IDs 9 to 16\n');
    await evaq(['push', store, '-q', 'jobs.dead', '--batch', '100'], 'letter\n'.repeat(40));
    const purged = await onTerminal(`evaq dead-letters purge ${store} -q jobs --rate 20 --yes`);
    expect(purged.text).toMatch(/purged \d+, \d+ a second/);
    expect(purged.text).toContain('evaq: purged 40 records of jobs.dead\n');
  });
});
