/** Plants bugs, each alone, into a bundle of the engine, and hunts them. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { hunt as Hunting } from './hunt.js';
import type { PlantedBug } from './planted-bugs.js';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..', '..');
const ROUNDS = Number(process.env['EVAQ_HUNT_ROUNDS'] ?? 60);
/** Only to end a hunt that would hang. */
export const TIMEOUT_MS = 600_000;
let out = '';

/** Called once in a test file, for its bundles. */
export function inAFolder(): void {
  beforeAll(() => {
    // Within the project, so that the bundle finds the packages.
    out = mkdtempSync(join(root, 'node_modules', '.planted-'));
  });
  afterAll(() => {
    rmSync(out, { recursive: true, force: true });
  });
}

/** Within a test file that called `inAFolder`. */
export async function bundle({ edits = [] }: PlantedBug, name: string): Promise<{ readonly hunt: typeof Hunting }> {
  const planted = new Set<string>();
  const outfile = join(out, `${name}.mjs`);
  await build({
    entryPoints: [join(here, 'hunt.ts')],
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

const { EVAQ_PLANTED, EVAQ_SEED: SEED = '1' } = process.env;

/** Every second one, which seed says; or all of them, which takes a quarter of an hour. */
function isPlanted(nth: number): boolean {
  return EVAQ_PLANTED === 'all' || (nth + Number(SEED)) % 2 === 0;
}

/** A test for each: `EVAQ_PLANTED=all` for all of them, otherwise every second one. */
export function theyAreFound(bugs: readonly PlantedBug[]): void {
  test('each has its place in the sources', () => {
    const edits = bugs.flatMap((bug) => bug.edits ?? []);
    const lost = edits.filter(({ file, find }) => !readFileSync(join('src', file), 'utf8').includes(find));
    expect(lost).toEqual([]);
  });
  describe('a planted bug is found', () => {
    for (const [i, bug] of bugs.entries()) {
      test.skipIf(!isPlanted(i))(bug.title, { timeout: TIMEOUT_MS }, async () => {
        const { hunt } = await bundle(bug, `bug-${i}`);
        const { found, tries, states } = await hunt(bug, ROUNDS);
        if (process.env['EVAQ_TABLE'] !== undefined)
          console.log(`| ${bug.title} | ${tries} | ${states} | ${found ?? 'NOT FOUND'} |`);
        expect(found, `not found in ${tries} tries, ${states} states`).toBeDefined();
      });
    }
  });
}
