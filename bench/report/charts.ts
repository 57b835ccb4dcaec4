/**
 * Charts as SVG files, drawn by Observable Plot on a document that exists in memory only. Both come with the peers: without them there
 * is no chart.
 */
import type { BenchReport } from '../harness/bench-report.js';
import type { Row } from '../harness/row.js';
import type { GrowthPoint } from '../rows/growth.js';
import { loadDrawing } from './drawing.js';

interface Point {
  readonly place: string;
  readonly contender: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

const WIDTH = 980;
// An object, since the style attribute of a document in memory cannot be set as a whole.
const STYLE = { fontFamily: 'system-ui, sans-serif', background: 'white' };
const COLORS: readonly (readonly [string, string])[] = [
  ['evaq', '#1f5fd0'],
  ['evaq recycled', '#6aa5ff'],
  ['evaq pushSync', '#4f46b8'],
  ['evaq records()', '#8f7fe8'],
  ['evaq without gc', '#9fb3c8'],
  ['device', '#222222'],
  ['lmdb', '#d9822b'],
  ['leveldb', '#3a9d5d'],
  ['sqlite', '#b0468f'],
];

/** All rows whose figure is a rate: a point for each contender, a line from the slowest to the fastest round, on a logarithmic scale. */
export async function drawRates(rows: readonly Row[], report: BenchReport): Promise<string | undefined> {
  const drawing = await loadDrawing();
  if (drawing === undefined) return undefined;
  const { Plot, document } = drawing;
  const points: Point[] = [];
  for (const result of report.cases) {
    const row = rows.find((one) => one.name === result.row);
    if (row === undefined || row.primary.metric !== 'rate') continue;
    for (const [contender, { rate }] of Object.entries(result.contenders)) {
      points.push({ place: `${result.row}: ${result.label}`, contender, ...rate });
    }
  }
  if (points.length === 0) return undefined;
  const places = [...new Set(points.map((point) => point.place))];
  const present = COLORS.filter(([name]) => points.some((point) => point.contender === name));
  const svg = Plot.plot({
    document,
    width: WIDTH,
    height: 90 + 22 * places.length,
    marginLeft: 300,
    marginTop: 50,
    style: STYLE,
    color: { domain: present.map(([name]) => name), range: present.map(([, color]) => color) },
    x: { type: 'log', grid: true, label: 'operations a second (log)', tickFormat: 's' },
    y: { domain: places, label: null },
    marks: [
      Plot.ruleY(points, { x1: 'min', x2: 'max', y: 'place', stroke: 'contender', strokeOpacity: 0.5 }),
      Plot.dot(points, { x: 'median', y: 'place', fill: 'contender', r: 4 }),
    ],
  });
  return finish(svg, present, report);
}

/** Four panels over the length of the backlog. */
export async function drawGrowth(points: readonly GrowthPoint[]): Promise<string | undefined> {
  const drawing = await loadDrawing();
  if (drawing === undefined) return undefined;
  const { Plot, document } = drawing;
  const panels: readonly (readonly [string, readonly (keyof GrowthPoint)[]])[] = [
    ['durable push: p50 and p99, µs', ['pushP50Us', 'pushP99Us']],
    ['open in a new process, ms', ['openMs']],
    ['heap and buffers after GC, MiB', ['heapMiB']],
    ['bytes on disk per record of 100 B', ['diskBytesPerRecord']],
  ];
  const width = WIDTH / 2;
  const height = 260;
  const drawn = panels.map(([title, keys], at) => {
    const long = keys.flatMap((key) => points.map((point) => ({ records: point.records, value: point[key], key })));
    const svg = Plot.plot({
      document,
      width,
      height,
      marginLeft: 60,
      marginTop: 40,
      style: STYLE,
      x: { type: 'log', label: 'records in the queue (log)', tickFormat: '~s' },
      y: { label: title, zero: true, grid: true },
      marks: [
        Plot.lineY(long, { x: 'records', y: 'value', stroke: 'key' }),
        Plot.dot(long, { x: 'records', y: 'value', fill: 'key' }),
      ],
    });
    return `<g transform="translate(${(at % 2) * width} ${Math.floor(at / 2) * height})">${svgText(svg)}</g>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${2 * height}" style="background: white">${drawn.join('')}</svg>\n`;
}

function finish(
  svg: { readonly outerHTML: string },
  present: readonly (readonly [string, string])[],
  report: BenchReport,
): string {
  const { machine } = report;
  const legend = present.map(
    ([name, color], i) =>
      `<circle cx="${16 + i * 118}" cy="14" r="5" fill="${color}"/><text x="${26 + i * 118}" y="18" font-size="12" text-anchor="start">${name}</text>`,
  );
  const where = `${machine.at.slice(0, 10)}, ${machine.cpu}, ${machine.fileSystem}, Node ${machine.node}`;
  const caption = `<text x="10" y="36" font-size="11" fill="#555" text-anchor="start">${escapeText(where)}</text>`;
  // Plot puts its own legends beside the drawing, as HTML; one within it keeps the file whole.
  return `${svgText(svg).replace(/<\/svg>\s*$/, `${legend.join('')}${caption}</svg>`)}\n`;
}

function svgText(svg: { readonly outerHTML: string }): string {
  const text = svg.outerHTML;
  return text.includes('xmlns="http://www.w3.org/2000/svg"')
    ? text
    : text.replace('<svg', '<svg xmlns="http://www.w3.org/2000/svg"');
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
