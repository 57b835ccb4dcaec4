/** Many queues, killed, within a limit of the system on descriptors. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundle, projectRoot } from '../cli/support/bundle.js';

/** 2000 take a minute. */
const QUEUES = Number(process.env['EVAQ_QUEUES'] ?? 400);
const LIMIT = 256;
const scratch = mkdtempSync(join(tmpdir(), 'evaq-descriptors-'));
let program = '';

beforeAll(async () => {
  program = await bundle(join(projectRoot, 'test/crash/few-descriptors-process.ts'));
});
afterAll(() => {
  rmSync(scratch, { recursive: true });
});

function run(limit: number, mode: string): { readonly stdout: string; readonly stderr: string } {
  const args = [
    '-c',
    `ulimit -n ${limit} && exec "$@"`,
    'sh',
    process.execPath,
    program,
    mode,
    join(scratch, 's'),
    String(QUEUES),
  ];
  return spawnSync('sh', args, { encoding: 'utf8', timeout: 280_000 });
}

const hasLimits =
  spawnSync('sh', ['-c', `ulimit -n ${LIMIT} && ulimit -n`], { encoding: 'utf8' }).stdout?.trim() === String(LIMIT);

// Skipped where no shell can lower the limit (Windows).
test.skipIf(!hasLimits)(
  `P17: ${QUEUES} queues that were killed open within ${LIMIT} descriptors, and all can be used`,
  () => {
    run(4096, 'fill');
    const { stdout, stderr } = run(LIMIT, 'use');
    expect(stderr).toBe('');
    const { found, left, most } = JSON.parse(stdout);
    expect({ found, left }).toEqual({ found: QUEUES, left: 0 });
    expect(most).toBeLessThan(LIMIT);
  },
);
