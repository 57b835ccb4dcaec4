/** Where the native package cannot be loaded the error says why, and what to do about that. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { nodeVfs } from '../../../src/vfs/node-vfs.js';
import { HAS_FLOCK } from './lock-holder.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const ENTRY = join(ROOT, 'dist/evaq.js');

interface Outcome {
  readonly opened?: boolean;
  readonly code?: string;
  readonly message?: string;
  readonly hint?: string;
  readonly reading?: string;
}

/** Opens a store to write and to read, and tells what came of it. `failures` maps packages to the code with which loading them fails. */
const PROGRAM = `
  import Module from 'node:module';
  const [entry, path, failures] = process.argv.slice(1);
  const { require: load } = Module.prototype;
  Module.prototype.require = function (request) {
    const code = JSON.parse(failures)[request];
    if (code !== undefined) throw Object.assign(new Error(request + ' fails\\nat length'), { code });
    return load.call(this, request);
  };
  const { Evaq } = await import(entry);
  const outcome = await Evaq.open(path).then(
    (evaq) => evaq.close().then(() => ({ opened: true })),
    ({ code, message, hint }) => ({ code, message, hint }),
  );
  const reading = await Evaq.openReadOnly(path).then((reader) => reader.close().then(() => 'read'), ({ code }) => code);
  console.log(JSON.stringify({ ...outcome, reading }));
`;

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'evaq-native-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const OWN = 'fs-native-extensions';
const FLOCK = 'fs-ext';
/** What is loaded first. */
const BUILD = `${OWN}/prebuilds/${process.platform}-${process.arch}/${OWN}.node`;

function open(failures: Record<string, string>, flags: readonly string[] = []): Outcome {
  const args = [...flags, '--input-type=module', '-e', PROGRAM, ENTRY, join(dir, 'store'), JSON.stringify(failures)];
  const outcome: Outcome = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }));
  return outcome;
}

describe.skipIf(!existsSync(ENTRY))('where the package that takes the lock cannot be loaded (needs a build)', () => {
  test.each<[string, string, RegExp, RegExp]>([
    ['it is not there', 'MODULE_NOT_FOUND', /is not installed where .* looks for it/, /npm install.*bundle/],
    ['it has no build for the system', 'ADDON_NOT_FOUND', /no build for \w+-\w+$/, /install fs-ext/],
    ['addons are switched off', 'ERR_DLOPEN_DISABLED', /addons are switched off/, /without --no-addons/],
    ['its file is damaged', 'ERR_DLOPEN_FAILED', /: fs-native-extensions fails$/, /npm ci/],
  ])('opening says so, and reading works all the same: %s', (_what, code, why, hint) => {
    const outcome = open({
      [OWN]: code,
      [FLOCK]: 'MODULE_NOT_FOUND',
      [BUILD]: 'ERR_DLOPEN_FAILED',
    });
    expect(outcome.code).toBe('EVAQ_NATIVE_UNAVAILABLE');
    expect(outcome.message).toMatch(why);
    expect(outcome.hint).toMatch(hint);
    expect(outcome.hint).not.toMatch(/rebuild/);
    // Reading takes no lock: what is wrong there is only that no store was made.
    expect(outcome.reading).toBe('EVAQ_NOT_A_STORE');
  });

  test('as Node.js itself tells it: --no-addons', () => {
    const outcome = open({}, ['--no-addons']);
    expect(outcome).toMatchObject({ code: 'EVAQ_NATIVE_UNAVAILABLE', reading: 'EVAQ_NOT_A_STORE' });
    expect(outcome.hint).toMatch(/without --no-addons/);
  });

  test('its build is loaded past its own search, which fails where there is musl', () => {
    expect(open({ [OWN]: 'ADDON_NOT_FOUND', [FLOCK]: 'MODULE_NOT_FOUND' })).toEqual({ opened: true, reading: 'read' });
  });

  test('its own search does where its build is not where it was', () => {
    const failures = { [BUILD]: 'MODULE_NOT_FOUND', [FLOCK]: 'MODULE_NOT_FOUND' };
    expect(open(failures)).toEqual({ opened: true, reading: 'read' });
  });

  test.each(['MODULE_NOT_FOUND', 'ERR_DLOPEN_FAILED'])('fs-ext may be missing, or broken: %s', (code) => {
    expect(open({ [FLOCK]: code })).toEqual({ opened: true, reading: 'read' });
  });

  test.skipIf(!HAS_FLOCK)('fs-ext alone holds a store as well, and knows of who has the other lock', async () => {
    const flockOnly = { [OWN]: 'MODULE_NOT_FOUND', [BUILD]: 'MODULE_NOT_FOUND' };
    expect(open(flockOnly)).toEqual({ opened: true, reading: 'read' });
    const lock = await nodeVfs.lock(join(dir, 'store/LOCK'), '');
    if (lock.kind === 'held') throw new Error('it was closed');
    expect(open(flockOnly)).toMatchObject({ code: 'EVAQ_LOCKED' });
    await lock.lock.release();
    expect(open(flockOnly)).toMatchObject({ opened: true });
  });
});

describe('bundled by esbuild, with the native package beside the bundle', () => {
  test.each<['cjs' | 'esm', boolean]>([
    ['cjs', true],
    ['esm', true],
    ['cjs', false],
    ['esm', false],
  ])('%s opens stores where the package is there (%s), and says what is missing where not', async (format, isThere) => {
    const program = join(dir, 'program.ts');
    const bundle = join(dir, format === 'cjs' ? 'bundle.cjs' : 'bundle.mjs');
    writeFileSync(
      program,
      `import { Evaq } from ${JSON.stringify(join(ROOT, 'src/evaq.ts'))};
       Evaq.open(process.argv[2] ?? '').then(
         (evaq) => evaq.wal.push('x').then(() => evaq.close()).then(() => console.log('{"opened":true}')),
         ({ code, message, hint }) => console.log(JSON.stringify({ code, message, hint })),
       );`,
    );
    await build({
      entryPoints: [program],
      outfile: bundle,
      bundle: true,
      platform: 'node',
      format,
      nodePaths: [join(ROOT, 'node_modules')],
      logLevel: 'silent',
    });
    mkdirSync(join(dir, 'node_modules'));
    if (isThere) symlinkSync(join(ROOT, 'node_modules', OWN), join(dir, 'node_modules', OWN));
    const output = execFileSync(process.execPath, [bundle, join(dir, 'store')], { encoding: 'utf8', cwd: dir });
    const outcome: Outcome = JSON.parse(output);
    if (isThere) {
      expect(outcome).toEqual({ opened: true });
    } else {
      expect(outcome.code).toBe('EVAQ_NATIVE_UNAVAILABLE');
      expect(outcome.hint).toMatch(/keep fs-native-extensions out of the bundle/);
    }
  });
});
