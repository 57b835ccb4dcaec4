/** The program in docs/sim.md is run, and must print what the page says. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { expect, test, vi } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

async function run(source: string): Promise<string[]> {
  const { outputFiles } = await build({
    stdin: { contents: source, loader: 'ts', resolveDir: root },
    alias: { 'evaq/sim': `${root}src/sim.ts` },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
  });
  const lines: string[] = [];
  const log = vi.spyOn(console, 'log').mockImplementation((line: unknown) => {
    lines.push(String(line));
  });
  try {
    await import(/* @vite-ignore */ `data:text/javascript,${encodeURIComponent(outputFiles[0]?.text ?? '')}`);
  } finally {
    log.mockRestore();
  }
  return lines;
}

const page = readFileSync(`${root}docs/sim.md`, 'utf8');
const program = /```ts\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
const printed = /```text\n([\s\S]*?)\n```/.exec(page)?.[1];

test('the example of docs/sim.md finds the forgotten directory sync, and prints what the page says', async () => {
  expect(await run(program)).toEqual([printed]);
});

test('with the directory sync the example finds nothing', async () => {
  const repaired = program.replace(
    '    acknowledge(entry);',
    "    await vfs.syncDir('/log');\n    acknowledge(entry);",
  );
  expect(repaired).not.toBe(program);
  expect(await run(repaired)).toEqual(['undefined']);
});
