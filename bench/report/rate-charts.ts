/**
 * Rates beside other stores, as SVG files: one for each subject, drawn by Observable Plot on a document that exists in memory only. Without the packages
 * that draw there are none.
 */
import type { BenchReport } from '../harness/bench-report.js';
import { bestPeer, pairedRatio } from '../harness/goal.js';
import type { CaseResult } from '../harness/run-case.js';
import { HEAD, headed, STYLE, svgText, WIDTH } from './chart-frame.js';
import { loadDrawing } from './drawing.js';
import { digits } from './number-text.js';

export interface RateChart {
  /** Of its file: `rates-<name>.svg`. */
  readonly name: string;
  /** What it shows in words, for who cannot see it. */
  readonly alt: string;
  readonly svg: string;
}

interface Subject {
  readonly name: string;
  readonly title: string;
  /** The rows that belong to it, and what they are called in it. */
  readonly rows: Readonly<Record<string, string>>;
}

const SUBJECTS: readonly Subject[] = [
  {
    name: 'durable',
    title: 'Durable pushes',
    rows: { 'push-one': 'push, one at a time', 'push-concurrent': 'push', 'push-many': 'pushMany' },
  },
  {
    name: 'os',
    title: "Pushes that do not wait for the disk (mode 'os'), and pushing and removing in turn",
    rows: { 'push-os': 'push', 'push-many-os': 'pushMany', 'push-remove': 'push and remove' },
  },
  { name: 'reading', title: 'Reading and removing', rows: { read: 'read all', remove: 'durable removal' } },
];

const COLORS: readonly (readonly [string, string])[] = [
  ['evaq', '#1f5fd0'],
  ['evaq recycled', '#6aa5ff'],
  ['evaq pushSync', '#4f46b8'],
  ['evaq records()', '#8f7fe8'],
  ['device', '#222222'],
  ['lmdb', '#d9822b'],
  ['leveldb', '#3a9d5d'],
  ['sqlite', '#b0468f'],
];
const ROW_HEIGHT = 26;

/** A case that has a rate of evaq and of another store. */
export interface Compared {
  readonly result: CaseResult;
  /** The fastest other store. */
  readonly best: string;
  /** Evaq by that, round by round. */
  readonly ratio: number;
}

/** Those of one row, evaq's best case first and its worst last. */
export function comparedCases(row: string, { cases }: BenchReport): Compared[] {
  const compared: Compared[] = [];
  for (const result of cases) {
    if (result.row !== row) continue;
    const best = bestPeer(result.contenders, 'rate')?.name;
    const ratio = best && pairedRatio(result.contenders['evaq'], result.contenders[best], 'rate');
    if (best !== undefined && typeof ratio === 'number') compared.push({ result, best, ratio });
  }
  return compared.toSorted((a, b) => b.ratio - a.ratio);
}

/** Of each row the case in which evaq does best, and the one in which it does worst. Subjects that nothing was measured of are left out. */
export async function drawRates(report: BenchReport): Promise<RateChart[]> {
  const charts: RateChart[] = [];
  for (const subject of SUBJECTS) {
    const chart = await drawSubject(subject, report);
    if (chart !== undefined) charts.push(chart);
  }
  return charts;
}

interface Place extends Compared {
  readonly place: string;
}

async function drawSubject(subject: Subject, report: BenchReport): Promise<RateChart | undefined> {
  const places: Place[] = Object.entries(subject.rows).flatMap(([row, called]) => {
    const all = comparedCases(row, report);
    const [first, last] = [all[0], all.at(-1)];
    const chosen = first === undefined || last === undefined ? [] : first === last ? [first] : [first, last];
    return chosen.map((one) => ({ ...one, place: `${called}, ${one.result.label}` }));
  });
  if (places.length === 0) return undefined;
  const svg = await drawPlaces(subject.title, places, report);
  return svg === undefined ? undefined : { name: subject.name, alt: altOf(subject.title, places), svg };
}

async function drawPlaces(title: string, places: readonly Place[], report: BenchReport): Promise<string | undefined> {
  const drawing = await loadDrawing();
  if (drawing === undefined) return undefined;
  const { Plot, document } = drawing;
  const points = places.flatMap(({ place, result }) =>
    Object.entries(result.contenders).map(([contender, { rate }]) => ({ ...rate, place, contender })),
  );
  const present = COLORS.filter(([name]) => points.some(({ contender }) => contender === name));
  const ratios = places.map(({ place, ratio }) => ({ place, text: `${digits(ratio)} ×`, isLoss: ratio < 1 }));
  const isOurs = ({ contender }: { readonly contender: string }): boolean => contender === 'evaq';
  const number = { y: 'place', text: 'text', frameAnchor: 'right', dx: 62, fontSize: 12, textAnchor: 'end' } as const;
  const svg = Plot.plot({
    document,
    width: WIDTH,
    height: HEAD + 44 + ROW_HEIGHT * places.length,
    marginLeft: 260,
    marginRight: 80,
    marginTop: HEAD,
    marginBottom: 44,
    style: { ...STYLE, fontSize: '12px' },
    color: { domain: present.map(([name]) => name), range: present.map(([, color]) => color) },
    x: {
      type: 'log',
      grid: true,
      label: 'records a second, log scale: further right is faster →',
      tickFormat: '~s',
      ticks: 5,
      labelOffset: 38,
    },
    y: { domain: places.map(({ place }) => place), label: null },
    marks: [
      Plot.ruleY(points, { x1: 'min', x2: 'max', y: 'place', stroke: 'contender', strokeOpacity: 0.5, strokeWidth: 2 }),
      Plot.dot(
        points.filter((point) => !isOurs(point)),
        { x: 'median', y: 'place', fill: 'contender', r: 4.5 },
      ),
      // On top, and larger: it is what the picture is about.
      Plot.dot(points.filter(isOurs), { x: 'median', y: 'place', fill: 'contender', stroke: 'white', r: 7 }),
      Plot.text(
        ratios.filter(({ isLoss }) => !isLoss),
        { ...number, fill: '#1c1d1f' },
      ),
      Plot.text(
        ratios.filter(({ isLoss }) => isLoss),
        { ...number, fill: '#c4302b', fontWeight: 'bold' },
      ),
    ],
  });
  const notes = [
    'Of each row of the bench the case in which evaq does best against the fastest other store, and the one in which it does worst.',
    'Right: evaq by that store, red where it is slower. A dot is the median of the rounds, a line reaches from the slowest to the fastest.',
  ];
  return headed(svgText(svg), title, notes, report, present);
}

function altOf(title: string, places: readonly Place[]): string {
  const parts = places.map(({ place, ratio, best }) => `${place}: ${digits(ratio)} × ${best}`);
  return `${title}: rates of evaq, the device, LMDB, LevelDB and SQLite. evaq by the fastest other store: ${parts.join('; ')}`;
}
