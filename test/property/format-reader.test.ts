/**
 * examples/reader.py, written from FORMAT.md alone, against the engine: record by record, and verdict by verdict, on golden stores, on stores by
 * chance that were closed, killed or lost power, on damaged ones, on some that lie, and beside a writer. `EVAQ_READER_STORES` and
 * `EVAQ_READER_DAMAGES`: how many.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Evaq } from '../../src/evaq.js';
import { evaq as cli } from '../cli/support/evaq-cli.js';
import { runFilledAhead } from './support/filled-ahead.js';
import { unpackGolden } from './support/golden-store.js';
import { lyingStore } from './support/lying-store.js';
import { PythonReader } from './support/python-reader.js';
import { damageOne, readableFiles } from './support/random-damage.js';
import { copyOut, diceOf, ENDINGS, makeRandomStore } from './support/random-store.js';
import { differences, engineView } from './support/reader-comparison.js';

const STORES = Number(process.env['EVAQ_READER_STORES'] ?? 3);
const DAMAGES = Number(process.env['EVAQ_READER_DAMAGES'] ?? 12);
const TIMEOUT_MS = 3_600_000;

/**
 * Seeds of stores that lie, and one in how many numbers does; and such as they differed on: 139 and 244 (a twin of a snapshot with another number), 47 (a damaged
 * commit that claims to be sparse), 64 and 178 (another segment's file in the place of the last).
 */
const LYING = [
  ...Array.from({ length: 44 }, (_, i) => [200 + i, 300] as const),
  ...([139, 244] as const).map((seed) => [seed, 300] as const),
  ...([47, 64, 178] as const).map((seed) => [seed, 100] as const),
  // Rounds out of order and twins that differ; spans of time; an index and footers that tell of what is not there.
  ...([6, 27, 30, 32, 62, 96, 112, 121, 138, 173] as const).map((seed) => [seed, 300] as const),
  ...([97, 150] as const).map((seed) => [seed, 100] as const),
  ...([101, 194] as const).map((seed) => [seed, 700] as const),
  // Commits whose sums hold and whose frames, counts or IDs do not: reading passed over what follows, or took other bytes for records.
  ...([9, 34, 75, 83, 85, 100, 118] as const).map((seed) => [seed, 300] as const),
  ...([14, 41, 63, 70, 72, 73, 84, 102, 111, 118] as const).map((seed) => [seed, 100] as const),
];

const hasPython = PythonReader.isThere;
if (!hasPython) console.log('examples/reader.py is not tested: there is no python3 here');

describe.skipIf(!hasPython)('a reader in Python, written from FORMAT.md alone', () => {
  let python: PythonReader;
  let folder = '';
  beforeAll(() => {
    python = PythonReader.start();
    folder = mkdtempSync(join(tmpdir(), 'evaq-reader-'));
  });
  afterAll(async () => {
    await python.close();
    rmSync(folder, { recursive: true });
  });

  /** Where the two differ. */
  async function compare(dir: string): Promise<string[]> {
    const reader = await python.read(dir);
    return differences(reader, await engineView(dir)).map((one) => one.replaceAll(dir, ''));
  }

  test.each(['v1-clean.txt', 'v1-crashed.txt'])(
    'P3: it sees in %s what records(), cat and verify see',
    async (name) => {
      const dir = join(folder, name);
      unpackGolden(name, dir);
      expect(await compare(dir)).toEqual([]);
      const { records, torn, damage } = await python.read(dir);
      expect(records.length).toBeGreaterThan(4);
      expect(damage).toEqual([]);
      expect(torn.length).toBe(name === 'v1-crashed.txt' ? 1 : 0);
      const { stdout } = await cli(['cat', dir, '--json']);
      const printed = stdout
        .toString()
        .trim()
        .split('\n')
        .map((line): { id: number; time: string } => JSON.parse(line));
      const wal = records.filter(({ queue }) => queue === 'wal');
      expect(printed.map(({ id, time }) => [id, Date.parse(time)])).toEqual(
        wal.map(({ id, timestamp }) => [id, timestamp]),
      );
    },
  );

  test.each(ENDINGS)(
    'P3, P9: it sees what the engine sees in stores by chance: %s',
    { timeout: TIMEOUT_MS },
    async (ending) => {
      let records = 0;
      for (let seed = 1; seed <= STORES; seed++) {
        const dir = join(folder, `${ending}-${seed}`);
        await copyOut(await makeRandomStore(seed, ending), dir);
        expect(await compare(dir), `seed ${seed}`).toEqual([]);
        const view = await python.read(dir);
        records += view.records.length;
        expect(view.damage, `seed ${seed}`).toEqual([]);
      }
      expect(records).toBeGreaterThan(STORES);
    },
  );

  test('P3, P9: it sees what the engine sees in stores with zeros ahead', { timeout: TIMEOUT_MS }, async () => {
    let extensions = 0;
    for (let seed = 1; seed <= STORES; seed++) {
      const dir = join(folder, `filled-${seed}`);
      const filled = await runFilledAhead(seed);
      extensions += filled.extensions;
      await copyOut(filled.disk, dir);
      expect(await compare(dir), `seed ${seed}`).toEqual([]);
      expect((await python.read(dir)).records.length, `seed ${seed}`).toBeGreaterThan(0);
    }
    expect(extensions).toBeGreaterThan(0);
  });

  test.each(ENDINGS)('P9, P15: it judges damage as the engine does: %s', { timeout: TIMEOUT_MS }, async (ending) => {
    let damaged = 0;
    for (let seed = 1; seed <= STORES; seed++) {
      const whole = join(folder, `${ending}-${seed}-whole`);
      await copyOut(await makeRandomStore(seed, ending), whole);
      for (let n = 0; n < DAMAGES; n++) {
        const dir = join(folder, `${ending}-${seed}-${n}`);
        cpSync(whole, dir, { recursive: true });
        const what = damageOne(dir, diceOf(seed * 1000 + n));
        expect(await compare(dir), `seed ${seed}, damage ${n}: ${what}`).toEqual([]);
        damaged += (await python.read(dir)).damage.length;
        rmSync(dir, { recursive: true });
      }
    }
    expect(damaged).toBeGreaterThan(STORES);
  });

  test.each(['dense', 'rewritten'] as const)(
    'P15: it finds in a large damaged commit the records that the engine finds: %s',
    async (kind) => {
      const whole = join(folder, kind);
      const evaq = await Evaq.open(whole, { gc: false });
      await evaq.wal.pushMany(Array.from({ length: 600 }, (_, i) => `record ${i} `.padEnd(20 + (i % 90), 'x')));
      await evaq.wal.push('last');
      await evaq.close();
      if (kind === 'rewritten') {
        const again = await Evaq.open(whole, { gc: false });
        await again.wal.removeMany(Array.from({ length: 400 }, (_, i) => 1 + i + Math.floor(i / 2)));
        await again.wal.compact();
        await again.close();
      }
      const dice = diceOf(7);
      let lost = 0;
      for (let n = 0; n < DAMAGES; n++) {
        const dir = join(folder, `${kind}-${n}`);
        cpSync(whole, dir, { recursive: true });
        const path = readableFiles(dir).find((one) => one.includes('/wal/') && one.endsWith('.seg')) ?? '';
        const bytes = readFileSync(path);
        // The footer stays.
        const used = bytes.length - 2000;
        if (n % 3 === 0) bytes.fill(0, 128, 176);
        for (let holes = 1 + dice(3); holes > 0; holes--) {
          const at = 176 + dice(used - 176);
          bytes.fill(dice(2) === 0 ? 0 : 0xab, at, Math.min(used, at + 1 + dice(600)));
        }
        writeFileSync(path, bytes);
        expect(await compare(dir), `damage ${n}`).toEqual([]);
        const view = await python.read(dir);
        lost += view.lost.length;
        expect(view.records.length, `damage ${n}`).toBeGreaterThan(50);
        rmSync(dir, { recursive: true });
      }
      expect(lost).toBeGreaterThan(DAMAGES / 2);
    },
  );

  test('P9, P15: it judges numbers that lie under right checksums as the engine does', {
    timeout: TIMEOUT_MS,
  }, async () => {
    let damaged = 0;
    for (const [seed, rate] of LYING) {
      const dir = join(folder, `lies-${seed}`);
      for (const [path, bytes] of lyingStore(diceOf(seed), rate).files) {
        mkdirSync(dirname(join(dir, path)), { recursive: true });
        writeFileSync(join(dir, path), bytes);
      }
      expect(await compare(dir), `seed ${seed}`).toEqual([]);
      damaged += (await python.read(dir)).damage.length;
      rmSync(dir, { recursive: true });
    }
    expect(damaged).toBeGreaterThan(20);
  });

  test('beside a writer it reads what was acknowledged, nothing else, and takes nothing for damage', async () => {
    const dir = join(folder, 'live');
    const evaq = await Evaq.open(dir, { segmentBytes: 65_536 });
    const live = new Map<number, string>();
    for (let round = 0; round < 12; round++) {
      const texts = Array.from({ length: 20 }, (_, i) => `${round} ${i} `.padEnd(round * 100, 'x'));
      const { firstId } = await evaq.wal.pushMany(texts);
      for (const [i, text] of texts.entries()) live.set(firstId + i, text);
      const gone = [...live.keys()].filter((id) => id % 3 === round % 3);
      await evaq.wal.removeMany(gone);
      for (const id of gone) live.delete(id);
      // Under way while it reads: there or not, and never torn or damaged.
      const late = [evaq.wal.push('late'), evaq.deadLetters.push('late')] as const;
      const view = await python.read(dir, true);
      expect(view.damage).toEqual([]);
      expect(view.torn).toEqual([]);
      const lateId = await late[0];
      await late[1];
      const seen = new Map(view.records.filter(({ queue }) => queue === 'wal').map(({ id, payload }) => [id, payload]));
      for (const [id, text] of live) expect(seen.get(id), `record ${id}`).toBe(Buffer.from(text).toString('base64'));
      for (const id of seen.keys()) expect(live.has(id) || id === lateId, `record ${id}`).toBe(true);
      live.set(lateId, 'late');
    }
    await evaq.close();
    expect(await compare(dir)).toEqual([]);
  });

  test('a record, a loss or a verdict that one of them has not is seen', async () => {
    const dir = join(folder, 'compared');
    unpackGolden('v1-crashed.txt', dir);
    const engine = await engineView(dir);
    const reader = await python.read(dir);
    const place = { queue: 'wal', file: `${dir}/queues/wal/x.seg`, offset: 3, bytes: 4, what: '', lossless: false };
    const views = [
      { ...reader, records: reader.records.slice(1) },
      { ...reader, records: reader.records.map((one) => ({ ...one, timestamp: one.timestamp + 1 })) },
      { ...reader, torn: [] },
      { ...reader, damage: [place] },
      { ...reader, lost: [{ queue: 'wal', firstId: 9, lastId: 9 }] },
    ];
    for (const view of views) expect(differences(view, engine)).not.toEqual([]);
    const report = { ...engine.report, damage: [place] };
    expect(differences(reader, { ...engine, report })).not.toEqual([]);
    expect(differences(reader, engine)).toEqual([]);
  });
});
