/** Figures of queues for a terminal: bars as wide as it is. */
import { formatDuration } from '../durations.js';
import { plainTable } from '../plain-table.js';
import { formatBytes, isoTime } from '../record-format.js';
import { shortened } from '../terminal-width.js';
import type { HistogramFigures } from './log-histogram.js';
import { type FiguresPart, type QueueFigures, rateOf } from './queue-figures.js';

export type StatsBy = 'minute' | 'segment' | 'queue';

const WIDTH_MAX = 100;
const LABEL_MAX = 24;
const BLOCKS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const;

export function renderFigures(figures: readonly QueueFigures[], by: StatsBy | undefined, columns: number): string {
  if (by === 'queue')
    return partsTable(
      'queue',
      figures.flatMap(({ queue, total }) => (total === undefined ? [] : [[queue, total]])),
      columns,
    );
  return figures.map((one) => renderQueue(one, by, columns)).join('\n\n');
}

function renderQueue(
  { queue, total, sizes, batches, ages, minutes, segments }: QueueFigures,
  by: StatsBy | undefined,
  columns: number,
): string {
  if (total === undefined) return `queue ${queue}: no record`;
  const lines = [
    `queue ${queue}: ${total.records} on disk, ${total.live} of them live; payloads of ${formatBytes(total.payloadBytes)}`,
    `pushed ${isoTime(total.fromMs)} to ${isoTime(total.toMs)}: ${formatRate(rateOf(total))}/s`,
  ];
  if (by === 'minute')
    lines.push(
      '',
      partsTable(
        'minute',
        minutes.map((part) => [isoTime(part.fromMs).slice(0, 16), part]),
        columns,
      ),
    );
  else if (by === 'segment')
    lines.push(
      '',
      partsTable(
        'IDs',
        segments.map((part) => [`${part.firstId} to ${part.lastId}`, part]),
        columns,
      ),
    );
  else {
    lines.push(...histogram('size of payloads', sizes, formatBytes, columns));
    lines.push(...histogram('records in a commit', batches, (count) => `${count}`, columns));
    lines.push(...histogram('age of live records', ages, formatDuration, columns));
  }
  return lines.join('\n');
}

function histogram(
  title: string,
  figures: HistogramFigures | undefined,
  format: (value: number) => string,
  columns: number,
): string[] {
  if (figures === undefined) return [];
  const { min, max, p50, p90, p99, buckets } = figures;
  const spread = `least ${format(min)}, half to ${format(p50)}, 90 % to ${format(p90)}, 99 % to ${format(p99)}, most ${format(max)}`;
  const most = Math.max(...buckets.map(({ count }) => count));
  const labels = buckets.map(({ upTo }) => `to ${format(Math.min(upTo, Math.max(max, 1)))}`);
  const wide = Math.max(...labels.map(({ length }) => length));
  const digits = `${most}`.length;
  const room = Math.max(8, Math.min(columns, WIDTH_MAX) - wide - digits - 6);
  const bars = buckets.map(({ count }, i) => {
    return `  ${(labels[i] ?? '').padStart(wide)}  ${`${count}`.padStart(digits)}  ${bar(count / most, room)}`.trimEnd();
  });
  return ['', `${title}: ${spread}`, ...bars];
}

/** In eighths of a column; what is not nothing is seen. */
export function bar(share: number, columns: number): string {
  const eighths = share === 0 ? 0 : Math.max(1, Math.round(share * columns * 8));
  return '█'.repeat(eighths >> 3) + (BLOCKS[eighths & 7] ?? '');
}

function partsTable(name: string, parts: readonly (readonly [string, FiguresPart])[], columns: number): string {
  const most = Math.max(1, ...parts.map(([, { records }]) => records));
  const room = Math.max(6, Math.min(columns, WIDTH_MAX) - 66);
  const rows = parts.map(([label, part]) => [
    shortened(label, LABEL_MAX),
    part.records,
    part.live,
    formatBytes(part.payloadBytes),
    formatBytes(Math.round(part.payloadBytes / part.records)),
    formatRate(rateOf(part)),
    bar(part.records / most, room),
  ]);
  return plainTable(
    [name, 'records', 'live', 'payloads', 'mean', 'per s', ''],
    ['left', 'right', 'right', 'right', 'right', 'right', 'left'],
    rows,
  );
}

function formatRate(rate: number): string {
  return rate >= 10 ? `${Math.round(rate)}` : rate.toFixed(1);
}
