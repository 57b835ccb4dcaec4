// Mutation testing of some rooms or files, with the tests of some rooms: npm run mutation -- tombstone [src/queue/claims.ts] [--tests tombstone,gc]
// Without any all of them, which takes hours. The results of earlier runs are gone on from (.stryker/incremental.json).
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { tests: { type: 'string' } } });
const env = { ...process.env };
if (positionals.length > 0) {
  const files = positionals.map((one) => (one.endsWith('.ts') ? one : `src/${one}/**/*.ts`));
  env['EVAQ_MUTATE'] = files.join(',');
}
if (values.tests !== undefined) env['EVAQ_MUTATE_TESTS'] = values.tests;
const { status } = spawnSync('npx', ['--no-install', 'stryker', 'run'], { env, stdio: 'inherit' });
process.exitCode = status ?? 1;
