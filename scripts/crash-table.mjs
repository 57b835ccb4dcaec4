// Prints the rows of docs/crash-consistency.md, measured now: npm run crash-table [-- --minutes 6 --seed 1]
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, stripVTControlCharacters } from 'node:util';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '6' }, seed: { type: 'string', default: '1' } },
});
const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Runs a command and prints the lines of tables and counts in what it says. */
function print(heading, command, args, keep) {
  console.log(`\n## ${heading}\n`);
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, EVAQ_TABLE: '1', EVAQ_PLANTED: 'all' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let rest = '';
    child.stdout.setEncoding('utf8');
    child.stdout.on('data', (chunk) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines.map(stripVTControlCharacters)) if (keep.test(line)) console.log(line);
    });
    child.on('close', (code) => {
      if (code !== 0) process.exitCode = 1;
      resolve();
    });
  });
}

const tests = (heading, file) =>
  print(heading, process.execPath, ['node_modules/vitest/vitest.mjs', 'run', file], /^\| |^seed |power cuts|^without/);

const torture = ['scripts/torture.mjs', '--minutes', values.minutes, '--seed', values.seed];
// 0 minutes: the rest alone.
if (Number(values.minutes) > 0) await print('Random scripts', process.execPath, torture, /^\||distinct states/);
await tests('Words of calls', 'test/property/crash-words.test.ts');
await tests('Steps', 'test/property/crash-steps.test.ts');
await tests('Narrow windows', 'test/property/narrow-windows.test.ts');
await tests('Damage at rest', 'test/property/corruption.test.ts');
await tests('Planted bugs', 'test/property/planted-');
await tests('Killed processes', 'test/crash/sigkill.test.ts');
await tests('Real power cuts', 'test/crash/real-power-cut.test.ts');
