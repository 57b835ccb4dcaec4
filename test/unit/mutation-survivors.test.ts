/** The list of changes that nothing finds, as there is nothing to find (`mutation/survivors.ts`), speaks of the sources as they are. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SURVIVORS, type Survivor } from '../../mutation/survivors.js';

function isStale({ file, text, from, to }: Survivor): boolean {
  const source = readFileSync(new URL(`../../src/${file}`, import.meta.url), 'utf8');
  const lines = source.split('\n').map((line) => line.trim());
  return !lines.includes(text) || from === to || !source.replaceAll(/\s+/g, ' ').includes(from);
}

test('each change that is excused is one to a line that is there, with a reason', () => {
  expect(SURVIVORS.length).toBeGreaterThan(5);
  expect(SURVIVORS.filter(isStale)).toEqual([]);
  expect(SURVIVORS.filter(({ equivalent }) => equivalent.length < 10)).toEqual([]);
  const keys = SURVIVORS.map(({ file, text, from, to }) => [file, text, from, to].join('\n'));
  expect(new Set(keys).size).toBe(keys.length);
  // A line that has changed is seen.
  const [one] = SURVIVORS;
  expect(one !== undefined && isStale({ ...one, text: `${one.text} ` })).toBe(true);
});
