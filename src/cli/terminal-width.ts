/** How wide what is printed may be: as COLUMNS says, or the terminal, or 80. */
export function terminalWidth(): number {
  const told = Number(process.env['COLUMNS']);
  return Number.isSafeInteger(told) && told > 0 ? told : (process.stdout.columns ?? 80);
}

/** `text`, cut short where it has more than `max` characters, which then shows. */
export function shortened(text: string, max: number): string {
  return text.length > max ? `${text.slice(0, Math.max(0, max - 1))}…` : text;
}

/** `text` in lines of `max` characters at most, broken between words; a word that is longer has a line of its own. */
export function wrapped(text: string, max: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && longer.length > max) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  lines.push(line);
  return lines;
}
