/**
 * Stores whose checksums hold and whose numbers lie: lengths, counts, IDs near 2^53 and 2^64, varints, metadata that cannot be, footers and rounds
 * that tell of what is not there, links, pipes and folders in place of files. Every reader and writer ends, within a bound of calls, bytes and
 * memory, with a result or a typed error; no byte is changed by a reader, and nothing outside of the store by anybody. `npm run fuzz` goes on.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bundle, projectRoot } from '../cli/support/bundle.js';
import { lyingStore } from './support/lying-store.js';
import { diceOf } from './support/random-store.js';

/** Seeds and how many stores from there on. */
const RUNS: readonly (readonly [number, number])[] = [
  [1, 9],
  [23, 1],
  // Repairs that would have lost what could be read: frames as their segment's header has them, a commit that contradicts itself.
  [43, 1],
  [91, 1],
  [112, 1],
  [125, 1],
  [130, 4],
  [161, 1],
  [165, 1],
  [183, 1],
  [194, 1],
  [254, 2],
  [344, 1],
];
const MEMORY_MIB = 256;
/** Only to end one that would hang. */
const HANGS_MS = 280_000;

describe('stores that lie', () => {
  test.each(RUNS)(
    'P9, P11: every reader and writer ends well: from seed %i on, %i stores',
    { timeout: 300_000 },
    async (first, stores) => {
      const program = await bundle(join(projectRoot, 'test/property/support/lying-process.ts'));
      const scratch = mkdtempSync(join(tmpdir(), 'evaq-lies-'));
      const args = [`--max-old-space-size=${MEMORY_MIB}`, program, String(first), String(stores), scratch];
      const { stdout, stderr } = spawnSync(process.execPath, args, {
        encoding: 'utf8',
        timeout: HANGS_MS,
        maxBuffer: 2 ** 28,
      });
      rmSync(scratch, { recursive: true, force: true });
      const lines = stdout.trim().split('\n');
      expect(lines.filter((line) => line.startsWith('FOUND'))).toEqual([]);
      expect(lines.at(-1), stderr.slice(-2000)).toBe('DONE');
    },
  );

  test('they lie, and where they do not they are sound stores', () => {
    const kinds = new Set<string>();
    for (let seed = 1; seed <= 300; seed++)
      for (const lie of lyingStore(diceOf(seed), 40).lies) kinds.add(lie.replaceAll(/ -?\d.*/g, ''));
    expect(kinds.size).toBeGreaterThan(50);
    expect(lyingStore(diceOf(1), 0).lies).toEqual([]);
  });
});
