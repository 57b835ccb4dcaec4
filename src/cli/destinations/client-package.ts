/**
 * Clients of destinations, loaded when one is wanted. They are none of evaq's dependencies: one is looked for beside evaq, and in the folder of the call.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { codeOf } from '../../errors.js';
import { UsageError } from '../exit-code.js';

/** `undefined` where it is not installed. */
export async function optionalPackage(name: string): Promise<unknown> {
  try {
    return await import(name);
  } catch (error) {
    if (codeOf(error) !== 'ERR_MODULE_NOT_FOUND') throw error;
  }
  try {
    return await import(pathToFileURL(createRequire(join(process.cwd(), 'x.js')).resolve(name)).href);
  } catch (error) {
    if (codeOf(error) === 'MODULE_NOT_FOUND' || codeOf(error) === 'ERR_MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

/** `wanted` is what needs it: '--to redis://'. @throws UsageError with the line that installs it */
export async function requiredPackage<T extends object>(name: string, wanted: string): Promise<T> {
  const loaded = await optionalPackage(name);
  if (!isModule<T>(loaded)) throw new UsageError(`${wanted} needs the package ${name}: npm install ${name}`);
  return loaded;
}

/** Whether anything was loaded; what it is its name says. */
function isModule<T extends object>(loaded: unknown): loaded is T {
  return typeof loaded === 'object' && loaded !== null;
}
