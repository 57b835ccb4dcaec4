/** A small file of text that somebody has named, read whole: what has no end is refused and not read. */
import { readFileSync, statSync } from 'node:fs';
import { isNotFound, messageOf } from '../errors.js';
import { UsageError } from './exit-code.js';

export interface TextFileOptions {
  /** A pipe is read, too (`<(jq …)`); else it has to be a file. */
  readonly pipes?: boolean;
}

/** `undefined`: there is none. @throws UsageError for what is something else, or cannot be read */
export function readTextFile(path: string, { pipes = false }: TextFileOptions = {}): string | undefined {
  try {
    const stat = statSync(path);
    if (stat.isDirectory()) throw new UsageError(`${path} is a folder`);
    if (!stat.isFile() && !(pipes && stat.isFIFO())) throw new UsageError(`${path} is no file`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error instanceof UsageError ? error : new UsageError(`${path}: ${messageOf(error)}`);
  }
}
