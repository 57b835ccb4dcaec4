/** How wide what is printed may be: as COLUMNS says, or the terminal, or 80. */
export function terminalWidth(): number {
  const told = Number(process.env['COLUMNS']);
  return Number.isSafeInteger(told) && told > 0 ? told : (process.stdout.columns ?? 80);
}

/** `text`, cut short where it has more than `max` characters, which then shows. */
export function shortened(text: string, max: number): string {
  return text.length > max ? `${text.slice(0, Math.max(0, max - 1))}…` : text;
}
