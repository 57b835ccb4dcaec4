/** What limits are made of, part by part, and what their steps cost. */
import { expect, it } from 'vitest';
import { FailStop } from '../../../src/fail-stop.js';
import { PayloadTable } from '../../../src/log/payload-table.js';
import { Dropping } from '../../../src/queue/dropping.js';
import { LimitedPushes } from '../../../src/queue/limited-pushes.js';
import { PushLine, type Verdict } from '../../../src/queue/push-line.js';
import { Waiters } from '../../../src/queue/waiters.js';

it('a table of sizes takes a number a page where all are alike, and forgets what nobody needs', () => {
  const table = new PayloadTable();
  for (let id = 1; id <= 2000; id++) table.note(id, id === 700 ? 5 : 100);
  expect(table.pages).toBe(8);
  expect([table.of(699), table.of(700), table.of(701), table.of(9999)]).toEqual([100, 5, 100, 0]);
  expect(table.sum(1, 2000)).toBe(1999 * 100 + 5);
  expect(table.sum(700, 700)).toBe(5);
  table.forget(1, 1000, (first, last) => first <= 600 && last >= 600);
  expect(table.pages).toBe(5);
  expect(table.of(600)).toBe(100);
  expect(table.of(700)).toBe(5);
});

it('what is leased is passed over once, until it is free: a drop costs what it drops, and the oldest go first', () => {
  const LEASED = 5000;
  const live = new Set(Array.from({ length: 20_000 }, (_, i) => i + 1));
  let steps = 0;
  const leased = new Set(Array.from({ length: LEASED }, (_, i) => i + 1));
  const dropping = new Dropping({
    storeId: 'store',
    queue: 'q',
    dir: '/q',
    log: {
      isLive: (id) => live.has(id),
      firstLive(from) {
        for (let id = Math.max(1, from); id <= 20_000; id++) {
          if (!live.has(id)) continue;
          steps++;
          return id;
        }
        return undefined;
      },
    },
    claims: { isLeased: (id) => leased.has(id) },
    removing: {
      removeMany: (ids) => {
        for (const id of Array.from(ids)) live.delete(id);
        return Promise.resolve(ids.length);
      },
    },
    whenNothingOwed: (action) => action(),
    failure: () => undefined,
    finishing: (body) => body(),
  });
  for (let i = 0; i < 10_000; i++) expect(dropping.dropOldest(() => true)).toBe(true);
  expect(live.has(LEASED)).toBe(true);
  expect(live.size).toBe(10_000);
  expect(steps).toBeLessThan(10_000 + 4 * LEASED);
  expect(dropping.ranges).toEqual([{ first: LEASED + 1, last: LEASED + 10_000 }]);
  // Handed back in any order, one of them removed by its handler, one handled again.
  for (const id of [70, 5, 90, 40, 60]) {
    leased.delete(id);
    if (id === 40) live.delete(id);
    dropping.freed(id);
  }
  leased.add(60);
  for (let i = 0; i < 4; i++) expect(dropping.dropOldest(() => true)).toBe(true);
  expect([5, 40, 60, 70, 90, LEASED + 10_001].map((id) => live.has(id))).toEqual([
    false,
    false,
    true,
    false,
    false,
    false,
  ]);
  expect(steps).toBeLessThan(10_000 + 2 * LEASED);
  expect(dropping.dropOldest(() => false)).toBe(false);
  leased.delete(60);
  dropping.freed(60);
  expect(dropping.dropOldest(() => true)).toBe(true);
  expect(live.has(60)).toBe(false);
});

it('a line lets in from the front, tells those for whom there will be no room, and forgets who was withdrawn', async () => {
  const line = new PushLine();
  const verdicts: Verdict[] = Array.from({ length: 300 }, () => 'wait');
  const told: number[] = [];
  const aborts = verdicts.map(() => new AbortController());
  const all = verdicts.map((_, i) =>
    line
      .wait(
        () => verdicts[i] ?? 'wait',
        () => Promise.resolve(told.push(i)),
        aborts[i]?.signal,
      )
      .catch((error: unknown) => String(error)),
  );
  for (let i = 1; i < 200; i++) aborts[i]?.abort(new Error('never mind'));
  expect(line.size).toBe(101);
  line.grant();
  expect(told).toEqual([]);
  verdicts[0] = 'fits';
  verdicts[200] = { error: new Error('never') };
  verdicts[201] = 'fits';
  verdicts[203] = 'fits';
  line.grant();
  expect(told).toEqual([0, 201]);
  expect(line.size).toBe(98);
  line.rejectAll(new Error('over'));
  const outcomes = await Promise.all(all);
  expect([outcomes[1], outcomes[200], outcomes[202]]).toEqual(['Error: never mind', 'Error: never', 'Error: over']);
  expect(line.size).toBe(0);
});

it('a push that nothing can make room for yet looks through nothing: with many before it, it would at each of them', () => {
  const LIVE = 10_000;
  let looks = 0;
  const dropping = new Dropping({
    storeId: 'store',
    queue: 'q',
    dir: '/q',
    log: {
      isLive: (id) => id <= LIVE,
      firstLive: (from) => {
        looks++;
        return from <= LIVE ? Math.max(1, from) : undefined;
      },
    },
    claims: { isLeased: () => false },
    removing: { removeMany: () => Promise.resolve(0) },
    whenNothingOwed: () => undefined,
    failure: () => undefined,
    finishing: (body) => body(),
  });
  const log = { liveCount: LIVE };
  const pushes = new LimitedPushes({
    queue: 'q',
    commits: {
      push: () => new Promise(() => undefined),
      pushMany: () => new Promise(() => undefined),
      pushSync: () => 1,
      flush: () => Promise.resolve(),
      flushSync: () => undefined,
      nextId: 1,
      lastFailure: undefined,
    },
    limits: { records: 2 * LIVE, bytes: undefined, ageMs: undefined, whenFull: 'drop-oldest' },
    space: undefined,
    log,
    count: { heldRecords: 0, heldBytes: 0, liveBytes: 0, bytesOf: () => 0 },
    dropping,
    host: { soon: (action) => action() },
    failStop: new FailStop(),
    departures: new Waiters(),
    closed: () => undefined,
    hold: () => () => undefined,
  });
  const payloads = (count: number): Buffer[] => Array.from({ length: count }, () => Buffer.alloc(0));
  // All the room there is, on its way in.
  void pushes.pushMany(payloads(LIVE));
  looks = 0;
  void pushes.pushMany(payloads(LIVE + 1));
  expect(pushes.use.waiting).toBe(1);
  expect(looks).toBe(0);
});
