/**
 * The listings of README.md and of the pages in docs.
 *
 * ```js is an ES module that Node.js 20.19 can read as it stands, ```ts needs TypeScript. A listing whose first line names a file (`// worker.mjs`)
 * is that file, whole; the others are parts of a program.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../cli/support/bundle.js';

export interface Listing {
  /** From the root of the project: `docs/raw.md`. */
  readonly page: string;
  /** Of its fence, from 1. */
  readonly line: number;
  /** What stands behind the fence, as in `js`. */
  readonly language: string;
  readonly code: string;
  /** The file that it is. */
  readonly file: string | undefined;
}

/** README first. */
export const PAGES: readonly string[] = [
  'README.md',
  ...readdirSync(join(projectRoot, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

export function listingsOf(page: string): Listing[] {
  const text = readFileSync(join(projectRoot, page), 'utf8');
  return [...text.matchAll(/^```([^\n]*)\n([\s\S]*?)^```$/gm)].map(({ index, 1: language = '', 2: code = '' }) => ({
    page,
    line: text.slice(0, index).split('\n').length,
    language,
    code,
    file: /^\/\/ ([\w-]+\.mjs)\b/.exec(code)?.[1],
  }));
}

/** Marks it in a message. */
export function placeOf({ page, line }: Listing): string {
  return `${page}:${line}`;
}
