/**
 * Every wait for the disk in the engine is known, with what finds it out where it is left out (`support/sync-verdicts.ts`); a few are left out here, one
 * after the other, all of them by hand: `npm run sync-mutants`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundleWithSwitches, disagreements, type SyncHunt } from './support/sync-mutants.js';
import { SRC, sitesIn, syncSites } from './support/sync-sites.js';
import { SYNC_VERDICTS } from './support/sync-verdicts.js';

const sites = syncSites();
/** Found by random scripts within a second. */
const quick = sites.filter(({ name }) => {
  const verdict = SYNC_VERDICTS[name];
  return verdict !== undefined && 'hunt' in verdict && verdict.hunt === 'crashes';
});

describe('waits for the disk', () => {
  test('each is known, and what is known of is there', () => {
    expect(sites.length).toBeGreaterThan(100);
    expect(disagreements(sites, SYNC_VERDICTS)).toEqual([]);
  });

  test('a new one is seen', () => {
    const text = 'class New { async #do() { await this.#file.sync(); await vfs.syncDir(dir); this.written(); } }';
    const planted = sitesIn('queue/new.ts', text);
    expect(planted.map(({ name }) => name)).toEqual([
      'queue/new.ts #do: this.#file.sync()',
      'queue/new.ts #do: vfs.syncDir(dir)',
    ]);
    expect(disagreements([...sites, ...planted], SYNC_VERDICTS)).toHaveLength(2);
  });
});

describe('a wait for the disk that is left out is found out', () => {
  let folder = '';
  let hunt: SyncHunt;
  beforeAll(async () => {
    // Within the project, so that the bundle finds the packages.
    folder = mkdtempSync(join(SRC, '..', 'node_modules', '.sync-mutants-'));
    hunt = await bundleWithSwitches(sites, folder);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each(quick)('$name', { timeout: 600_000 }, async (site) => {
    const { found, tries } = await hunt(site, SYNC_VERDICTS[site.name], 3);
    expect(found, `not found in ${tries} tries`).toBeDefined();
  });

  test('and nothing is found where none is', { timeout: 600_000 }, async () => {
    const none = { name: 'none', file: '', start: 0, end: 0, blocking: false };
    const { found } = await hunt(none, { hunt: 'crashes' }, 1);
    expect(found).toBeUndefined();
  });
});
