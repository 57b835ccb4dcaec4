/** Places of a page that are written by the bench. */
import { readFileSync, writeFileSync } from 'node:fs';

/** Puts text between the comments `<!-- mark:begin -->` and `<!-- mark:end -->`. Throws where the page has none. */
export function putBetween(path: string, mark: string, text: string): void {
  const [begin, end] = [`<!-- ${mark}:begin -->`, `<!-- ${mark}:end -->`];
  const page = readFileSync(path, 'utf8');
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from < 0 || to < from) throw new Error(`${path} has no place for ${mark}`);
  writeFileSync(path, `${page.slice(0, from + begin.length)}\n${text}\n${page.slice(to)}`);
}
