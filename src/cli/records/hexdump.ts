/** Bytes in rows of sixteen, as `hexdump -C` has them: offset, hex digits, and what is visible of them as ASCII. */
const ROW_BYTES = 16;

/** `from`: the offset of the first. Every row ends with a newline. */
export function hexdump(bytes: Buffer, from = 0): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += ROW_BYTES) {
    const row = bytes.subarray(at, at + ROW_BYTES);
    const offset = (from + at).toString(16).padStart(8, '0');
    text += `${offset}  ${digits(row, 0)}  ${digits(row, ROW_BYTES / 2)}  |${visible(row)}|\n`;
  }
  return text;
}

function digits(row: Buffer, from: number): string {
  const half = row.subarray(from, from + ROW_BYTES / 2);
  return Array.from(half, (byte) => byte.toString(16).padStart(2, '0'))
    .join(' ')
    .padEnd((ROW_BYTES / 2) * 3 - 1);
}

function visible(row: Buffer): string {
  return row.toString('latin1').replace(/[^ -~]/g, '.');
}
