// Stores whose checksums hold and whose numbers lie, by the hundred: npm run fuzz -- [--seed 1] [--stores 1000]. One that takes a process down, or
// keeps it for a minute, is told by its seed, and the next process goes on behind it.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { bundleOf } from './load-bundled.mjs';
import { count, scriptOptions, wholeFromZero } from './script-options.mjs';

const MEMORY_MIB = 256;
const HANGS_MS = 60_000;

const { seed: first, stores } = scriptOptions('fuzz -- [--seed N] [--stores N]', {
  seed: wholeFromZero(1),
  stores: count(1000),
});
const end = first + stores;
const outfile = await bundleOf('test/property/support/lying-process.ts');
const scratch = mkdtempSync(join(tmpdir(), 'evaq-fuzz-'));
let at = first;
let found = 0;

/** Runs stores from `at` on until the process ends. Resolves with whether it came to the end. */
function run() {
  return new Promise((resolve) => {
    const args = [`--max-old-space-size=${MEMORY_MIB}`, outfile, String(at), String(end - at), scratch];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let doing = '';
    let done = false;
    let words = '';
    const hangs = () => setTimeout(() => child.kill('SIGKILL'), HANGS_MS);
    let watch = hangs();
    child.stderr.on('data', (chunk) => {
      words = `${words}${chunk}`.slice(-2000);
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      clearTimeout(watch);
      watch = hangs();
      const [, seed] = /^seed (\d+):/.exec(line) ?? [];
      if (seed !== undefined) {
        at = Number(seed);
        doing = line;
      } else if (line === 'DONE') done = true;
      else {
        found++;
        console.log(line);
      }
    });
    child.on('close', (code, signal) => {
      clearTimeout(watch);
      if (!done) {
        found++;
        console.log(`DIED at ${doing}: ${signal ?? code} ${words}`);
        at++;
      }
      resolve(done);
    });
  });
}

while (at < end && !(await run()));
rmSync(scratch, { recursive: true, force: true });
rmSync(outfile);
console.log(`${end - first} stores from seed ${first} on: ${found === 0 ? 'nothing found' : `${found} findings`}`);
process.exitCode = found === 0 ? 0 : 1;
