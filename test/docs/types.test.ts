/**
 * What the listings in docs call is there, with these options and results: they are type-checked, loosely, since JavaScript is not written for types. Those of
 * README are, strictly, by `readme.test.ts`.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { projectRoot } from '../cli/support/bundle.js';
import { type Listing, listingsOf, PAGES, placeOf } from './support/listings.js';

/** What a part of a program has from around it, each only where the part has none of its own. */
const AROUND: Readonly<Record<string, string>> = {
  evaq: "declare const evaq: import('../../src/evaq.js').Evaq;",
  Evaq: "import { Evaq } from '../../src/evaq.js';",
  SimDisk: "import { SimDisk } from '../../src/sim.js';",
  forward: "import { forward } from '../../src/forward.js';",
  client: 'declare const client: any;',
  accessKeyId: 'declare const accessKeyId: string;',
  secretAccessKey: 'declare const secretAccessKey: string;',
};

function sourceOf({ code }: Pick<Listing, 'code'>): string {
  // Without texts: `evaq` in the name of a package declares nothing.
  const bare = code.replaceAll(/'[^'\n]*'/g, "''");
  const missing = Object.entries(AROUND).filter(
    ([name]) => !new RegExp(`\\bconst ${name}\\b|\\bimport\\b[^=;]*\\b${name}\\b`).test(bare),
  );
  const placed = code.replaceAll(/'evaq(?:\/([\w/]+))?'/g, (_, entry = 'evaq') => `'../../src/${String(entry)}.js'`);
  return [...missing.map(([, line]) => line), placed, 'export {};'].join('\n');
}

/** By file: what the compiler says. */
function problemsOf(sources: ReadonlyMap<string, string>): string[] {
  const { config } = ts.readConfigFile(join(projectRoot, 'tsconfig.json'), (path) => readFileSync(path, 'utf8'));
  const { options } = ts.parseJsonConfigFileContent(config, { ...ts.sys, readDirectory: () => [] }, projectRoot);
  const loose = { ...options, strict: false, isolatedDeclarations: false, declaration: false };
  const real = ts.createCompilerHost(loose);
  const host: ts.CompilerHost = {
    ...real,
    fileExists: (path) => sources.has(path) || real.fileExists(path),
    readFile: (path) => sources.get(path) ?? real.readFile(path),
    getSourceFile: (path, version, onError) => {
      const text = sources.get(path);
      return text === undefined
        ? real.getSourceFile(path, version, onError)
        : ts.createSourceFile(path, text, version, true);
    },
  };
  const program = ts.createProgram([...sources.keys()], loose, host);
  return [...sources].flatMap(([path, text]) => {
    const file = program.getSourceFile(path);
    const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
    return found.map(({ messageText, start }) => {
      const line = text.split('\n')[text.slice(0, start).split('\n').length - 1] ?? '';
      return `${path.slice(path.lastIndexOf('/') + 1)}: ${line.trim()}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
    });
  });
}

const nameOf = (one: Listing): string => join(projectRoot, 'test/docs', `${placeOf(one).replaceAll(/[/:.]/g, '-')}.ts`);

test('every listing in docs calls what is there', () => {
  const listings = PAGES.slice(1).flatMap(listingsOf);
  // That of docs/raw.md is run, and takes apart a union as JavaScript may.
  const checked = listings.filter(({ language, file }) => /^[jt]s$/.test(language) && file !== 'dump.mjs');
  expect(checked.length).toBeGreaterThan(18);
  const sources = new Map(checked.map((one) => [nameOf(one), sourceOf(one)]));
  const wrong = join(projectRoot, 'test/docs/wrong.ts');
  sources.set(wrong, sourceOf({ code: "await evaq.wal.pushAll(['a']);\nevaq.wal.push('a', { delay: 5 });" }));
  // What a channel tells is taken apart as JavaScript may: Node types it as unknown.
  const problems = problemsOf(sources).filter((problem) => !problem.includes('} = message;'));
  // The check finds what is not there: a call, and an option.
  expect(problems).toEqual([
    expect.stringMatching(/^wrong\.ts: .*'pushAll' does not exist/),
    expect.stringMatching(/^wrong\.ts: .*'delay' does not exist/),
  ]);
});
