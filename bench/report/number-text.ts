/** Numbers as a person reads them. */

/** Three digits and a unit prefix: 1234567 -> "1.23 M". */
export function short(value: number): string {
  if (!Number.isFinite(value)) return '-';
  const abs = Math.abs(value);
  if (abs >= 1e9) return `${digits(value / 1e9)} G`;
  if (abs >= 1e6) return `${digits(value / 1e6)} M`;
  if (abs >= 1e4) return `${digits(value / 1e3)} K`;
  return digits(value);
}

/** Microseconds as µs or ms. */
export function microseconds(value: number): string {
  return value < 1000 ? `${digits(value)} µs` : `${digits(value / 1000)} ms`;
}

export function digits(value: number): string {
  if (!Number.isFinite(value)) return '-';
  const abs = Math.abs(value);
  if (abs !== 0 && abs < 0.01) return value.toExponential(1);
  return value.toFixed(abs >= 100 ? 0 : abs >= 10 ? 1 : 2);
}
