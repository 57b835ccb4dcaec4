/** The grammar of selections, and what of a queue it means. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDuration, parseTime } from '../../../src/cli/selection/point-in-time.js';
import { parsePosition } from '../../../src/cli/selection/position.js';
import { queuesMeant } from '../../../src/cli/selection/queue-names.js';
import { segmentRange } from '../../../src/cli/selection/segment-range.js';
import { type SelectedFrom, selectedRecords } from '../../../src/cli/selection/selected-records.js';
import { isSelected, isSelective, type SelectionFlags, selectionOf } from '../../../src/cli/selection/selection.js';
import { lastRecords } from '../../../src/cli/tail/last-records.js';
import type { QueueRecord } from '../../../src/log/queue-record.js';

const NOW = Date.UTC(2026, 10, 1, 12);

describe('moments and positions', () => {
  it.each([
    ['90s', 90_000],
    ['1h30m', 5_400_000],
    ['1.5d', 129_600_000],
    ['250ms', 250],
    ['2w', 14 * 86_400_000],
  ])('%s is a duration', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
    expect(parseTime(text, NOW)).toBe(NOW - ms);
    expect(parseTime(`-${text}`, NOW)).toBe(NOW - ms);
  });

  it.each(['', '5', 'm', '5 m', '5y', '-', '1h30', '1..5s'])('%j is no duration', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });

  it.each([
    ['now', NOW],
    ['2026-11-01T10:00Z', Date.UTC(2026, 10, 1, 10)],
    ['2026-11-01 10:00:30.250+02:00', Date.UTC(2026, 10, 1, 8, 0, 30, 250)],
    ['2026-11-01', new Date(2026, 10, 1).getTime()],
    ['2026-11-01T10:00', new Date(2026, 10, 1, 10).getTime()],
    ['1793527200.5', 1_793_527_200_500],
  ])('%s is a moment', (text, ms) => {
    expect(parseTime(text, NOW)).toBe(ms);
  });

  it.each([
    '',
    'yesterday',
    '2026-13-01',
    '2026-02-31',
    '2026-02-29',
    '2026-04-31T10:00Z',
    '2026-11-00',
    '2026-11-01T25:00',
    '11/01/2026',
    'Nov 1 2026',
  ])('%j is no moment', (text) => {
    expect(parseTime(text, NOW)).toBeUndefined();
  });

  it.each([
    ['17', { kind: 'id', id: 17 }],
    ['-10', { kind: 'from-end', count: 10 }],
    ['first', { kind: 'first' }],
    ['last', { kind: 'from-end', count: 1 }],
    ['@-15m', { kind: 'time', ms: NOW - 900_000 }],
    ['@2026-11-01T10:00Z', { kind: 'time', ms: Date.UTC(2026, 10, 1, 10) }],
    ['-0', undefined],
    ['1.5', undefined],
    ['@', undefined],
    ['@2026-02-31', undefined],
    ['newest', undefined],
    ['99999999999999999999', undefined],
  ])('%s is %j', (text, position) => {
    expect(parsePosition(text, NOW)).toEqual(position);
  });
});

describe('queues', () => {
  const there = ['a.b', 'axb', 'dead-letters', 'wal'];

  it('are meant by name or pattern, each once, in the order of the naming', () => {
    expect(queuesMeant(['wal', '*'], there)).toEqual(['wal', 'a.b', 'axb', 'dead-letters']);
    expect(queuesMeant(['a.*'], there)).toEqual(['a.b']);
    expect(() => queuesMeant(['wal', 'x*'], there)).toThrow("there is no queue 'x*'");
    expect(() => queuesMeant(['axc'], there)).toThrow(expect.objectContaining({ code: 'EVAQ_QUEUE_NAME' }));
  });
});

function record(id: number, timestamp: number, more: Partial<QueueRecord> = {}): QueueRecord {
  return Object.assign({ id, timestamp, payload: Buffer.from(`text ${id}`) }, more);
}

describe('what a record is held against', () => {
  it('all that is asked has to be so', () => {
    const one = record(1, 50, { headers: { type: 'x', empty: '' }, reason: 'no route' });
    const is = (flags: SelectionFlags): boolean => isSelected(one, selectionOf(flags));
    expect(is({})).toBe(true);
    expect([is({ since: 50, until: 50 }), is({ since: 51 }), is({ until: 49 })]).toEqual([true, false, false]);
    expect(is({ from: { kind: 'time', ms: 51 }, since: 0 })).toBe(false);
    expect(is({ to: { kind: 'time', ms: 49 } })).toBe(false);
    expect([is({ grep: /text 1$/u }), is({ grep: /text 2/u })]).toEqual([true, false]);
    expect(
      is({
        header: [
          { name: 'type', value: 'x' },
          { name: 'empty', value: undefined },
        ],
      }),
    ).toBe(true);
    expect(is({ header: [{ name: 'type', value: 'y' }] })).toBe(false);
    expect(is({ header: [{ name: 'toString', value: undefined }] })).toBe(false);
    expect([is({ reason: 'no route' }), is({ reason: 'no' })]).toEqual([true, false]);
  });

  it('says whether a range of IDs is all there is to it', () => {
    expect(isSelective(selectionOf({ from: { kind: 'id', id: 5 }, count: 2 }))).toBe(false);
    expect(isSelective(selectionOf({ to: { kind: 'time', ms: 5 } }))).toBe(true);
    expect(isSelective(selectionOf({ reason: 'x' }))).toBe(true);
  });
});

/** A queue in memory whose ranges of time are as coarse as they may be. */
function queueOf(records: readonly QueueRecord[], read: number[] = []): SelectedFrom {
  return {
    idFromEnd: (count) => Promise.resolve((records.at(-count) ?? records[0])?.id),
    rangesWithin: ({ sinceMs, untilMs }) => {
      const held = records.filter(({ timestamp }) => timestamp >= sinceMs && timestamp <= untilMs);
      return Promise.resolve(held.map(({ id }) => ({ first: id - 1, last: id })));
    },
    batches: async function* ({ from = 0, to = Infinity } = {}) {
      for (const one of records) {
        if (one.id < from || one.id > to) continue;
        read.push(one.id);
        yield await Promise.resolve([one]);
      }
    },
  };
}

async function idsOf(queue: SelectedFrom, flags: SelectionFlags): Promise<number[]> {
  const ids: number[] = [];
  for await (const { id } of selectedRecords(queue, selectionOf(flags))) ids.push(id);
  return ids;
}

describe('the records of a queue', () => {
  const all = [10, 20, 30, 40, 50].map((id) => record(id, id * 1000));

  it.each<[string, SelectionFlags, number[]]>([
    ['everything', {}, [10, 20, 30, 40, 50]],
    ['IDs that are not there', { from: { kind: 'id', id: 15 }, to: { kind: 'id', id: 41 } }, [20, 30, 40]],
    ['from the end', { from: { kind: 'from-end', count: 2 } }, [40, 50]],
    ['more from the end than there are', { from: { kind: 'from-end', count: 9 } }, [10, 20, 30, 40, 50]],
    ['up to one from the end', { to: { kind: 'from-end', count: 4 } }, [10, 20]],
    ['up to the first one from the end', { to: { kind: 'from-end', count: 5 } }, [10]],
    ['up to one that would stand in front of the first', { to: { kind: 'from-end', count: 6 } }, []],
    ['the first', { to: { kind: 'first' } }, [10]],
    ['the last', { from: { kind: 'from-end', count: 1 }, to: { kind: 'from-end', count: 1 } }, [50]],
    ['nothing', { from: { kind: 'id', id: 51 } }, []],
    ['so many', { count: 2, grep: /[^2]0$/u }, [10, 30]],
    ['times', { since: 20_000, until: 30_000 }, [20, 30]],
    ['times and places', { since: 20_000, to: { kind: 'id', id: 20 } }, [20]],
  ])('%s', async (_what, flags, ids) => {
    expect(await idsOf(queueOf(all), flags)).toEqual(ids);
  });

  it('of an empty one there are none, wherever they are asked for', async () => {
    expect(await idsOf(queueOf([]), { from: { kind: 'from-end', count: 3 }, to: { kind: 'first' } })).toEqual([]);
  });

  it('what is of another time is not read', async () => {
    const read: number[] = [];
    expect(await idsOf(queueOf(all, read), { since: 50_000 })).toEqual([50]);
    expect(read).toEqual([50]);
  });

  it('are those that a list says, whatever is asked', async () => {
    const place = fc.oneof(
      fc.record({ kind: fc.constant('id' as const), id: fc.nat(60) }),
      fc.record({ kind: fc.constant('from-end' as const), count: fc.integer({ min: 1, max: 8 }) }),
      fc.record({ kind: fc.constant('first' as const) }),
      fc.record({ kind: fc.constant('time' as const), ms: fc.nat(60_000) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.option(place), fc.option(place), fc.option(fc.nat(3)), async (from, to, count) => {
        const flags = {
          ...(from === null ? {} : { from }),
          ...(to === null ? {} : { to }),
          ...(count === null ? {} : { count }),
        };
        const idAt = (one: NonNullable<typeof from>, end: number): number => {
          if (one.kind === 'id') return one.id;
          if (end === 99 && one.kind === 'from-end' && one.count > all.length) return 0;
          if (one.kind === 'first') return 10;
          return one.kind === 'time' ? end : ((all.at(-one.count) ?? all[0])?.id ?? 0);
        };
        const expected = all.filter(({ id, timestamp }) => {
          if (from?.kind === 'time' && timestamp < from.ms) return false;
          if (to?.kind === 'time' && timestamp > to.ms) return false;
          return id >= (from === null ? 0 : idAt(from, 0)) && id <= (to === null ? 99 : idAt(to, 99));
        });
        expect(await idsOf(queueOf(all), flags)).toEqual(expected.slice(0, count ?? 9).map(({ id }) => id));
      }),
    );
  });
});

describe('places in a file by itself', () => {
  const segment = {
    records: async function* () {
      for (const id of [3, 5, 9]) {
        yield await Promise.resolve({
          valid: true as const,
          record: Object.assign(record(id, 0), { offset: 0, bytes: 1 }),
        });
      }
    },
  };

  it.each<[SelectionFlags, number, number]>([
    [{}, 0, Number.MAX_SAFE_INTEGER],
    [{ from: { kind: 'id', id: 4 }, to: { kind: 'id', id: 6 } }, 4, 6],
    [{ from: { kind: 'from-end', count: 2 } }, 5, Number.MAX_SAFE_INTEGER],
    [{ from: { kind: 'from-end', count: 7 }, to: { kind: 'first' } }, 3, 3],
    [{ to: { kind: 'from-end', count: 1 } }, 0, 9],
    [{ to: { kind: 'from-end', count: 3 } }, 0, 3],
    [{ to: { kind: 'from-end', count: 4 } }, 0, 0],
  ])('%j', async (flags, first, last) => {
    expect(await segmentRange(segment, selectionOf(flags))).toEqual({ first, last });
  });
});

describe('the last records', () => {
  it('of a queue that is emptied between two looks are none', async () => {
    let looks = 0;
    const queue: SelectedFrom = {
      idFromEnd: () => Promise.resolve(looks++ === 0 ? 5 : undefined),
      rangesWithin: () => Promise.resolve([]),
      batches: async function* () {},
    };
    expect(await queue.idFromEnd(1)).toBe(5);
    expect(await lastRecords(queue, selectionOf({}), 10, 200_000)).toEqual([]);
    expect(looks).toBeLessThan(5);
  });

  it('of one whose end is taken in front of the last that was seen are the ones that are left', async () => {
    // Of 1 to 9 the last three were removed after the look at the end.
    const queue = queueOf([1, 2, 3, 4, 5, 6].map((id) => record(id, id)));
    const last = await lastRecords(queue, selectionOf({}), 2, 9);
    expect(last.map(({ id }) => id)).toEqual([5, 6]);
  });
});
