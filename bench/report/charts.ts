/**
 * Charts as SVG files, drawn by Observable Plot on a document that exists in memory only. Both come with the peers: without them there
 * is no chart.
 */
import type { BenchReport } from '../harness/bench-report.js';
import type { Row } from '../harness/row.js';
import type { GrowthPoint } from '../rows/growth.js';
import { loadDrawing } from './drawing.js';
import { digits } from './number-text.js';

interface Point {
  readonly place: string;
  readonly contender: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

const WIDTH = 980;
/** Left above a drawing for its title and its key. */
const HEAD = 108;
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

/** The other stores: `device` is a bound and no store, and what begins with evaq is ours. */
const OTHERS: ReadonlySet<string> = new Set(['lmdb', 'leveldb', 'sqlite']);

/**
 * Rows whose figure is a rate: a point for each contender, a line from the slowest to the fastest round, on a logarithmic scale. Of each row the case in
 * which evaq does best against the fastest other store, and the one in which it does worst; how it does stands at the right.
 */
export async function drawRates(rows: readonly Row[], report: BenchReport): Promise<string | undefined> {
  const drawing = await loadDrawing();
  if (drawing === undefined) return undefined;
  const { Plot, document } = drawing;
  const chosen = rows.filter(({ primary }) => primary.metric === 'rate').flatMap((row) => extremesOf(row.name, report));
  const points: Point[] = [];
  for (const { place, result } of chosen) {
    for (const [contender, { rate }] of Object.entries(result.contenders)) points.push({ place, contender, ...rate });
  }
  if (points.length === 0) return undefined;
  const present = COLORS.filter(([name]) => points.some((point) => point.contender === name));
  const ratios = chosen.map(({ place, ratio }) => ({ place, text: `${digits(ratio)} ×`, isLoss: ratio < 1 }));
  const svg = Plot.plot({
    document,
    width: WIDTH,
    height: HEAD + 40 + 24 * chosen.length,
    marginLeft: 290,
    marginRight: 90,
    marginTop: HEAD,
    style: STYLE,
    color: { domain: present.map(([name]) => name), range: present.map(([, color]) => color) },
    x: { type: 'log', grid: true, label: 'records a second, log scale: further right is faster →', tickFormat: 's' },
    y: { domain: chosen.map(({ place }) => place), label: null },
    marks: [
      Plot.ruleY(points, { x1: 'min', x2: 'max', y: 'place', stroke: 'contender', strokeOpacity: 0.5 }),
      Plot.dot(points, { x: 'median', y: 'place', fill: 'contender', r: 4 }),
      Plot.text(
        ratios.filter(({ isLoss }) => !isLoss),
        { y: 'place', text: 'text', frameAnchor: 'right', dx: 60, fill: '#1c1d1f', textAnchor: 'end' },
      ),
      Plot.text(
        ratios.filter(({ isLoss }) => isLoss),
        {
          y: 'place',
          text: 'text',
          frameAnchor: 'right',
          dx: 60,
          fill: '#c4302b',
          fontWeight: 'bold',
          textAnchor: 'end',
        },
      ),
    ],
  });
  const subtitle =
    'Of each row the case in which evaq does best against the fastest other store, and the one in which it does worst; right: evaq ÷ that store, red where it is slower.';
  return headed(svgText(svg), 'How fast evaq is beside other stores', subtitle, report, present);
}

interface Chosen {
  readonly place: string;
  readonly result: BenchReport['cases'][number];
  /** Evaq by the fastest other store. */
  readonly ratio: number;
}

function extremesOf(row: string, { cases }: BenchReport): Chosen[] {
  const compared: Chosen[] = [];
  for (const result of cases) {
    const others = Object.entries(result.contenders).filter(([name]) => OTHERS.has(name));
    const best = Math.max(...others.map(([, { rate }]) => rate.median));
    const ours = result.contenders['evaq']?.rate.median;
    if (result.row !== row || ours === undefined || !(best > 0)) continue;
    compared.push({ place: `${result.row}: ${result.label}`, result, ratio: ours / best });
  }
  const sorted = compared.toSorted((a, b) => b.ratio - a.ratio);
  const [first, last] = [sorted[0], sorted.at(-1)];
  return first === undefined || last === undefined ? [] : first === last ? [first] : [first, last];
}

/** Bytes of memory for each record that the third panel shows as a line, to be held against. */
const MEMORY_BYTES_A_RECORD = 1;

/** Four panels over the length of the backlog. `where`: when and on what it was measured. */
export async function drawGrowth(points: readonly GrowthPoint[], where: string): Promise<string | undefined> {
  const drawing = await loadDrawing();
  if (drawing === undefined) return undefined;
  const { Plot, document } = drawing;
  const panels: readonly Panel[] = [
    {
      title: 'durable push, µs',
      keys: [
        ['pushP50Us', 'p50', '#1f5fd0'],
        ['pushP99Us', 'p99', '#d9822b'],
      ],
    },
    { title: 'open in a new process, ms', keys: [['openMs', 'median', '#1f5fd0']] },
    { title: 'heap and buffers after GC, MiB (log)', keys: [['heapMiB', 'measured', '#1f5fd0']], isLog: true },
    { title: 'bytes on disk per record of 100 B', keys: [['diskBytesPerRecord', 'measured', '#1f5fd0']] },
  ];
  const width = WIDTH / 2;
  const height = 270;
  const memory = points.map(({ records }) => ({ records, value: (records * MEMORY_BYTES_A_RECORD) / 2 ** 20 }));
  const least = Math.min(...points.map(({ heapMiB }) => heapMiB)) / 2;
  const drawn = panels.map(({ title, keys, isLog }, at) => {
    const long = keys.flatMap(([key, name]) =>
      points.map((point) => ({ records: point.records, value: point[key], name })),
    );
    const svg = Plot.plot({
      document,
      width,
      height,
      marginLeft: 60,
      marginTop: 58,
      style: STYLE,
      color: { domain: keys.map(([, name]) => name), range: keys.map(([, , color]) => color) },
      x: { type: 'log', label: 'records in the queue (log)', tickFormat: '~s' },
      y:
        isLog === true
          ? { label: null, type: 'log', grid: true, tickFormat: '~s' }
          : { label: null, zero: true, grid: true },
      marks: [
        ...(isLog === true
          ? [
              Plot.lineY(
                memory.filter(({ value }) => value >= least),
                { x: 'records', y: 'value', stroke: '#8a8f98', strokeDasharray: '4 3' },
              ),
            ]
          : []),
        Plot.lineY(long, { x: 'records', y: 'value', stroke: 'name' }),
        Plot.dot(long, { x: 'records', y: 'value', fill: 'name' }),
      ],
    });
    const key: (readonly [string, string])[] = keys.map(([, name, color]) => [name, color]);
    if (isLog === true) key.push([`${MEMORY_BYTES_A_RECORD} byte a record`, '#8a8f98']);
    const head = `<text x="60" y="18" font-size="13" font-weight="600" text-anchor="start">${escapeText(title)}</text>${legendAt(key, 60, 38, width)}`;
    const place = `translate(${(at % 2) * width} ${46 + Math.floor(at / 2) * height})`;
    return `<g transform="${place}" font-family="system-ui, sans-serif">${svgText(svg)}${head}</g>`;
  });
  const title = `<text x="10" y="20" font-size="16" font-weight="600">What a growing backlog costs</text><text x="10" y="38" font-size="11" fill="#555">${escapeText(where)}; lower is better</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${46 + 2 * height}" viewBox="0 0 ${WIDTH} ${46 + 2 * height}" font-family="system-ui, sans-serif" style="background: white">${title}${drawn.join('')}</svg>\n`;
}

interface Panel {
  readonly title: string;
  /** What is drawn, its name in the key, and its colour. */
  readonly keys: readonly (readonly [keyof GrowthPoint, string, string])[];
  readonly isLog?: boolean;
}

/** Title, key and where it was measured, above a drawing that has left `HEAD` for them. Plot puts its own keys beside it, as HTML. */
function headed(
  svg: string,
  title: string,
  subtitle: string,
  { machine }: BenchReport,
  present: readonly (readonly [string, string])[],
): string {
  const where = machineLine(machine);
  const lines = [
    `<text x="10" y="22" font-size="16" font-weight="600" text-anchor="start">${escapeText(title)}</text>`,
    `<text x="10" y="42" font-size="11" fill="#555" text-anchor="start">${escapeText(subtitle)}</text>`,
    `<text x="10" y="58" font-size="11" fill="#555" text-anchor="start">${escapeText(where)}</text>`,
    legendAt(present, 10, 82, WIDTH),
  ];
  return `${svg.replace(/<\/svg>\s*$/, `${lines.join('')}</svg>`)}\n`;
}

/** When and on what something was measured. */
export function machineLine({ at, cpu, fileSystem, node }: BenchReport['machine']): string {
  return `${at.slice(0, 10)}, ${cpu}, ${fileSystem}, Node ${node}`;
}

/** Entries side by side, in as many lines as it takes. */
function legendAt(entries: readonly (readonly [string, string])[], left: number, top: number, width: number): string {
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

function svgText(svg: { readonly outerHTML: string }): string {
  const text = svg.outerHTML;
  return text.includes('xmlns="http://www.w3.org/2000/svg"')
    ? text
    : text.replace('<svg', '<svg xmlns="http://www.w3.org/2000/svg"');
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
