/** HTML made of strings: what comes from a store goes through `text`, and nothing else does. */
import { harmless } from '../records/harmless.js';

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text as a part of a page, in an element or an attribute. */
export function text(value: string | number): string {
  return harmless(`${value}`).replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}

const NUMBER = /^-?[\d.,]+(?: [KMGT]?i?B)?$/;

/** A table with a caption; the first column names the row. Cells are text; columns of numbers and sizes stand right. */
export function table(
  caption: string,
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const isNumeric = head.map((_, i) => i > 0 && rows.every((row) => NUMBER.test(`${row[i] ?? ''}`)));
  const align = (i: number): string => (isNumeric[i] === true ? ' class="n"' : '');
  const heads = head.map((name, i) => `<th scope="col"${align(i)}>${text(name)}</th>`).join('');
  const body = rows.map(([first = '', ...rest]) => {
    const cells = rest.map((cell, i) => `<td${align(i + 1)}>${text(cell)}</td>`);
    return `<tr><th scope="row">${text(first)}</th>${cells.join('')}</tr>`;
  });
  const content = `<table><caption>${text(caption)}</caption><thead><tr>${heads}</tr></thead><tbody>${body.join('\n')}</tbody></table>`;
  return `<div class="scroll" role="region" aria-label="${text(caption)}" tabindex="0">${content}</div>`;
}

/** The table behind a chart. */
export function folded(summary: string, content: string): string {
  return `<details><summary>${text(summary)}</summary>${content}</details>`;
}

export function section(id: string, title: string, content: string): string {
  return `<section aria-labelledby="${text(id)}"><h2 id="${text(id)}">${text(title)}</h2>\n${content}\n</section>`;
}
