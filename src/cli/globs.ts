/** Patterns that no shell has expanded: in quotes, or on Windows. `*` and `?` stand for what is in one name. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** The paths that are meant, in order; what is no pattern, or the name of something, or matches nothing, is taken as it is. */
export function expandGlobs(patterns: readonly string[]): string[] {
  return patterns.flatMap((pattern) => {
    if (!/[*?]/.test(pattern) || existsSync(pattern)) return [pattern];
    const [first = '', ...rest] = pattern.split('/');
    const found =
      rest.length === 0 ? matching('', first) : matchingBelow(/[*?]/.test(first) ? matching('', first) : [first], rest);
    return found.length === 0 ? [pattern] : found.sort();
  });
}

function matchingBelow(dirs: readonly string[], [next, ...rest]: readonly string[]): string[] {
  if (next === undefined) return [...dirs];
  const found = /[*?]/.test(next)
    ? dirs.flatMap((dir) => matching(dir, next))
    : dirs.map((dir) => `${dir}/${next}`).filter((path) => existsSync(path));
  return matchingBelow(found, rest);
}

function matching(dir: string, pattern: string): string[] {
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  const expression = new RegExp(`^${source}$`);
  let names: string[];
  try {
    names = readdirSync(dir === '' ? '.' : `${dir}/`);
  } catch {
    return [];
  }
  const isHidden = (name: string): boolean => name.startsWith('.') && !pattern.startsWith('.');
  return names
    .filter((name) => !isHidden(name) && expression.test(name))
    .map((name) => join(dir === '' ? '' : `${dir}/`, name));
}
