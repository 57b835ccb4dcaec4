/** A full disk can always be emptied: see `support/full-disk.ts`. That it is found out where it cannot, planted-bugs.test.ts shows. */
import { expect, test } from 'vitest';
import { runFullDisk } from './support/full-disk.js';

const SEEDS = Number(process.env['EVAQ_FULL_DISK_SEEDS'] ?? 25);

test('P1, P2: a store that filled its disk is emptied record by record, through closes, kills and power cuts, and used again', {
  timeout: 600_000,
}, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) await expect(runFullDisk(seed)).resolves.toBeUndefined();
});
