/**
 * Bars side by side, each of one or several parts one above the other, as an SVG that needs nothing else. Colours are those of the page (`style.ts`); what
 * it shows stands in a table beside it, so to a screen reader it is one picture with a sentence.
 */
import { text } from './html.js';

export interface ChartPart {
  readonly name: string;
  /** Of the page's colours. */
  readonly colour: 'live' | 'pinned' | 'dead' | 'plain' | 'bad';
}

export interface ChartBar {
  /** Shown where the pointer is. */
  readonly title: string;
  /** One for each part, from the bottom. */
  readonly values: readonly number[];
}

export interface ChartOptions {
  /** A sentence that says what is to be seen. */
  readonly label: string;
  readonly parts: readonly ChartPart[];
  readonly bars: readonly ChartBar[];
  readonly format: (value: number) => string;
  /** What is told in bytes has other round numbers. */
  readonly isBytes?: boolean;
  /** Half as wide. */
  readonly isSmall?: boolean;
  /** Below the first bar and the last one. */
  readonly from: string;
  readonly to: string;
}

const WIDTH = 720;
const SMALL_WIDTH = 400;
const HEIGHT = 200;
const LEFT = 76;
const TOP = 10;
const BOTTOM = 24;
const LINES = 4;

export function barChart({ label, parts, bars, format, from, to, isBytes, isSmall }: ChartOptions): string {
  const whole = isSmall === true ? SMALL_WIDTH : WIDTH;
  const most = Math.max(1, ...bars.map(({ values }) => values.reduce((sum, value) => sum + value, 0)));
  const top = isBytes === true ? niceTopBytes(most) : niceTop(most);
  const plotHeight = HEIGHT - TOP - BOTTOM;
  const plotWidth = whole - LEFT - 8;
  const y = (value: number): number => TOP + plotHeight * (1 - value / top);
  const lines = Array.from({ length: LINES + 1 }, (_, i) => {
    const value = (top * i) / LINES;
    const at = y(value).toFixed(1);
    return `<line class="grid" x1="${LEFT}" x2="${whole - 8}" y1="${at}" y2="${at}"/><text x="${LEFT - 6}" y="${at}" dy="0.32em" text-anchor="end">${text(format(value))}</text>`;
  });
  const step = plotWidth / Math.max(bars.length, 1);
  const width = Math.max(0.6, Math.min(48, step * (step > 4 ? 0.82 : 1)));
  const shapes = bars.map(({ title, values }, i) => {
    const x = LEFT + step * i + (step - width) / 2;
    let base = 0;
    const rects = values.map((value, part) => {
      const [low, high] = [y(base), y(base + value)];
      base += value;
      if (value <= 0) return '';
      const height = Math.max(0.8, low - high);
      return `<rect class="${parts[part]?.colour ?? 'plain'}" x="${x.toFixed(2)}" y="${(low - height).toFixed(2)}" width="${width.toFixed(2)}" height="${height.toFixed(2)}"/>`;
    });
    return `<g><title>${text(title)}</title>${rects.join('')}</g>`;
  });
  const ends = [
    `<text x="${LEFT}" y="${HEIGHT - 6}">${text(from)}</text>`,
    to === '' ? '' : `<text x="${whole - 8}" y="${HEIGHT - 6}" text-anchor="end">${text(to)}</text>`,
  ];
  const svg = `<svg role="img" aria-label="${text(label)}" viewBox="0 0 ${whole} ${HEIGHT}">${lines.join('')}${shapes.join('')}${ends.join('')}</svg>`;
  return parts.length < 2 ? svg : `${legend(parts)}${svg}`;
}

function legend(parts: readonly ChartPart[]): string {
  const items = parts.map(
    ({ name, colour }) => `<li><span class="key ${colour}" aria-hidden="true"></span>${text(name)}</li>`,
  );
  return `<ul class="legend">${items.join('')}</ul>`;
}

/** A round number that is no less, of which a quarter is round as well. */
export function niceTop(most: number): number {
  const power = 10 ** Math.floor(Math.log10(most));
  const factor = [1, 2, 4, 8, 10].find((one) => one * power >= most) ?? 10;
  return Math.max(4, factor * power);
}

/** The same in KiB, MiB and so on. */
export function niceTopBytes(most: number): number {
  const unit = 1024 ** Math.floor(Math.log2(most) / 10);
  const size = most / unit;
  const top = [1, 2, 4, 8, 16, 20, 40, 80, 100, 200, 400, 800, 1024].find((one) => one >= size) ?? 1024;
  return Math.max(4, top * unit);
}
