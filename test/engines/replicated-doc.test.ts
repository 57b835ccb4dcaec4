/** The program of docs/replicated.md runs, and prints what it says. */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { describe, expect, onTestFinished, test } from 'vitest';
import { projectRoot } from '../cli/support/bundle.js';
import { newName, startNats, urlOf, whyNoBatches } from './nats-server.js';

const why = await whyNoBatches();
const page = readFileSync(join(projectRoot, 'docs/replicated.md'), 'utf8');

describe.skipIf(why !== undefined)(`docs/replicated.md${why === undefined ? '' : ` (${why})`}`, () => {
  test('its program runs', async () => {
    const [, program = ''] = /^```ts\n([\s\S]*?)^```$/m.exec(page) ?? [];
    const server = await startNats();
    const file = join(projectRoot, 'node_modules', `.replicated-${process.pid}`);
    onTestFinished(async () => {
      await server.end();
      for (const end of ['.ts', '.mjs']) rmSync(`${file}${end}`, { force: true });
    });
    const placed = program
      .replace('nats://127.0.0.1:4222', urlOf(server))
      .replace("name: 'shop'", `name: '${newName()}'`);
    expect(placed).not.toContain("'shop'");
    writeFileSync(`${file}.ts`, placed);
    await build({
      entryPoints: [`${file}.ts`],
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20.19',
      alias: { evaq: join(projectRoot, 'src/evaq.ts'), 'evaq/jetstream': join(projectRoot, 'src/jetstream.ts') },
      packages: 'external',
      outfile: `${file}.mjs`,
      logLevel: 'error',
    });
    const printed = execFileSync(process.execPath, [`${file}.mjs`], { encoding: 'utf8', timeout: 30_000 });
    const lines = printed.trim().split('\n');
    expect([...lines].sort((a, b) => a.localeCompare(b))).toEqual([
      'no coffee attempts 2',
      'orders:1 1 one tea',
      'orders:2 1 two teas',
    ]);
  });
});
