/** Runs every example as its readers do, against the sources as they are. */
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundle, projectRoot } from '../cli/support/bundle.js';

const run = promisify(execFile);
const examples = path.join(projectRoot, 'examples');

/** A project that has evaq installed. Below `node_modules`, from where the dependencies of evaq are found. */
let project = '';
beforeAll(async () => {
  const library = await bundle(path.join(projectRoot, 'src/evaq.ts'));
  project = fs.mkdtempSync(path.join(path.dirname(library), 'examples-'));
  const installed = path.join(project, 'node_modules/evaq');
  fs.mkdirSync(path.join(installed, 'dist'), { recursive: true });
  fs.copyFileSync(path.join(projectRoot, 'package.json'), path.join(installed, 'package.json'));
  fs.copyFileSync(library, path.join(installed, 'dist/evaq.js'));
  fs.cpSync(examples, path.join(project, 'examples'), { recursive: true });
});
afterAll(() => fs.rmSync(project, { recursive: true }));

const PRINTED: Readonly<Record<string, readonly RegExp[]>> = {
  'persist-before-send.mjs': [
    /^on disk: 6 orders$/m,
    /^record 3: connection reset; it stays on disk$/m,
    /^arrived: 1 2 4 5 3 6$/m,
    /^on disk: 0 orders$/m,
  ],
  'dead-letter-retry.mjs': [
    /^customer 3: refused \(UNKNOWN_CUSTOMER\), now dead letter 1$/m,
    /^customer 4: delivered$/m,
    /^dead letter 1 \(refused: UNKNOWN_CUSTOMER\): delivered at attempt 4$/m,
    /^left: 0 records, 0 dead letters$/m,
  ],
  'rate-limit-buffer.mjs': [
    /^5000 records are durable after \d+ ms$/m,
    // At most the rate that is allowed.
    /^received 5000 at (?:\d{1,3}|[1-3]\d{3}|4000) records\/s \(allowed: 4000\)$/m,
  ],
  'http-ingest.mjs': [/^accepted: 20$/m, /^arrived: 20, refused on the way: [1-9]\d*$/m],
  'big-stream.mjs': [
    /^\d{5,} records are durable$/m,
    /^memory grew by less than 200 MiB: true$/m,
    /^the same came out: true$/m,
  ],
  'consumer-groups.mjs': [/^billed: 200, of each customer in order: true$/m, /^shipped: 200, by both: true$/m],
  'worker-threads.mjs': [/^delivered: 1000, by 4 threads$/m, /^left: 0 records, 0 dead letters$/m],
  'crash-recovery.mjs': [
    /^killed with SIGKILL after/m,
    /^opened again in \d+ ms: clean false/m,
    /^acknowledged and lost: 0$/m,
    /^IDs go on: true$/m,
  ],
};

/** Programs that took forty lines each before the library had delivery. */
const SHORT = [
  'http-ingest.mjs',
  'big-stream.mjs',
  'consumer-groups.mjs',
  'rate-limit-buffer.mjs',
  'worker-threads.mjs',
];

describe('the examples', () => {
  test('are all known here', () => {
    // The one in Python is held against the engine by a test of its own.
    const programs = fs.readdirSync(examples).filter((name) => name.endsWith('.mjs'));
    // That of README goes on until it is stopped: `test/docs/programs.test.ts` runs it.
    expect(programs.sort()).toEqual([...Object.keys(PRINTED), 'outbox.mjs'].sort());
  });

  test('what people come for takes a few lines', () => {
    for (const name of SHORT) {
      const text = fs.readFileSync(path.join(examples, name), 'utf8');
      const [, program = ''] = /^ *\/\/ The program\.\n([\s\S]*?)^ *\/\/ The end of the program\.$/m.exec(text) ?? [];
      const lines = program.split('\n').filter((line) => line.trim() !== '' && !line.trim().startsWith('//'));
      expect(lines.length, name).toBeGreaterThan(3);
      expect(lines.length, name).toBeLessThanOrEqual(15);
    }
  });

  test.each(Object.entries(PRINTED))('%s does what it says, and leaves nothing behind', async (name, printed) => {
    const scratch = fs.mkdtempSync(path.join(project, 'tmp-'));
    const { stdout, stderr } = await run(process.execPath, [path.join(project, 'examples', name)], {
      env: { ...process.env, TMPDIR: scratch },
    });
    expect(stderr).toBe('');
    for (const line of printed) expect(stdout).toMatch(line);
    expect(fs.readdirSync(scratch)).toEqual([]);
  });
});
