/** Segment files that somebody took away: closed and killed stores, by readers, verify and open. */
import { cpSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Evaq, EvaqError } from '../../../src/evaq.js';
import { surveyRepair } from '../../../src/raw/repair-survey.js';
import { verifyStore } from '../../../src/raw.js';
import { newPath, openReal, rejection } from '../store/store-fixture.js';
import { segmentsOf } from './support/disk.js';

const OPTIONS = { segmentBytes: 64 * 1024, gc: false } as const;
const PER_SEGMENT = 20;

interface Made {
  readonly path: string;
  /** Segments that hold records, in order; PER_SEGMENT records each, from ID 1 on. */
  readonly files: readonly string[];
}

/** Six segments of records, with a few removed and the third one gone by itself; closed, or as a kill leaves it. */
async function make(how: 'closed' | 'killed'): Promise<Made> {
  const evaq = await openReal(OPTIONS);
  for (let i = 0; i < 6; i++) {
    await evaq.wal.pushMany(Array.from({ length: PER_SEGMENT }, () => Buffer.alloc(4000)));
  }
  await evaq.wal.removeMany([7, 8, 25, 120]);
  let path = evaq.path;
  if (how === 'closed') await evaq.close();
  else {
    path = newPath();
    cpSync(evaq.path, path, { recursive: true });
  }
  return { path, files: segmentsOf(path).slice(0, 6) };
}

async function readAll(
  path: string,
  onCorruption: 'fail' | 'quarantine' = 'fail',
): Promise<{ ids: number[]; error: EvaqError | undefined }> {
  await using reader = await Evaq.openReadOnly(path, { onCorruption });
  const ids: number[] = [];
  try {
    for await (const { id } of reader.wal.records()) ids.push(id);
  } catch (error) {
    if (error instanceof EvaqError) return { ids, error };
    throw error;
  }
  return { ids, error: undefined };
}

function live(but: readonly number[] = []): number[] {
  const gone = new Set([7, 8, 25, 120, ...but]);
  return Array.from({ length: 6 * PER_SEGMENT }, (_, i) => i + 1).filter((id) => !gone.has(id));
}

function idsOfSegment(at: number): number[] {
  return Array.from({ length: PER_SEGMENT }, (_, i) => at * PER_SEGMENT + i + 1);
}

describe.each(['closed', 'killed'] as const)('a segment file of a store that was %s is gone', (how) => {
  it.each([0, 1, 3, 5])(
    'P9: number %i: a reader stops there, verify and repair name its records, open refuses',
    async (at) => {
      const { path, files } = await make(how);
      expect((await readAll(path)).ids).toEqual(live());
      rmSync(files[at] ?? '');
      const lost = idsOfSegment(at).filter((id) => live().includes(id));
      const { ids, error } = await readAll(path);
      expect(error).toMatchObject({ code: 'EVAQ_CORRUPT', details: { id: lost[0] } });
      expect(ids).toEqual(live().filter((id) => id < (lost[0] ?? 0)));
      expect((await readAll(path, 'quarantine')).ids).toEqual(live(lost));
      const { damage } = await verifyStore(path);
      for (const id of lost)
        expect(damage.some(({ firstId = Infinity, lastId = -1 }) => firstId <= id && id <= lastId)).toBe(true);
      const { plan } = await surveyRepair(path);
      const named = plan.lost.flatMap(({ first, last }) =>
        Array.from({ length: last - first + 1 }, (_, i) => first + i),
      );
      expect(named).toEqual(lost);
      await rejection(Evaq.open(path), 'EVAQ_CORRUPT');
      const opened = await openReal({ onCorruption: 'quarantine' }, path);
      expect(opened.wal.size).toBe(live(lost).length);
      await opened.close();
      // It has been said, and is known from then on.
      expect((await verifyStore(path)).damage).toEqual([]);
      expect((await readAll(path)).ids).toEqual(live(lost));
    },
  );

  it('a segment that went by itself, with all its records, is not missed', async () => {
    const { path } = await make(how);
    const evaq = await openReal({ ...OPTIONS }, path);
    await evaq.wal.removeMany(idsOfSegment(2));
    await evaq.wal.removeMany(idsOfSegment(0));
    await evaq.wal.compact();
    const killed = newPath();
    cpSync(path, killed, { recursive: true });
    await evaq.close();
    for (const store of [path, killed]) {
      expect(
        segmentsOf(store)
          .map((file) => basename(file))
          .some((name) => name.startsWith('00000000000000000041')),
      ).toBe(false);
      expect((await verifyStore(store)).damage).toEqual([]);
      expect((await readAll(store)).error).toBeUndefined();
      await (await openReal({}, store)).close();
    }
  });
});

describe('a segment file is gone, and older ones went by themselves', () => {
  it('P9: what was removed and dropped before, in another generation of the log, is not taken for lost; what was in it is, and nothing else', async () => {
    const { path } = await make('closed');
    const evaq = await openReal(OPTIONS, path);
    await evaq.wal.removeThrough(2 * PER_SEGMENT);
    await evaq.wal.compact();
    await evaq.close();
    // A new generation of the tombstone log.
    await (await openReal(OPTIONS, path)).close();
    const [, third = ''] = segmentsOf(path);
    rmSync(third);
    const { ids, error } = await readAll(path);
    const lost = idsOfSegment(3);
    expect(ids).toEqual(idsOfSegment(2));
    expect(error).toMatchObject({ code: 'EVAQ_CORRUPT', details: { id: lost[0], lastId: lost.at(-1) } });
    const { damage } = await verifyStore(path);
    expect(damage.map(({ firstId, lastId }) => [firstId, lastId])).toEqual([[lost[0], lost.at(-1)]]);
    await using reader = await Evaq.openReadOnly(path);
    await rejection(reader.wal.get(lost[0] ?? 0), 'EVAQ_CORRUPT');
    // Whoever goes on behind is not told again.
    const { lastId = 0 } = error?.details ?? {};
    expect((await reader.wal.read({ from: lastId + 1 }))[0]?.id).toBe(lastId + 1);
  });

  it('P9: of a queue whose only segment is gone a reader is not silent', async () => {
    const evaq = await openReal();
    await evaq.wal.pushMany(['a', 'b']);
    await evaq.close();
    for (const file of segmentsOf(evaq.path)) rmSync(file);
    expect((await readAll(evaq.path)).error).toMatchObject({ code: 'EVAQ_CORRUPT', details: { id: 1, lastId: 2 } });
    expect((await readAll(evaq.path, 'quarantine')).error).toBeUndefined();
  });
});
