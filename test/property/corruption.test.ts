/**
 * Damage at rest (P9): every byte in use of a small store, closed cleanly or not, changed in turn; then every sector and every file. Never a wrong payload, never a removed record,
 * never a crash or a hang, never a loss without a word, at most one commit lost; what is left is readable and the store goes on.
 * `EVAQ_EVERY_BIT=1` flips every single bit; otherwise one bit of every fifth byte, another one of each.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type DamageTally,
  damageAll,
  makeSmallStore,
  newDamageTally,
  type SmallStore,
  sufferAll,
} from './support/damaged-store.js';

const EVERY = process.env['EVAQ_EVERY_BIT'] !== undefined;
const TIMEOUT_MS = EVERY ? 3_600_000 : 600_000;

for (const ending of ['closed', 'killed'] as const) {
  describe(`a store whose writer ${ending === 'closed' ? 'closed it' : 'was killed'}, with one thing changed`, () => {
    let store: SmallStore;
    const sparse = ending === 'closed' ? 1 : 2;
    beforeAll(async () => {
      store = await makeSmallStore(ending);
    });

    /** One test a file and kind of damage; thinned out by `step` where not everything is asked for. */
    for (const [kind, step, title] of [
      ['flip', 5, 'P9: a flipped bit costs at most its commit, is told, and undoes no removal'],
      ['zero', 5, 'P9: a zeroed byte costs at most its commit, is told, and undoes no removal'],
      ['ones', 5, 'P9: a byte of ones costs at most its commit, is told, and undoes no removal'],
      ['cut', 5, 'P9: a file cut at any length loses nothing without a word'],
    ] as const) {
      test(title, { timeout: TIMEOUT_MS }, async () => {
        const tally = newDamageTally();
        await damageAll(
          store,
          kind,
          (_path, offset, bit) =>
            EVERY || (offset % (step * sparse) === 0 && (kind !== 'flip' || bit === Math.floor(offset / step) % 8)),
          tally,
        );
        if (EVERY || process.env['EVAQ_TABLE'] !== undefined) console.log(row(ending, kind, tally));
        expect(tally.changes).toBeGreaterThan(100);
        expect(tally.told + tally.lost + tally.intact + tally.refused).toBe(tally.changes);
        if (kind !== 'cut') expect(tally.refused).toBe(0);
      });
    }

    test('P2, P3, P9: whatever happens to a sector or a file, nothing false is read and nothing is lost without a word', {
      timeout: TIMEOUT_MS,
    }, async () => {
      const tallies = new Map<string, DamageTally>();
      await sufferAll(store, tallies);
      for (const [kind, tally] of tallies) {
        if (EVERY || process.env['EVAQ_TABLE'] !== undefined) console.log(row(ending, kind, tally));
        expect(tally.changes, kind).toBeGreaterThan(0);
      }
      expect([...tallies.keys()].sort()).toEqual(
        ['empty', 'extend', 'misdirect', 'noise', 'remove', 'stale', 'swap', 'unreadable', 'zero'].sort(),
      );
    });
  });
}

function row(ending: string, kind: string, { changes, intact, told, lost, refused }: DamageTally): string {
  return `| ${kind} | ${ending} | ${changes} | ${intact} | ${told} | ${lost} | ${refused} |`;
}
