/** What README and the bench's README say of the published report is what stands in it: nobody has edited a figure, or published one page without the other. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type BenchReport, readReport } from '../../bench/harness/bench-report.js';
import { judged, resultsText } from '../../bench/report/publish.js';
import { comparedCases } from '../../bench/report/rate-charts.js';
import { readmeSpeed } from '../../bench/report/readme-speed.js';
import { ALL_ROWS } from '../../bench/rows/all-rows.js';

const root = join(import.meta.dirname, '../..');
const published = join(root, 'bench/published');
const report: BenchReport = readReport(join(published, 'report.json'));

/** What stands between the marks, but for the pictures: those take packages to draw that the tests do without. */
function between(page: string, mark: string): string {
  const [, behind = ''] = readFileSync(join(root, page), 'utf8').split(`<!-- ${mark}:begin -->\n`);
  const [text = ''] = behind.split(`\n<!-- ${mark}:end -->`);
  return text.replaceAll(/\n\n!\[[^\n]*/g, '');
}

test('the table of README is that of the report', () => {
  expect(between('README.md', 'speed')).toBe(readmeSpeed(report));
});

test('the table of README names every row of the bench in which another store is ahead', () => {
  const speed = readmeSpeed(report) ?? '';
  const rates = ALL_ROWS.filter(({ primary }) => primary.metric === 'rate');
  const worst = rates.flatMap(({ name }) => comparedCases(name, report).slice(-1)).filter(({ ratio }) => ratio < 1);
  expect(worst.length).toBeGreaterThan(3);
  for (const { result } of worst) {
    const lost = speed.split('\n').filter((line) => line.includes('**') && line.includes(result.label));
    expect(lost, `${result.row}, ${result.label}`).not.toEqual([]);
  }
});

test('the tables of the bench are those of the report, under the goals of today', () => {
  expect(judged(ALL_ROWS, report)).toEqual(report);
  expect(between('bench/README.md', 'results')).toBe(resultsText(ALL_ROWS, report, []));
});

test('every picture that is published is shown, with words for who cannot see it, and has its title and its date in it', () => {
  const pages = ['README.md', 'bench/README.md'].map((page) => readFileSync(join(root, page), 'utf8'));
  const pictures = readdirSync(published).filter((name) => name.endsWith('.svg'));
  expect(pictures.length).toBeGreaterThan(3);
  for (const picture of pictures) {
    const shown = pages.flatMap((page) => [...page.matchAll(/!\[([^\]]*)\]\(([^)]*)\)/g)]);
    const alts = shown
      .filter(([, , target = '']) => target.endsWith(`published/${picture}`))
      .map(([, alt = '']) => alt);
    expect(alts.length, picture).toBeGreaterThan(0);
    for (const alt of alts) expect(alt.length, picture).toBeGreaterThan(60);
    const svg = readFileSync(join(published, picture), 'utf8');
    expect(svg, picture).toMatch(/font-weight="600"[^>]*>[A-Z]/);
    expect(svg, picture).toMatch(/>20\d\d-\d\d-\d\d, /);
    // Nothing is drawn on the page itself, which may be dark.
    expect(svg, picture).toMatch(/background: ?white/);
  }
});
