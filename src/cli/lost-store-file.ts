/** A store whose file STORE is gone: damage, in the same words and with the same code whatever the command. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf, EvaqError, isSystemError, messageOf } from '../errors.js';
import { STORE_FILE } from '../layout/store-file.js';
import { storeUsage } from '../raw.js';
import { Refused, UsageError } from './exit-code.js';

export const STORE_FILE_LOST: string = `the file ${STORE_FILE} is missing`;

/** That is EVAQ_CORRUPT, for the files of the folder tell that it was a store; what is no more than a folder of something else is none. */
export function storeFileLost(path: string): EvaqError {
  return new EvaqError('EVAQ_CORRUPT', `the store ${path} cannot be opened: ${STORE_FILE_LOST}`, {
    details: { path },
    hint: `'evaq repair ${path}' shows how it would be mended.`,
  });
}

/** What is thrown for what cannot be a path (`layout/store-path.ts`), by us or by Node. */
function isOfPath(error: unknown): boolean {
  if (codeOf(error)?.startsWith('ERR_INVALID_FILE_URL') === true) return true;
  return /^\w+ must (?:not hold a NUL|be a (?:file URL|non-empty))/.test(messageOf(error));
}

/** What ended a command, as it is to be told: where the shell is in a folder that is gone, that; of a folder that is said to be no store, and was one, `storeFileLost`. Never rejects. */
export async function asTold(error: unknown): Promise<unknown> {
  if (isSystemError(error) && 'syscall' in error && error.syscall === 'uv_cwd')
    return new Refused('the current folder is gone: go to another one, or give absolute paths');
  if (isOfPath(error)) return new UsageError(`${messageOf(error)}: name a folder`);
  if (!(error instanceof EvaqError) || error.code !== 'EVAQ_NOT_A_STORE') return error;
  const { path } = error.details;
  if (typeof path !== 'string' || !existsSync(path) || existsSync(join(path, STORE_FILE))) return error;
  const usage = await storeUsage(path, { sample: false }).catch(() => undefined);
  return usage === undefined ? error : storeFileLost(usage.path);
}
