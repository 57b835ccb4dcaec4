/** Stretches of time in words, for people: as coarse as they would say it. */

const STEPS = [
  { ms: 1000, name: 's', until: 120 * 1000 },
  { ms: 60_000, name: 'min', until: 120 * 60_000 },
  { ms: 3_600_000, name: 'h', until: 48 * 3_600_000 },
  { ms: 86_400_000, name: 'd', until: Infinity },
] as const;

/** "3 h"; below a second "0 s". Of what lies ahead: "-3 h". */
export function formatDuration(ms: number): string {
  const size = Math.abs(ms);
  const step = STEPS.find(({ until }) => size < until) ?? STEPS[3];
  const count = Math.floor(size / step.ms);
  return `${ms < 0 && count > 0 ? '-' : ''}${count} ${step.name}`;
}

/** "3 h ago"; where the clock says it is to come: "in 3 h". */
export function formatAge(timeMs: number, nowMs: number): string {
  const ms = nowMs - timeMs;
  if (Math.abs(ms) < 1000) return 'just now';
  return ms < 0 ? `in ${formatDuration(-ms)}` : `${formatDuration(ms)} ago`;
}
