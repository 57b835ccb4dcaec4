/** Plain damage by chance to a store on a real disk: bits, sectors, cuts, lost and swapped files. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Dice } from './random-store.js';

/** The files of a store that readers read. */
export function readableFiles(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => /(?:\.seg|\.tomb|STORE)$/.test(name))
    .sort()
    .map((name) => join(dir, name));
}

/** Does one thing to one file. Returns what, in words. */
export function damageOne(dir: string, dice: Dice): string {
  const files = readableFiles(dir);
  const path = files[dice(files.length)] ?? '';
  const bytes = readFileSync(path);
  let used = bytes.length;
  while (used > 0 && bytes[used - 1] === 0) used--;
  const at = dice(Math.max(1, used));
  const name = path.slice(dir.length);
  const kind = ['bit', 'bit', 'bit', 'sector', 'sector', 'noise', 'cut', 'remove', 'swap'][dice(9)] ?? 'bit';
  switch (kind) {
    case 'bit':
      bytes[at] = (bytes[at] ?? 0) ^ (1 << dice(8));
      writeFileSync(path, bytes);
      return `a bit at ${at} of ${name}`;
    case 'sector':
      bytes.fill(0, at & ~511, Math.min(bytes.length, (at & ~511) + 512));
      writeFileSync(path, bytes);
      return `zeros at ${at & ~511} of ${name}`;
    case 'noise':
      for (let i = at & ~511; i < Math.min(bytes.length, (at & ~511) + 512); i++) bytes[i] = dice(256);
      writeFileSync(path, bytes);
      return `noise at ${at & ~511} of ${name}`;
    case 'cut':
      writeFileSync(path, bytes.subarray(0, at));
      return `${name} cut at ${at}`;
    case 'remove':
      rmSync(path);
      return `${name} removed`;
    default: {
      const other = files[dice(files.length)] ?? path;
      const theirs = readFileSync(other);
      writeFileSync(other, bytes);
      writeFileSync(path, theirs);
      return `${name} swapped with ${other.slice(dir.length)}`;
    }
  }
}
