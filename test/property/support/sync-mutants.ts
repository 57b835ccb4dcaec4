/** Leaves each wait for the disk out of the engine, one at a time, and hunts. `npm run sync-mutants`, and in part sync-mutants.test.ts. */
import { readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';
import type { hunt as Hunting, HuntResult } from './hunt.js';
import { FREQUENT_REWRITES, type Hunt } from './planted-bugs.js';
import { leaveOut, SRC, type SyncSite, syncSites, withSwitches } from './sync-sites.js';
import { SYNC_VERDICTS, type SyncVerdict } from './sync-verdicts.js';

/** What is tried where no hunt is known to find it. */
export const ALL_HUNTS: readonly Hunt[] = [
  'crashes',
  'regressions',
  'collecting',
  'space',
  'rounds',
  'reserve',
  'dormant',
  'weak',
  'linear',
  'intake',
];
const SEED = 1000;

export type SyncHunt = (
  site: SyncSite,
  verdict: SyncVerdict | undefined,
  rounds: number,
) => Promise<HuntResult & { readonly by: Hunt | undefined; readonly reached: number }>;

/** What does not agree between the sources and the list, as sentences. */
export function disagreements(sites: readonly SyncSite[], verdicts: Readonly<Record<string, SyncVerdict>>): string[] {
  const names = new Set(sites.map(({ name }) => name));
  return [
    ...sites
      .filter(({ name }) => verdicts[name] === undefined)
      .map(({ name }) => `nothing is known of a wait for the disk: ${name}`),
    ...Object.keys(verdicts)
      .filter((name) => !names.has(name))
      .map((name) => `no such wait for the disk: ${name}`),
  ];
}

/** Bundles the engine with a switch at each of `sites`, into `folder`, which is to be within the project. */
export async function bundleWithSwitches(sites: readonly SyncSite[], folder: string): Promise<SyncHunt> {
  const often = await bundled(sites, join(folder, 'often.mjs'), true);
  const plain = await bundled(sites, join(folder, 'plain.mjs'), false);
  return async (site, verdict, rounds) => {
    const number = sites.indexOf(site);
    const isKnown = verdict !== undefined && 'hunt' in verdict;
    const hunts = isKnown ? [verdict.hunt] : ALL_HUNTS;
    const hunt = isKnown && verdict.frequent === true ? often : plain;
    const seed = (isKnown ? verdict.seed : undefined) ?? SEED;
    let reached = 0;
    leaveOut(number, (one) => {
      if (one === number) reached++;
    });
    try {
      let tries = 0;
      let states = 0;
      for (let round = 0; round < rounds; round++) {
        for (const by of hunts) {
          const result = await hunt({ title: site.name, hunts: [by], seed: seed + round }, 1);
          tries += result.tries;
          states += result.states;
          if (result.found !== undefined) return { found: result.found, tries, states, by, reached };
        }
      }
      return { found: undefined, tries, states, by: undefined, reached };
    } finally {
      leaveOut(undefined);
    }
  };
}

async function bundled(sites: readonly SyncSite[], outfile: string, often: boolean): Promise<typeof Hunting> {
  const switches: Plugin = {
    name: 'switches',
    setup(builder) {
      builder.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        if (!path.startsWith(SRC + sep)) return undefined;
        const file = path.slice(SRC.length + 1).replaceAll(sep, '/');
        const mine = sites.filter((site) => site.file === file);
        if (mine.length === 0) return undefined;
        let contents = withSwitches(readFileSync(path, 'utf8'), mine, (site) => sites.indexOf(site));
        if (often && file === FREQUENT_REWRITES.file)
          contents = contents.replace(FREQUENT_REWRITES.find, () => FREQUENT_REWRITES.put);
        return { contents, loader: 'ts' };
      });
    },
  };
  await build({
    entryPoints: [join(SRC, '..', 'test/property/support/hunt.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'silent',
    plugins: [switches],
  });
  const loaded: { readonly hunt: typeof Hunting } = await import(/* @vite-ignore */ pathToFileURL(outfile).href);
  return loaded.hunt;
}

export interface SyncRun {
  /** Only those whose names hold this text. */
  readonly only: string;
  readonly rounds: number;
  readonly list: boolean;
}

/** By hand: prints a row for each. False where one that a hunt is known to find is not found, or the list does not agree. */
export async function huntAll(folder: string, { only, rounds, list }: SyncRun): Promise<boolean> {
  const sites = syncSites();
  const wrong = disagreements(sites, SYNC_VERDICTS);
  for (const sentence of wrong) console.error(sentence);
  const chosen = sites.filter(({ name }) => name.includes(only));
  if (list) {
    for (const { name } of chosen) console.log(`${name} | ${JSON.stringify(SYNC_VERDICTS[name] ?? {})}`);
    return wrong.length === 0;
  }
  const hunt = await bundleWithSwitches(sites, folder);
  let isRight = wrong.length === 0;
  for (const site of chosen) {
    const verdict = SYNC_VERDICTS[site.name];
    const { found, by, tries, states, reached } = await hunt(site, verdict, rounds);
    const isKnown = verdict !== undefined && 'hunt' in verdict;
    if (isKnown && found === undefined) isRight = false;
    const what = found === undefined ? `NOT FOUND (reached ${reached} times)` : `${by}: ${found}`;
    console.log(`| ${site.name} | ${tries} | ${states} | ${what} |`);
  }
  return isRight;
}
