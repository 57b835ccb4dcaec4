/**
 * Patterns that no shell has expanded: in quotes, or on Windows. Within one name `*` stands for anything, `?` for a character, `[a-c_]` for one of those
 * and `[!a-c]` (or `[^a-c]`) for one that is none of them; a `]` that comes first is one of them, and a `[` that is not closed is itself.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const MAGIC = /[*?]|\[[!^]?[^/][^/\]]*\]/;

/** The paths that are meant, in order; what is no pattern, or the name of something, or matches nothing, is taken as it is. */
export function expandGlobs(patterns: readonly string[]): string[] {
  return patterns.flatMap((pattern) => {
    if (!MAGIC.test(pattern) || existsSync(pattern)) return [pattern];
    const [first = '', ...rest] = pattern.split('/');
    const found =
      rest.length === 0 ? matching('', first) : matchingBelow(MAGIC.test(first) ? matching('', first) : [first], rest);
    return found.length === 0 ? [pattern] : found.sort();
  });
}

function matchingBelow(dirs: readonly string[], [next, ...rest]: readonly string[]): string[] {
  if (next === undefined) return [...dirs];
  const found = MAGIC.test(next)
    ? dirs.flatMap((dir) => matching(dir, next))
    : dirs.map((dir) => `${dir}/${next}`).filter((path) => existsSync(path));
  return matchingBelow(found, rest);
}

function matching(dir: string, pattern: string): string[] {
  const expression = expressionOf(pattern);
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

const PARTS = /\*|\?|\[([!^]?)([^/][^/\]]*)\]|[\s\S]/gu;

function expressionOf(pattern: string): RegExp {
  const source = pattern.replaceAll(PARTS, (part: string, not: string | undefined, members: string | undefined) => {
    if (part === '*') return '.*';
    if (part === '?') return '.';
    if (members === undefined) return escaped(part);
    return `[${not === '' ? '' : '^'}${membersOf(members)}]`;
  });
  return new RegExp(`^${source}$`, 'su');
}

/** Of a range that runs backwards no character is meant. */
function membersOf(members: string): string {
  return members.replaceAll(
    /([\s\S])-([\s\S])|[\s\S]/gu,
    (part: string, first: string | undefined, last: string | undefined) => {
      if (first === undefined || last === undefined) return inClass(part);
      return (first.codePointAt(0) ?? 0) <= (last.codePointAt(0) ?? 0) ? `${inClass(first)}-${inClass(last)}` : '';
    },
  );
}

function escaped(char: string): string {
  return char.replace(/[.+^${}()|[\]\\/*?]/, '\\$&');
}

function inClass(char: string): string {
  return char.replace(/[\]\\^[-]/, '\\$&');
}
