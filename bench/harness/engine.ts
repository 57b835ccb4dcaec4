/**
 * The engine that is measured: a built one, loaded by path, so that two builds can be told apart.
 */
import { pathToFileURL } from 'node:url';
import type { Evaq } from '../../src/evaq.js';

export interface EngineModule {
  readonly Evaq: typeof Evaq;
}

export async function loadEngine(path: string): Promise<EngineModule> {
  const loaded: EngineModule = await import(pathToFileURL(path).href);
  return loaded;
}
