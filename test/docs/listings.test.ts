/** What README and docs list as JavaScript is JavaScript for the oldest Node that evaq runs on. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { transformSync } from 'esbuild';
import { expect, onTestFinished, test } from 'vitest';
import { projectRoot } from '../cli/support/bundle.js';
import { listingsOf, PAGES, placeOf } from './support/listings.js';

const listings = PAGES.flatMap(listingsOf);
const scripts = listings.filter(({ language }) => language === 'js');

/** Whether Node 20.19 can read it as a module, on whatever Node this is: what it lacks is lowered by a build for it, and so changes. */
function problemOf(code: string): string | undefined {
  const options = { format: 'esm', minifyWhitespace: true, logLevel: 'silent' } as const;
  try {
    const asItIs = transformSync(code, { ...options, target: 'esnext' }).code;
    return asItIs === transformSync(code, { ...options, target: 'node20.19' }).code ? undefined : 'needs a newer Node';
  } catch (error) {
    return String(error);
  }
}

test('a listing is JavaScript that Node 20.19 reads as it stands, or says that it is TypeScript', () => {
  expect(scripts.length).toBeGreaterThan(35);
  for (const one of scripts) expect(problemOf(one.code), placeOf(one)).toBeUndefined();
  const languages = new Set(
    listings.map(({ language }) => language).filter((language) => /^(?:[jt]s|java|type)/.test(language)),
  );
  expect([...languages].sort()).toEqual(['js', 'ts']);
});

test('the check finds types, what is newer than Node 20, and what is no module', () => {
  expect(problemOf("await using evaq = await Evaq.open('./a');")).toBe('needs a newer Node');
  expect(problemOf('using a = b();')).toBe('needs a newer Node');
  expect(problemOf("const order = 'fifo' as const;")).toMatch(/Expected/);
  expect(problemOf('const a = 1;\nconst a = 2;')).toMatch(/already been declared/);
  expect(problemOf('await 1;\nexport {};')).toBeUndefined();
});

test('Node itself can read all of them', () => {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-listings-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  // One process for all: each is a module that is compiled, and never run.
  const program = `import { SourceTextModule } from 'node:vm';
for (const [place, code] of ${JSON.stringify(scripts.map((one) => [placeOf(one), one.code]))}) {
  try { new SourceTextModule(code); } catch (error) { console.log(place, String(error)); }
}
try { new SourceTextModule('const a: number = 1;'); } catch { console.log('done'); }`;
  writeFileSync(join(folder, 'compile.mjs'), program);
  const { stdout } = spawnSync(process.execPath, ['--experimental-vm-modules', '--no-warnings', 'compile.mjs'], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect(stdout).toBe('done\n');
});

test('the program of README is the one in examples, to the byte', () => {
  const [program] = listingsOf('README.md').filter(({ file }) => file === 'outbox.mjs');
  expect(program?.code).toBe(readFileSync(join(projectRoot, 'examples/outbox.mjs'), 'utf8'));
});
