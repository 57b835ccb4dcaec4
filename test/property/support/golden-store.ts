/** The golden stores of test/fixtures, unpacked (FORMAT.md, 19). */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export function unpackGolden(name: string, dir: string): void {
  const text = readFileSync(join(import.meta.dirname, '../../fixtures', name), 'utf8');
  for (const part of text.split(/^file /m).slice(1)) {
    const [head = '', ...lines] = part.split('\n');
    const [path = '', bytes = '0'] = head.split(' ');
    const file = Buffer.alloc(Number(bytes));
    Buffer.from(lines.join(''), 'hex').copy(file);
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), file);
  }
}
