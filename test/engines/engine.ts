/**
 * The engines that a queue can stand on, for the tests that all of them pass.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Evaq, type EvaqLike } from '../../src/evaq.js';

/** One store, opened as often as a test likes, one after the other. */
export interface EngineStore {
  open(): Promise<EvaqLike>;
  /** Nothing is left of it. */
  end(): Promise<void>;
}

export interface Engine {
  readonly name: string;
  newStore(): EngineStore;
}

/** A folder of this disk. */
export const embedded: Engine = {
  name: 'evaq',
  newStore() {
    const folder = mkdtempSync(join(tmpdir(), 'evaq-engine-'));
    return {
      open: () => Evaq.open(join(folder, 'store')),
      end: async () => rmSync(folder, { recursive: true, force: true }),
    };
  },
};
