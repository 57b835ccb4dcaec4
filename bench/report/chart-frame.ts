/** What stands around a drawing: title, key, and where it was measured. White behind all of it, so that it can be read on a dark page, too. */
import type { BenchReport } from '../harness/bench-report.js';

export const WIDTH = 980;
/** Left above a drawing for its title and its key. */
export const HEAD = 124;
// An object, since the style attribute of a document in memory cannot be set as a whole.
export const STYLE: Readonly<Record<string, string>> = { fontFamily: 'system-ui, sans-serif', background: 'white' };

/** Title, notes, where it was measured and a key, above a drawing that has left `HEAD` for them. Plot puts its own keys beside it, as HTML. */
export function headed(
  svg: string,
  title: string,
  notes: readonly string[],
  { machine, versions }: Pick<BenchReport, 'machine' | 'versions'>,
  present: readonly (readonly [string, string])[],
): string {
  const small = [...notes, `${machineLine(machine)}; ${storesText(versions)}`];
  const lines = [
    `<title>${escapeText(title)}</title>`,
    `<text x="10" y="22" font-size="16" font-weight="600" text-anchor="start">${escapeText(title)}</text>`,
    ...small.map(
      (text, at) =>
        `<text x="10" y="${42 + 16 * at}" font-size="11" fill="#555" text-anchor="start">${escapeText(text)}</text>`,
    ),
    legendAt(present, 10, 50 + 16 * small.length, WIDTH),
  ];
  return `${svg.replace(/<\/svg>\s*$/, `${lines.join('')}</svg>`)}\n`;
}

/** The stores that took part, with their versions; what draws is none. */
export function storesText(versions: BenchReport['versions']): string {
  const names: readonly string[] = ['evaq', 'lmdb', 'classic-level', 'better-sqlite3'];
  return names.flatMap((name) => (versions[name] === undefined ? [] : [`${name} ${versions[name]}`])).join(', ');
}

/** When and on what something was measured. */
export function machineLine({
  at,
  cpu,
  fileSystem,
  node,
}: Pick<BenchReport['machine'], 'at' | 'cpu' | 'fileSystem' | 'node'>): string {
  return `${at.slice(0, 10)}, ${cpu}, ${fileSystem}, Node ${node}`;
}

/** Entries side by side, in as many lines as it takes. */
export function legendAt(
  entries: readonly (readonly [string, string])[],
  left: number,
  top: number,
  width: number,
): string {
  let [x, y] = [left, top];
  const parts: string[] = [];
  for (const [name, color] of entries) {
    const wide = 26 + 7.2 * name.length;
    if (x + wide > width && x > left) [x, y] = [left, y + 18];
    parts.push(
      `<circle cx="${x + 5}" cy="${y - 4}" r="5" fill="${color}"/><text x="${x + 14}" y="${y}" font-size="12" text-anchor="start">${escapeText(name)}</text>`,
    );
    x += wide;
  }
  return parts.join('');
}

export function svgText(svg: { readonly outerHTML: string }): string {
  const text = svg.outerHTML;
  return text.includes('xmlns="http://www.w3.org/2000/svg"')
    ? text
    : text.replace('<svg', '<svg xmlns="http://www.w3.org/2000/svg"');
}

export function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
