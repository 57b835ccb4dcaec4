/**
 * A check that cannot fail is a defect: each bug is planted, alone, into a bundle of the engine, and the suite has to find it. The engine as
 * it is must pass the same hunts (store-model.test.ts and corruption.test.ts).
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { hunt as Hunting } from './support/hunt.js';
import { FREQUENT_REWRITES, PLANTED_BUGS, type PlantedBug } from './support/planted-bugs.js';
import { BUGS_IN_COMPANY } from './support/planted-in-company.js';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
const ROUNDS = Number(process.env['EVAQ_HUNT_ROUNDS'] ?? 60);
/** Only to end a hunt that would hang. */
const TIMEOUT_MS = 1_800_000;
let out = '';

beforeAll(() => {
  // Within the project, so that the bundle finds the packages.
  out = mkdtempSync(join(root, 'node_modules', '.planted-'));
});
afterAll(() => {
  rmSync(out, { recursive: true, force: true });
});

async function bundle({ edits = [] }: PlantedBug, name: string): Promise<{ readonly hunt: typeof Hunting }> {
  const planted = new Set<string>();
  const outfile = join(out, `${name}.mjs`);
  await build({
    entryPoints: [join(here, 'support', 'hunt.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'silent',
    plugins: [
      {
        name: 'plant',
        setup(builder) {
          builder.onLoad({ filter: /\.ts$/ }, ({ path }) => {
            const mine = edits.filter(({ file }) => path.endsWith(`${sep}src${sep}${file.replaceAll('/', sep)}`));
            if (mine.length === 0) return undefined;
            let contents = readFileSync(path, 'utf8');
            for (const { file, find, put } of mine) {
              if (!contents.includes(find)) throw new Error(`the plant in ${file} has lost its place: ${find}`);
              contents = contents.replace(find, () => put);
              planted.add(find);
            }
            return { contents, loader: 'ts' };
          });
        },
      },
    ],
  });
  expect(planted.size, 'every edit is in the bundle').toBe(edits.length);
  const loaded: { readonly hunt: typeof Hunting } = await import(/* @vite-ignore */ pathToFileURL(outfile).href);
  return loaded;
}

describe('a planted bug is found', () => {
  for (const [i, bug] of [...PLANTED_BUGS, ...BUGS_IN_COMPANY].entries()) {
    test(bug.title, { timeout: TIMEOUT_MS }, async () => {
      const { hunt } = await bundle(bug, `bug-${i}`);
      const { found, tries, states } = await hunt(bug, ROUNDS);
      if (process.env['EVAQ_TABLE'] !== undefined)
        console.log(`| ${bug.title} | ${tries} | ${states} | ${found ?? 'NOT FOUND'} |`);
      expect(found, `not found in ${tries} tries, ${states} states`).toBeDefined();
    });
  }
});

test('no bug is found where none is planted, though the tombstone log is rewritten at every turn', {
  timeout: TIMEOUT_MS,
}, async () => {
  const plant: PlantedBug = { title: 'none', hunts: ['beside', 'collecting', 'weak'], edits: [FREQUENT_REWRITES] };
  const { hunt } = await bundle(plant, 'none');
  const { found, tries } = await hunt(plant, 1);
  expect(found).toBeUndefined();
  expect(tries).toBeGreaterThan(2);
});
