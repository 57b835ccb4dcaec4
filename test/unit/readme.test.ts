/**
 * Holds README.md to the code: its examples are type-checked and run, as one program in the order of the page, and its tables of errors and options
 * are complete.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import ts from 'typescript';
import { afterAll, describe, expect, it } from 'vitest';
import { Evaq } from '../../src/evaq.js';

const root = join(import.meta.dirname, '../..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');

/** The examples as one module: imports first, then each example in a scope of its own but for the first, whose store all use. */
function programOf(page: string): string {
  const listings = [...page.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code = '']) => code);
  // What names a file is a program of its own, which `test/docs/programs.test.ts` runs.
  const examples = listings.filter((code) => !/^\/\/ [\w-]+\.mjs\b/.test(code));
  const imports: string[] = [];
  const bodies = examples.map((code) =>
    code.replaceAll(/^import .*;\n/gm, (line) => {
      imports.push(line);
      return '';
    }),
  );
  const [first = '', ...rest] = bodies;
  return [...imports, first, ...rest.map((body) => `{\n${body}}\n`)].join('\n');
}

const program = programOf(readme);

const folder = mkdtempSync(join(tmpdir(), 'evaq-readme-'));
const bundle = join(root, 'node_modules', `.readme-${process.pid}.mjs`);
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  rmSync(bundle, { force: true });
});

/** The rows of the table below a heading: the first cell of each, without its backticks. */
function firstCells(heading: string): string[] {
  const [, after = ''] = readme.split(`\n## ${heading}\n`);
  const section = after.slice(0, after.indexOf('\n## '));
  return [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, cell = '']) => cell).sort();
}

describe('README.md', () => {
  it('its examples type-check as strictly as the code itself', { timeout: 300_000 }, () => {
    // Not on disk, but where a file of the project would be.
    const name = join(root, 'test/unit/readme-examples.ts');
    const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => readFileSync(path, 'utf8'));
    const { options } = ts.parseJsonConfigFileContent(config, { ...ts.sys, readDirectory: () => [] }, root);
    const source = program.replaceAll(/'evaq(?:\/(raw|sim))?'/g, (_, sub = 'evaq') => `'../../src/${String(sub)}.js'`);
    const real = ts.createCompilerHost(options);
    const host: ts.CompilerHost = {
      ...real,
      fileExists: (path) => path === name || real.fileExists(path),
      readFile: (path) => (path === name ? source : real.readFile(path)),
      getSourceFile: (path, languageVersion, onError) =>
        path === name
          ? ts.createSourceFile(path, source, languageVersion, true)
          : real.getSourceFile(path, languageVersion, onError),
    };
    const checked = ts.createProgram([name], { ...options, isolatedDeclarations: false, declaration: false }, host);
    const file = checked.getSourceFile(name);
    expect(file).toBeDefined();
    const problems = [...checked.getSyntacticDiagnostics(file), ...checked.getSemanticDiagnostics(file)];
    const shown = problems.map(({ messageText, start }) => {
      const line = source.slice(0, start).split('\n').length;
      return `${source.split('\n')[line - 1]}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
    });
    expect(shown).toEqual([]);
  });

  it('its examples run, and leave a store behind that opens cleanly recovered', { timeout: 300_000 }, async () => {
    const entry = join(folder, 'program.ts');
    writeFileSync(entry, program);
    await build({
      entryPoints: [entry],
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20.19',
      alias: {
        evaq: join(root, 'src/evaq.ts'),
        'evaq/raw': join(root, 'src/raw.ts'),
        'evaq/sim': join(root, 'src/sim.ts'),
      },
      external: ['fs-ext', 'fs-native-extensions', 'crc-32', 'sorted-btree', '@msgpack/msgpack'],
      // Within the project, so that its packages are found from there.
      outfile: bundle,
      logLevel: 'error',
    });
    const output = execFileSync(process.execPath, [bundle], { cwd: folder, encoding: 'utf8', timeout: 300_000 });
    expect(output).toContain('rejected by the broker');
    expect(output).toContain('news');

    // The examples never close the store; its last record came from an exit handler.
    await using evaq = await Evaq.open(join(folder, 'orders'), { create: false });
    expect(evaq.recovery.damage).toEqual([]);
    const payloads: string[] = [];
    for await (const { payload } of evaq.wal.records()) payloads.push(payload.toString());
    expect(payloads).toEqual(['cannot be sent', 'news', 'exited with 0']);
  });

  it('its table of errors has every code, and no other', () => {
    const source = readFileSync(join(root, 'src/errors.ts'), 'utf8');
    const codes = [...source.matchAll(/^ {2}\| '(EVAQ_\w+)'/gm)].map(([, code = '']) => code);
    expect(codes.length).toBeGreaterThan(10);
    expect(firstCells('Errors')).toEqual(codes.sort());
  });

  it('its table of options has every option, and no other', () => {
    const options: string[] = [];
    for (const [path, name] of [
      ['src/queue/queue-options.ts', 'QueueOptions'],
      ['src/store/evaq-options.ts', 'EvaqOptions'],
    ] as const) {
      const [, body = ''] = readFileSync(join(root, path), 'utf8').split(`export interface ${name}`);
      for (const [, option = ''] of body.slice(0, body.indexOf('\n}')).matchAll(/^ {2}readonly (\w+)\?/gm)) {
        options.push(option);
      }
    }
    expect(options.length).toBeGreaterThan(8);
    const named = firstCells('Options').filter((option) => !option.includes('.'));
    expect(named).toEqual(options.sort());
  });

  it('every file that it and its neighbours point to is there', () => {
    for (const page of ['README.md', 'ARCHITECTURE.md', 'FORMAT.md', 'CHANGELOG.md']) {
      const text = readFileSync(join(root, page), 'utf8');
      for (const [, target = ''] of text.matchAll(/\]\(([^)#:]+)\)/g)) {
        // Written with the measurements that it describes.
        if (target === 'bench/README.md') continue;
        expect(existsSync(join(root, target)), `${page} points to ${target}`).toBe(true);
      }
    }
  });
});
