/**
 * What the sources may not say, because a test runner gives the library values of another realm, and a clock that stands still. The globals among
 * the timers are the linter's part (`biome.json`).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface Source {
  readonly file: string;
  readonly text: string;
}

function sourcesIn(dir: string): Source[] {
  const files = readdirSync(join(ROOT, dir), { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => /\.(?:ts|mjs)$/.test(file))
    .map((file) => ({
      file: `${dir}/${file.replaceAll('\\', '/')}`,
      text: readFileSync(join(ROOT, dir, file), 'utf8'),
    }));
}

/** Classes of others that are made and asked for in one place: their realm is ours. */
const OWN_VALUES: Readonly<Record<string, RegExp>> = {
  Int32Array: /^src\/index\//,
  CommanderError: /^src\/cli\//,
  URIError: /^src\/cli\//,
};

function brokenRules(sources: readonly Source[]): string[] {
  const code = sources.map(({ file, text }) => ({
    file,
    text: text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, ''),
  }));
  const own = new Set(code.flatMap(({ text }) => [...text.matchAll(/\bclass (\w+)/g)].map(([, name]) => name)));
  const broken: string[] = [];
  for (const { file, text } of code) {
    for (const [, name = ''] of text.matchAll(/\binstanceof\s+([\w.]+)/g)) {
      if (own.has(name) || OWN_VALUES[name]?.test(file) === true) continue;
      broken.push(`${file}: instanceof ${name} is false of what comes from another realm`);
    }
    if (/\bBuffer\.isBuffer\b/.test(text))
      broken.push(`${file}: Buffer.isBuffer is false of what comes from another realm`);
    if (file === 'src/vfs/own-timers.ts' || !file.startsWith('src/') || file.startsWith('src/cli/')) continue;
    for (const pattern of [
      /\bnextTick\b/,
      /\bhrtime\b/,
      /['"](?:node:)?timers(?:\/promises)?['"]/,
      /\bperformance\b/,
      /\bglobalThis\b/,
    ]) {
      const found = pattern.exec(text);
      if (found !== null)
        broken.push(`${file}: ${found[0]} stands still in a test: only vfs/own-timers.ts takes it from Node`);
    }
  }
  return broken;
}

const sources = [...sourcesIn('src'), ...sourcesIn('scripts')];

test('nothing is asked of the class of what comes from Node or from callers, nor of their clocks', () => {
  expect(sources.length).toBeGreaterThan(100);
  expect(brokenRules(sources)).toEqual([]);
});

test.each<[string, Source, RegExp]>([
  ['an error of Node', { file: 'src/vfs/planted.ts', text: 'if (error instanceof Error) return;' }, /instanceof Error/],
  ['a payload', { file: 'src/queue/planted.ts', text: 'x instanceof Uint8Array' }, /instanceof Uint8Array/],
  [
    'a class of an object',
    { file: 'src/queue/planted.ts', text: 'x instanceof globalThis.Map' },
    /instanceof globalThis/,
  ],
  ['an array of ours in another room', { file: 'src/log/planted.ts', text: 'x instanceof Int32Array' }, /Int32Array/],
  ['in a script', { file: 'scripts/planted.mjs', text: 'x instanceof URL' }, /instanceof URL/],
  ['a buffer', { file: 'src/queue/planted.ts', text: 'Buffer.isBuffer(x)' }, /isBuffer/],
  ['a turn of the process', { file: 'src/queue/planted.ts', text: 'process.nextTick(run);' }, /nextTick/],
  ['timers of the module', { file: 'src/gc/planted.ts', text: "import { setTimeout } from 'timers';" }, /timers/],
  [
    'a promise of a timer',
    { file: 'src/gc/planted.ts', text: "import { setTimeout } from 'node:timers/promises';" },
    /timers/,
  ],
  [
    'the running time',
    { file: 'src/gc/planted.ts', text: "import { performance } from 'node:perf_hooks';" },
    /performance/,
  ],
])('finds what is planted: %s', (_what, planted, message) => {
  expect(brokenRules([...sources, planted]).join('\n')).toMatch(message);
});
