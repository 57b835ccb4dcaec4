import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const SRC = fileURLToPath(new URL('../../src', import.meta.url));

/** Rooms by rank: a file imports from rooms of a lower rank, and from its own. */
const RANKS: readonly (readonly string[])[] = [
  ['leaves'],
  ['vfs'],
  ['frame', 'sim'],
  ['segment', 'index', 'tombstone', 'layout'],
  ['intake'],
  ['log'],
  ['gc', 'delivery', 'streams'],
  ['queue'],
  ['raw', 'link'],
  ['store'],
  ['observation', 'forward', 'jetstream'],
  ['entry'],
  ['cli'],
];
/** Programs, which use the library as its users do. */
const PROGRAMS = ['cli'];
const SIM_MAY_SEE = ['leaves', 'vfs'];
const LEAVES = [
  'abortable.ts',
  'all-over.ts',
  'arguments.ts',
  'callback.ts',
  'errors.ts',
  'assert.ts',
  'ids.ts',
  'checksum.ts',
  'crc-kernel.ts',
  'wasm-code.ts',
  'times.ts',
  'fail-stop.ts',
  'tracing.ts',
];
const REAL_DISK = /^(?:node:)?fs(?:\/promises)?$/;
const NATIVE = /^fs-ext$|^fs-native-extensions/;
const DISK_DOORS = ['vfs/node-vfs.ts', 'vfs/node-lock.ts', 'vfs/node-access.ts', 'vfs/node-watch.ts'];
const NATIVE_DOORS = ['vfs/native-lock.ts'];

interface Source {
  /** Path below `src/`. */
  readonly file: string;
  readonly text: string;
}

interface Import {
  readonly from: string;
  readonly to: string;
}

/** Whatever is imported, statically, dynamically, as a type or re-exported. */
function importsOf({ text }: Source): string[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
  const names: string[] = [];
  for (const pattern of [
    /\b(?:import|export)\b[^'";]*?\bfrom\s*['"]([^'"]+)['"]/g,
    /\bimport\s*['"]([^'"]+)['"]/g,
    /\b(?:import|require|createRequire\([^)]*\))\(\s*['"]([^'"]+)['"]/g,
  ]) {
    for (const [, name] of code.matchAll(pattern)) if (name !== undefined) names.push(name);
  }
  return names;
}

function roomOf(file: string): string {
  const slash = file.indexOf('/');
  if (slash >= 0) return file.slice(0, slash);
  return LEAVES.includes(file) ? 'leaves' : 'entry';
}

function rankOf(room: string): number {
  return RANKS.findIndex((rooms) => rooms.includes(room));
}

/** Files of the engine that ask a host for its time by themselves: all but `timeOf` hand on what no file can hold. */
function clockReaders(sources: readonly Source[]): string[] {
  return sources
    .filter(({ file, text }) => !/^(?:sim\/|vfs\/host\.ts$)/.test(file) && /\bhost\.now\(/i.test(text))
    .map(({ file }) => file);
}

/** What the program loads on the way from a package by a name. Bundled, those of a CommonJS package are not known: there is its default export alone. */
function namedLazily(sources: readonly Source[]): string[] {
  const named = /\{(?!\s*default\b)[^{}]*\}\s*=\s*await import\('(?!\.|node:)/;
  return sources.filter(({ file, text }) => file.startsWith('cli/') && named.test(text)).map(({ file }) => file);
}

/** Everything that is wrong, as sentences. */
function brokenRules(sources: readonly Source[]): string[] {
  const broken: string[] = [];
  const edges: Import[] = [];
  for (const source of sources) {
    const room = roomOf(source.file);
    if (rankOf(room) < 0) broken.push(`${source.file}: the room '${room}' has no rank`);
    for (const name of importsOf(source)) {
      if (REAL_DISK.test(name)) {
        const allowed = DISK_DOORS.includes(source.file) || PROGRAMS.includes(room);
        if (!allowed) broken.push(`${source.file} imports ${name}: only ${DISK_DOORS.join(', ')} and programs may`);
      }
      if (NATIVE.test(name) && !NATIVE_DOORS.includes(source.file))
        broken.push(`${source.file} imports ${name}: only ${NATIVE_DOORS.join(', ')} may`);
      if (!name.startsWith('.')) continue;
      const to = relative('/', join('/', dirname(source.file), name)).replace(/\.js$/, '.ts');
      edges.push({ from: source.file, to });
      const target = roomOf(to);
      if (target === room) continue;
      if (room === 'sim' && !SIM_MAY_SEE.includes(target))
        broken.push(`${source.file} imports ${to}: sim sees the port only`);
      if (rankOf(target) > rankOf(room)) broken.push(`${source.file} imports ${to}: that is above it`);
      if (rankOf(target) === rankOf(room)) broken.push(`${source.file} imports ${to}: siblings do not see each other`);
      if (target === 'sim' && room !== 'entry' && !PROGRAMS.includes(room))
        broken.push(`${source.file} imports ${to}: nothing of the engine knows of sim`);
    }
  }
  const cycle = cycleIn(edges);
  if (cycle !== undefined) broken.push(`a cycle: ${cycle.join(' -> ')}`);
  return broken;
}

function cycleIn(edges: readonly Import[]): string[] | undefined {
  const targets = new Map<string, string[]>();
  for (const { from, to } of edges) targets.set(from, [...(targets.get(from) ?? []), to]);
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const next of targets.get(file) ?? []) {
      const found = visit(next, [...path, file]);
      if (found !== undefined) return found;
    }
    done.add(file);
    return undefined;
  };
  for (const file of targets.keys()) {
    const found = visit(file, []);
    if (found !== undefined) return found;
  }
  return undefined;
}

function readSources(): Source[] {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  return files.map((file) => ({ file: file.replaceAll('\\', '/'), text: readFileSync(join(SRC, file), 'utf8') }));
}

describe('the structure of the sources', () => {
  const sources = readSources();

  it('every import goes down the ranks, siblings do not see each other, and there is no cycle', () => {
    expect(sources.length).toBeGreaterThan(60);
    expect(sources.flatMap(importsOf).length).toBeGreaterThan(200);
    expect(brokenRules(sources)).toEqual([]);
  });

  it.each<[string, Source, RegExp]>([
    ['an import upwards', { file: 'frame/planted.ts', text: "import { Queue } from '../queue/queue.js';" }, /above/],
    [
      'an import of a type upwards',
      { file: 'log/planted.ts', text: "import type {\n  Evaq,\n} from '../store/evaq.js';" },
      /above/,
    ],
    [
      'an import among siblings',
      { file: 'index/planted.ts', text: "import { x } from '../segment/segment-name.js';" },
      /siblings/,
    ],
    ['a re-export upwards', { file: 'ids.ts', text: "export { nodeVfs } from './vfs/node-vfs.js';" }, /above/],
    ['a dynamic import upwards', { file: 'vfs/planted.ts', text: "await import('../gc/gc-plan.js');" }, /above/],
    [
      'the real disk beside the port',
      { file: 'store/planted.ts', text: "import { readFileSync } from 'node:fs';" },
      /only vfs/,
    ],
    ['the real disk by another name', { file: 'raw/planted.ts', text: "import fs from 'fs/promises';" }, /only vfs/],
    [
      'the lock beside the port',
      { file: 'vfs/planted.ts', text: "const x = createRequire(import.meta.url)('fs-ext');" },
      /only vfs\/native-lock/,
    ],
    [
      'the lock beside the port, in a program',
      { file: 'cli/planted.ts', text: "const x = require('fs-native-extensions');" },
      /only vfs\/native-lock/,
    ],
    [
      'sim that knows the engine',
      { file: 'sim/planted.ts', text: "import { x } from '../frame/varint.js';" },
      /port only/,
    ],
    [
      'an engine that knows sim',
      { file: 'store/planted.ts', text: "import { SimDisk } from '../sim/sim-disk.js';" },
      /knows of sim/,
    ],
    ['a room without a rank', { file: 'utils/planted.ts', text: '' }, /no rank/],
  ])('finds what is planted: %s', (_what, planted, message) => {
    const others = sources.filter(({ file }) => file !== planted.file);
    expect(brokenRules([...others, planted]).join('\n')).toMatch(message);
  });

  it('the clock of a host is asked by `timeOf` alone', () => {
    expect(clockReaders(sources)).toEqual([]);
    const planted = { file: 'queue/planted.ts', text: 'const at = this.#options.host.now();' };
    expect(clockReaders([...sources, planted])).toEqual(['queue/planted.ts']);
  });

  it('the program takes default exports alone from packages that it loads on the way', () => {
    expect(namedLazily(sources)).toEqual([]);
    const planted = { file: 'cli/planted.ts', text: "const { SingleBar: Single } = await import('cli-progress');" };
    expect(namedLazily([...sources, planted])).toEqual(['cli/planted.ts']);
  });

  it('finds what is planted: a cycle within a room', () => {
    const a = { file: 'frame/a.ts', text: "import './b.js';" };
    const b = { file: 'frame/b.ts', text: "import { type A } from './a.js';" };
    expect(brokenRules([...sources, a, b]).join('\n')).toMatch(/a cycle: frame\/a\.ts -> frame\/b\.ts -> frame\/a\.ts/);
  });
});
