/** What is packed is whole: the pages and what they point to, every entry, the command, the examples. Needs a build. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Installed, installPacked } from './support/installed.js';
import { anchorsOf, linksOf } from './support/links.js';
import { PAGES } from './support/listings.js';
import { folderWith, output } from './support/programs.js';

let installed: Installed;
beforeAll(async () => {
  installed = await installPacked();
});
afterAll(() => installed.remove());

const read = (path: string): string => readFileSync(join(installed.root, path), 'utf8');

describe('the pages', () => {
  const pages = (): string[] => installed.files.filter((path) => path.endsWith('.md'));

  test('are packed: README, docs, and what stands beside them', () => {
    expect(pages()).toEqual(
      expect.arrayContaining([...PAGES, 'ARCHITECTURE.md', 'FORMAT.md', 'CHANGELOG.md', 'bench/README.md']),
    );
  });

  test('point to files that are packed, and to headings that are there', () => {
    const broken: string[] = [];
    let followed = 0;
    for (const page of pages()) {
      for (const link of linksOf(read(page))) {
        const [path = '', anchor] = link.split('#');
        const target = path === '' ? page : posix.join(posix.dirname(page), path);
        followed++;
        // A folder is as good as a file where nothing in it is meant.
        if (!existsSync(join(installed.root, target))) broken.push(`${page}: ${link}`);
        else if (anchor !== undefined && !anchorsOf(read(target)).has(anchor)) broken.push(`${page}: ${link}`);
      }
    }
    expect(broken).toEqual([]);
    expect(followed).toBeGreaterThan(60);
  });

  test('name no scripts of npm that are not there', () => {
    const { scripts }: { readonly scripts: Readonly<Record<string, string>> } = JSON.parse(read('package.json'));
    const named = pages().flatMap((page) =>
      [...read(page).matchAll(/\bnpm run ([\w-]+)/g)].map(([, name = '']) => name),
    );
    expect(named.length).toBeGreaterThan(10);
    expect([...new Set(named)].filter((name) => !(name in scripts))).toEqual([]);
  });
});

test('every entry is there for import and for require, with nothing but what evaq depends on', async () => {
  const {
    exports,
    bin,
    types,
    main,
  }: { readonly exports: object; readonly bin: object; readonly types: string; readonly main: string } = JSON.parse(
    read('package.json'),
  );
  const files = [...JSON.stringify(exports).matchAll(/"(\.\/[^"*]+\.(?:c?js|d\.c?ts|json))"/g)].map(
    ([, path = '']) => path,
  );
  expect(files.length).toBeGreaterThan(40);
  for (const path of [...files, ...Object.values(bin).map(String), types, main])
    expect(existsSync(join(installed.root, path)), path).toBe(true);
  const entries = Object.keys(exports)
    .filter((entry) => !entry.endsWith('.json'))
    .map((entry) => `evaq${entry.slice(1)}`);
  const program = `import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);
for (const entry of ${JSON.stringify(entries)}) {
  const imported = Object.keys(await import(entry)).filter((name) => !/^(?:default|module\\.exports)$/.test(name));
  const required = require(entry);
  const same = imported.every((name) => name in required);
  console.log(entry, imported.length > 0 && same ? 'ok' : 'differs');
}`;
  const folder = folderWith(installed, 'entries', { 'entries.mjs': program });
  expect((await output(folder, 'entries.mjs')).trim().split('\n')).toEqual(entries.map((entry) => `${entry} ok`));
});

test('the command runs', async () => {
  const { version }: { readonly version: string } = JSON.parse(read('package.json'));
  expect(await output(installed.project, join(installed.root, 'dist/cli/main.js'), '--version')).toBe(`${version}\n`);
});

test('examples run: one after the other, and leave nothing behind', async () => {
  const folder = folderWith(installed, 'examples');
  const examples = readdirSync(join(installed.root, 'examples')).filter((name) => name.endsWith('.mjs'));
  // That the others do what they say is tested from the sources; here it is that they are packed, and find what they need.
  expect(examples.length).toBeGreaterThan(8);
  for (const name of ['persist-before-send.mjs', 'dead-letter-retry.mjs']) {
    writeFileSync(join(folder, name), read(`examples/${name}`));
    await output(folder, name);
  }
});
