/** Hints fit whom they are told: in a shell there are commands, and no options and calls of the library. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { inShellWords } from '../../../src/cli/shell-hint.js';

/** Rooms whose hints no command of the shell comes by, or whose words are those of the shell. */
const ELSEWHERE = /^(?:cli|jetstream|forward|sim|link|delivery|metrics|raw\/read-only-vfs)/;
/** Calls and options of the library: `lockTimeoutMs`, `create: false`, `Evaq.open`. */
const OF_THE_LIBRARY = /\b[a-z]+[A-Z][a-z]\w*|\b\w+: (?:true|false)|\bEvaq\.|\bevaq\.\w+\(/;
/** Said to who links threads to a store that he has open in the same process: no command does. */
const OF_THREADS = 'Close it there first';

function hints(): string[] {
  const found: string[] = [];
  for (const file of readdirSync('src', { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || ELSEWHERE.test(file)) continue;
    const text = readFileSync(join('src', file), 'utf8');
    for (const [, literal = ''] of text.matchAll(/\bhint:\s*(?:\w+\s*\?[^:'`"]*:\s*)?(['"`](?:(?!\n).)*['"`])/g))
      found.push(literal.slice(1, -1));
    for (const [, literal = ''] of text.matchAll(
      /function \w*Hint\([^)]*\): string \{\s*return (['"`](?:(?!\n).)*['"`]);/g,
    ))
      found.push(literal.slice(1, -1));
    for (const [literal] of text.matchAll(/`See all of it with[^`]*`/g)) found.push(literal.slice(1, -1));
  }
  return found.map((one) => one.replaceAll(/\$\{[^}]*\}/g, 'X'));
}

test('no hint that a command may tell speaks of options and calls of the library', () => {
  const all = hints();
  expect(all.length).toBeGreaterThan(40);
  expect(all.some((hint) => OF_THE_LIBRARY.test(hint))).toBe(true);
  const left = all.map(inShellWords).filter((hint) => OF_THE_LIBRARY.test(hint) && !hint.startsWith(OF_THREADS));
  expect(left).toEqual([]);
});
