/** Standard input for data. */
import { fstatSync } from 'node:fs';
import { UsageError } from './exit-code.js';

const STDIN_FD = 0;

/** @throws UsageError where it is a folder, of which Node reads nothing and says nothing */
export function standardInput(): AsyncIterable<Buffer> {
  if (isFolder()) throw new UsageError('standard input is a folder');
  return process.stdin;
}

function isFolder(): boolean {
  try {
    return fstatSync(STDIN_FD).isDirectory();
  } catch {
    // Closed, say: Node makes of that what it does.
    return false;
  }
}
