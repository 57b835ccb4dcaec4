/**
 * The tests with one wait for the disk left out of the engine: EVAQ_LEFT_OUT is its name, as `npm run sync-mutants -- --list` says it. For those that no
 * hunt finds; see docs/mutation.md.
 */
import { readFileSync } from 'node:fs';
import { defineConfig } from 'vitest/config';
import { syncSites, withSwitches } from './test/property/support/sync-sites.js';

const left = process.env['EVAQ_LEFT_OUT'];
const sites = syncSites().filter(({ name }) => name === left);
if (sites.length !== 1) throw new Error(`EVAQ_LEFT_OUT names no wait for the disk: ${left}`);

const config: ReturnType<typeof defineConfig> = defineConfig({
  plugins: [
    {
      name: 'left-out',
      enforce: 'pre',
      load(path) {
        const [file] = path.split('?');
        const mine = sites.filter((site) => file?.endsWith(`/src/${site.file}`));
        return file === undefined || mine.length === 0
          ? undefined
          : `globalThis.__evaqLeftOut = () => true;\n${withSwitches(readFileSync(file, 'utf8'), mine, () => 0)}`;
      },
    },
  ],
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/seeded.ts'],
    testTimeout: 300_000,
    hookTimeout: 300_000,
    pool: 'forks',
    bail: 1,
    reporters: ['default'],
  },
});
export default config;
