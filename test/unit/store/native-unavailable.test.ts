import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ENTRY = fileURLToPath(new URL('../../../dist/evaq.js', import.meta.url));

/** A program in whose process the native package cannot be loaded, as where its install script was not allowed to run. */
const PROGRAM = `
  import Module from 'node:module';
  const load = Module._load;
  Module._load = function (request, ...rest) {
    if (request === 'fs-ext') throw new Error('Could not locate the bindings file');
    return load.call(this, request, ...rest);
  };
  const { Evaq } = await import(process.argv[1]);
  try {
    await Evaq.open(process.argv[2]);
  } catch (error) {
    console.log(JSON.stringify({ code: error.code, hint: error.hint }));
  }
  const reader = await Evaq.openReadOnly(process.argv[2]).catch((error) => ({ code: error.code }));
  console.log(JSON.stringify({ code: reader.code }));
`;

test.skipIf(!existsSync(ENTRY))(
  'without its native package evaq can be imported, and open says which line to run (needs a build)',
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'evaq-native-'));
    try {
      const args = ['--input-type=module', '-e', PROGRAM, ENTRY, join(dir, 'store')];
      const [opened, readOnly] = execFileSync(process.execPath, args, { encoding: 'utf8' }).trim().split('\n');
      const { code, hint } = JSON.parse(opened ?? '');
      expect(code).toBe('EVAQ_NATIVE_UNAVAILABLE');
      expect(hint).toContain('npm install-scripts approve fs-ext && npm rebuild fs-ext');
      // Reading takes no lock: what is wrong there is only that no store was made.
      expect(JSON.parse(readOnly ?? '')).toEqual({ code: 'EVAQ_NOT_A_STORE' });
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  },
);
