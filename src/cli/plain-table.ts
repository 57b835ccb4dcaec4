/** Columns without lines between them: they can be read, and taken apart by `awk`. */
import Table from 'cli-table3';

type Align = 'left' | 'right';

const NO_LINES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/** `head` with what stands below it; `aligns` for each column. No line ends with a blank. */
export function plainTable(
  head: readonly string[],
  aligns: readonly Align[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const table = new Table({
    chars: NO_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
    head: [...head],
    colAligns: [...aligns],
  });
  for (const row of rows) table.push([...row]);
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}
