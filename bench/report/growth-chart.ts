/** What a growing backlog costs, as an SVG file. Without the packages that draw there is none. */
import type { GrowthPoint } from '../rows/growth.js';
import { escapeText, legendAt, STYLE, svgText, WIDTH } from './chart-frame.js';
import { loadDrawing } from './drawing.js';

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
  const heaps = points.map(({ heapMiB }) => heapMiB);
  const [least, most] = [Math.min(...heaps) / 2, Math.max(...heaps) * 2];
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
          ? { label: null, type: 'log', grid: true, domain: [least, most], ticks: 4, tickFormat: '~s' }
          : { label: null, zero: true, grid: true },
      marks: [
        ...(isLog === true
          ? [
              Plot.lineY(
                memory.filter(({ value }) => value >= least && value <= most),
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
