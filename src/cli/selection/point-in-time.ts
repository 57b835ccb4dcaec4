/**
 * Moments as people say them: a date, a date with a time, seconds since the epoch, or so long ago. Without a zone it is local time.
 */
const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};

const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+$/;
const DATE = /^\d{4}-\d\d-\d\d$/;
const DATE_TIME = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?$/;
/** As `toISOString` writes it: a year has four digits, or a sign and six. */
const ISO = /^(?:\d{4}|[+-]\d{6})-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d))?$/;
const SECONDS = /^\d{1,12}(?:\.\d{1,3})?$/;

/** `90s`, `1h30m`, `2d` in ms; `undefined` for what is none. */
export function parseDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined;
  let ms = 0;
  for (const [, count, unit] of text.matchAll(/([\d.]+)(ms|[smhdw])/g))
    ms += Number(count) * (UNIT_MS[unit ?? ''] ?? 0);
  return ms;
}

/**
 * In ms since the epoch: `2026-11-01`, `2026-11-01T10:00Z`, `2h` or `-2h` (so long before `nowMs`), `now`, seconds since the epoch (with three decimals at
 * most). `undefined` for what is none.
 */
export function parseTime(text: string, nowMs: number): number | undefined {
  if (text === 'now') return nowMs;
  const ago = parseDuration(text.startsWith('-') ? text.slice(1) : text);
  if (ago !== undefined) return nowMs - ago;
  if (SECONDS.test(text)) return Math.round(Number(text) * 1000);
  if (!DATE.test(text) && !DATE_TIME.test(text)) return undefined;
  return parsed(DATE.test(text) ? `${text}T00:00` : text);
}

/** In ms since the epoch, of a date with a time and a zone, or a date alone, which is that of UTC; `undefined` for what is none. */
export function parseIsoTime(text: string): number | undefined {
  if (text === known.text) return known.ms;
  const ms = ISO.test(text) ? parsed(text) : undefined;
  known = { text, ms };
  return ms;
}

/** The last one: records that were committed together have the same time. */
let known: { readonly text: string; readonly ms: number | undefined } = { text: '', ms: undefined };

/** A day that its month does not have is none, where the language goes on counting in the next one. */
function parsed(text: string): number | undefined {
  const ms = Date.parse(text);
  const [, year = '', month = '', day = ''] = /^([+-]?\d+)-(\d\d)-(\d\d)/.exec(text) ?? [];
  const isDay =
    new Date(Date.parse(`${year}-${month}-01`) + (Number(day) - 1) * 86_400_000).getUTCMonth() + 1 === Number(month);
  return Number.isNaN(ms) || !isDay ? undefined : ms;
}
