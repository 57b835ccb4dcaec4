/** The waits for the disk, each left out by itself (`test/property/support/sync-sites.ts`), for the quick tests: what hunts do not find they may. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type SyncSite, syncSites, withSwitches } from '../test/property/support/sync-sites.js';
import { SYNC_VERDICTS } from '../test/property/support/sync-verdicts.js';
import type { MutableFile } from './mutants.js';

export function waitsAll(src: string): MutableFile[] {
  const sites = syncSites(src);
  const files = [...new Set(sites.map(({ file }) => file))];
  return files.map((file) => {
    const mine = sites.filter((site) => site.file === file);
    const content = readFileSync(join(src, file), 'utf8');
    const mutants = mine.map((site) => ({
      id: waitId(sites.indexOf(site)),
      file,
      line: content.slice(0, site.start).split('\n').length,
      from: site.name,
      to: `left out; known: ${knownOf(site)}`,
      text: 'a wait for the disk',
      mutator: 'wait',
    }));
    const text = withSwitches(content, mine, (site) => sites.indexOf(site));
    return { file, source: text, make: () => Promise.resolve({ file, text, mutants }) };
  });
}

/** By its number, which is all that the switch knows. */
function waitId(number: number): string {
  return `wait#${number}`;
}

function knownOf({ name }: SyncSite): string {
  const verdict = SYNC_VERDICTS[name] ?? {};
  return Object.keys(verdict)[0] ?? 'nothing';
}
