/** One queue on the page: its segments, and how its records are spread. */
import type { QueueUsage, SegmentUsage } from '../../raw.js';
import { formatDuration } from '../durations.js';
import { formatBytes, formatCount, isoTime } from '../record-format.js';
import type { HistogramFigures } from '../stats/log-histogram.js';
import type { FiguresPart, QueueFigures } from '../stats/queue-figures.js';
import { barChart, type ChartPart } from './bar-chart.js';
import { folded, section, table, text } from './html.js';

/** More bars than that are not told apart: neighbours share one. */
const BARS_MAX = 240;
const ROWS_MAX = 2000;

const SEGMENT_PARTS: readonly ChartPart[] = [
  { name: 'live', colour: 'live' },
  { name: 'dead, pinned by live records', colour: 'pinned' },
  { name: 'dead, to be given back by GC', colour: 'dead' },
];

export function queueSection(usage: QueueUsage, figures: QueueFigures | undefined): string {
  const { queue, segments, total, unreadable } = usage;
  const live = segments.reduce((sum, { liveRecords }) => sum + liveRecords, 0);
  const parts = [`<p>${text(`${formatCount(live, 'live record')}, ${formatBytes(total.diskBytes)} on disk`)}</p>`];
  if (unreadable !== undefined) parts.push(`<p class="warn">What is live is not known: ${text(unreadable)}</p>`);
  const filled = segments.filter(({ records }) => records > 0);
  if (filled.length > 0) parts.push(segmentChart(filled));
  if (figures !== undefined) {
    if (figures.minutes.length > 1) parts.push(minuteChart(figures.minutes));
    const spreads = [
      histogram('Size of payloads', figures.sizes, formatBytes),
      histogram('Records in a commit', figures.batches, (count) => `${Math.round(count)}`),
      histogram('Age of live records', figures.ages, formatDuration),
    ];
    parts.push(`<div class="spreads">${spreads.join('')}</div>`);
  }
  return section(`queue-${queue}`, `Queue ${queue}`, parts.join('\n'));
}

/** Live, dead and pinned, and dead and free bytes. */
function bytesOf({ bytes, liveBytes, fate }: SegmentUsage): readonly [number, number, number] {
  const dead = Math.max(0, bytes - liveBytes);
  return fate.kind === 'keep' ? [liveBytes, dead, 0] : [liveBytes, 0, dead];
}

function segmentChart(segments: readonly SegmentUsage[]): string {
  const groups = grouped(segments, BARS_MAX);
  const bars = groups.map((group) => {
    const values = [0, 1, 2].map((part) => group.reduce((sum, one) => sum + (bytesOf(one)[part] ?? 0), 0));
    const [first, last] = [group[0], group.at(-1)];
    const live = group.reduce((sum, { liveRecords }) => sum + liveRecords, 0);
    return {
      title: `${first?.firstId ?? ''} to ${last?.lastId ?? ''}: ${live} live, ${formatBytes(sum(values))}`,
      values,
    };
  });
  const totals = [0, 1, 2].map((part) => sum(bars.map(({ values }) => values[part] ?? 0)));
  const [live = 0, pinned = 0, dead = 0] = totals;
  const label = `${formatCount(segments.length, 'segment')}, the oldest first: ${formatBytes(live)} live, ${formatBytes(pinned)} dead and pinned, ${formatBytes(dead)} dead and to be given back`;
  const chart = barChart({
    label,
    parts: SEGMENT_PARTS,
    bars,
    format: formatBytes,
    isBytes: true,
    from: timeOf(segments[0]?.fromMs),
    to: timeOf(segments.at(-1)?.toMs),
  });
  const rows = segments.slice(-ROWS_MAX).map((one) => {
    const [a, b, c] = bytesOf(one);
    return [
      `${one.firstId} to ${one.lastId}`,
      timeOf(one.fromMs),
      one.liveRecords,
      one.records - one.liveRecords,
      formatBytes(a),
      formatBytes(b),
      formatBytes(c),
      one.fate.kind,
    ];
  });
  const head = ['IDs', 'pushed from', 'live', 'dead', 'live bytes', 'pinned', 'to be given back', 'GC will'];
  return figure('Segments', label, chart, table('Segments, the oldest first', head, rows));
}

function minuteChart(minutes: readonly FiguresPart[]): string {
  const groups = grouped(minutes, BARS_MAX);
  const bars = groups.map((group) => {
    const records = sum(group.map((one) => one.records));
    const live = sum(group.map((one) => one.live));
    return {
      title: `from ${timeOf(group[0]?.fromMs)}: ${formatCount(records, 'record')}, ${live} live`,
      values: [live, records - live],
    };
  });
  const label = `${formatCount(sum(minutes.map(({ records }) => records)), 'record')} by when they were pushed`;
  const parts: readonly ChartPart[] = [
    { name: 'live', colour: 'live' },
    { name: 'removed', colour: 'dead' },
  ];
  const chart = barChart({
    label,
    parts,
    bars,
    format: (value) => `${value}`,
    from: timeOf(minutes[0]?.fromMs),
    to: timeOf(minutes.at(-1)?.toMs),
  });
  const rows = minutes
    .slice(-ROWS_MAX)
    .map((one) => [timeOf(one.fromMs), one.records, one.live, formatBytes(one.payloadBytes)]);
  return figure(
    'Pushed over time',
    label,
    chart,
    table('Records by the minute', ['minute', 'records', 'live', 'payloads'], rows),
  );
}

export function histogram(
  title: string,
  figures: HistogramFigures | undefined,
  format: (value: number) => string,
): string {
  if (figures === undefined) return '';
  const { min, max, p50, p99, buckets } = figures;
  const says = `half are at most ${format(p50)}, 99 % at most ${format(p99)}, all from ${format(min)} to ${format(max)}`;
  const content = table(
    title,
    ['up to', 'count'],
    buckets.map(({ upTo, count }) => [format(upTo), count]),
  );
  // A single bar says nothing that the sentence does not.
  if (buckets.length < 2) return figure(title, says, '', content);
  const chart = barChart({
    label: `${title}: ${says}`,
    parts: [{ name: title, colour: 'plain' }],
    bars: buckets.map(({ upTo, count }) => ({ title: `to ${format(upTo)}: ${count}`, values: [count] })),
    format: (value) => `${value}`,
    from: `to ${format(buckets[0]?.upTo ?? 0)}`,
    to: `to ${format(Math.min(max, buckets.at(-1)?.upTo ?? 0))}`,
    isSmall: true,
  });
  return figure(title, says, chart, content);
}

function figure(title: string, label: string, chart: string, content: string): string {
  return `<figure><h3>${text(title)}</h3><figcaption class="soft">${text(label)}</figcaption>${chart}${folded('as a table', content)}</figure>`;
}

function grouped<T>(items: readonly T[], most: number): T[][] {
  const size = Math.ceil(items.length / most);
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function timeOf(ms: number | undefined): string {
  return ms === undefined ? '' : isoTime(ms).slice(0, 19).replace('T', ' ');
}
