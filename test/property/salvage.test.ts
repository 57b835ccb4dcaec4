/** P15: what any reader can read survives a repair and an open, and what cannot be read is named, by all alike. `EVAQ_SALVAGE` says how many seeds. */
import { beforeAll, describe, expect, test } from 'vitest';
import { checkSalvage, damageOf, makeSalvagedStore, type SalvagedStore } from './support/salvaged-store.js';

const SEEDS = Number(process.env['EVAQ_SALVAGE'] ?? 12);
const FIRST = Number(process.env['EVAQ_SALVAGE_FROM'] ?? 1);

for (const ending of ['closed', 'killed'] as const) {
  describe(`a store whose writer ${ending === 'closed' ? 'closed it' : 'was killed'}, and something in it damaged`, () => {
    let store: SalvagedStore;
    beforeAll(async () => {
      store = await makeSalvagedStore(ending);
    });

    test('P15: what a reader can read is there after a repair and an open, and what it cannot is named by all', {
      timeout: 600_000,
    }, async () => {
      const failures: string[] = [];
      let lost = 0;
      for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
        const damage = damageOf(store, seed);
        try {
          lost += await checkSalvage(store, damage);
        } catch (error) {
          failures.push(
            `seed ${seed} ${JSON.stringify(damage, (_, one: unknown) => (one instanceof Uint8Array ? one.length : one))}: ${error instanceof Error ? error.message : String(error)}`,
          );
        }
      }
      expect(failures.join('\n')).toBe('');
      expect(lost).toBeGreaterThan(0);
    });
  });
}
