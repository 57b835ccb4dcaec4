/**
 * The engine that is measured: a built one, loaded by path, so that two builds can be told apart.
 */
import { pathToFileURL } from 'node:url';
import type { Evaq } from '../../src/evaq.js';

export interface EngineModule {
  readonly Evaq: typeof Evaq;
  /** Where it was loaded from: for other threads. */
  readonly url: string;
}

export async function loadEngine(path: string): Promise<EngineModule> {
  const url = pathToFileURL(path).href;
  const loaded: { readonly Evaq: typeof Evaq } = await import(url);
  return { Evaq: loaded.Evaq, url };
}
