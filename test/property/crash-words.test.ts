/**
 * Exhaustive in the small: every word of up to so many calls, each cut at every step, in every state that is few enough to enumerate, otherwise
 * with nothing left, everything, each sector or name missing, each there alone. The store must hold what its callers were told (store-model.ts).
 * `EVAQ_WORD=3` goes on to words of three calls.
 */
import { describe, expect, test } from 'vitest';
import { WORD_CALLS, type WordCall, WordExplorer } from './support/crash-words.js';

const LENGTH = Number(process.env['EVAQ_WORD'] ?? 2);
/** Only to end a test that would hang: a slow machine does as many words. */
const TIMEOUT_MS = LENGTH > 2 ? 7_200_000 : 3_600_000;

function* words(length: number): Generator<readonly WordCall[]> {
  if (length === 0) return yield [];
  for (const word of words(length - 1)) for (const call of WORD_CALLS) yield [...word, call];
}

describe('every word of calls, cut at every step', () => {
  const explorer = new WordExplorer();

  for (let length = 0; length <= LENGTH; length++) {
    test(`P1-P10: words of ${length} calls`, { timeout: TIMEOUT_MS }, async () => {
      let count = 0;
      for (const word of words(length)) {
        await explorer.explore(word);
        count++;
      }
      if (process.env['EVAQ_TABLE'] !== undefined) {
        const { cuts, tally } = explorer;
        console.log(`| up to ${length} calls | ${count} | ${cuts} | ${tally.all.size} |`);
        if (length === LENGTH) for (const row of tally.rows()) console.log(row);
      }
      expect(count).toBe(WORD_CALLS.length ** length);
      expect(explorer.tally.all.size).toBeGreaterThan(20);
    });
  }
});
