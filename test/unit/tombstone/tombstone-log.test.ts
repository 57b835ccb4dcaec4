import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  COMMIT_HEADER_BYTES,
  type CommitHeader,
  commitBodyCrc,
  decodeCommitHeader,
  encodeCommitHeader,
  newCommitHeader,
} from '../../../src/frame/commit-header.js';
import { CommitScanner } from '../../../src/frame/commit-scanner.js';
import { encodeFileHeader, FILE_HEADER_BYTES } from '../../../src/frame/file-header.js';
import type { IdRange } from '../../../src/ids.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { mergeRanges } from '../../../src/tombstone/id-ranges.js';
import {
  decodeRound,
  encodeRound,
  KIND_CLOSE,
  KIND_REMOVALS,
  KIND_SNAPSHOT,
  type RoundStatement,
} from '../../../src/tombstone/tombstone-frame.js';
import { TombstoneLog } from '../../../src/tombstone/tombstone-log.js';
import {
  parseTombstoneFileName,
  queueMark,
  tombstoneFileName,
  unfinishedTombstoneFileName,
} from '../../../src/tombstone/tombstone-name.js';
import {
  newTombstoneState,
  scanRounds,
  scanTombstones,
  type TombstoneState,
} from '../../../src/tombstone/tombstone-scan.js';
import { MemorySource, SEED } from '../frame/commit-fixture.js';

const DIR = '/queue';
const UUID = Buffer.alloc(16, 3);

function statement(round: number, more: Partial<RoundStatement> = {}): RoundStatement {
  const said = {
    kind: KIND_REMOVALS,
    round,
    nextId: 100 + round,
    dataSegmentId: 5,
    dataOffset: 1000 * round,
    sealedBelow: 4,
    segmentIdMax: 6,
    liveRecords: 0,
    hasIntake: false,
    timestamp: 1_700_000_000_000,
    ...more,
  };
  // The sixth number is one or the other.
  return said.kind === KIND_REMOVALS
    ? { ...said, liveRecords: 0, accountedBelow: more.accountedBelow ?? 90 + round }
    : { ...said, accountedBelow: said.nextId };
}

/** A whole snapshot of nothing, as a log begins with. */
function snapshotRound(): Buffer {
  return encodeRound(statement(1, { kind: KIND_SNAPSHOT, liveRecords: 1 }), [], SEED, 0, 0);
}

interface Scanned {
  readonly state: TombstoneState;
  readonly removed: readonly IdRange[];
}

async function scanBytes(bytes: Buffer): Promise<Scanned> {
  const removed: IdRange[] = [];
  const state = newTombstoneState();
  const scanner = new CommitScanner(new MemorySource(bytes), SEED, 0, bytes.length, 'resync');
  await scanRounds(scanner, state, (first, last) => removed.push({ first, last }));
  return { state, removed: mergeRanges(removed) };
}

const id = fc.oneof(fc.nat(10_000), fc.integer({ min: 2 ** 40, max: 2 ** 40 + 1000 }));
const ranges = fc
  .array(
    fc.tuple(id, fc.nat(50)).map(([first, more]) => ({ first, last: first + more })),
    { minLength: 1, maxLength: 20 },
  )
  .map(mergeRanges);

describe('a round of removals', () => {
  it('P2: comes back with all that it says, from either of its copies', async () => {
    await fc.assert(
      fc.asyncProperty(ranges, fc.constantFrom(KIND_SNAPSHOT, KIND_REMOVALS, KIND_CLOSE), async (given, kind) => {
        const said = statement(2 ** 33, { kind, liveRecords: 2 ** 34, nextId: Number.MAX_SAFE_INTEGER });
        const bytes = encodeRound(said, given, SEED, 0, 512);
        const scanner = new CommitScanner(new MemorySource(bytes), SEED, 0, bytes.length, 'resync');
        for (let copy = 0; copy < 2; copy++) {
          expect(await scanner.next()).toBe('commit');
          const seen: IdRange[] = [];
          const read = decodeRound(scanner.header, scanner.buffer, scanner.bodyAt, (first, last) =>
            seen.push({ first, last }),
          );
          expect(read).toEqual(said);
          expect(seen).toEqual(given);
          expect(scanner.header.durableOffset).toBe(512);
        }
        expect(await scanner.next()).toBe('end');
      }),
      { numRuns: 200 },
    );
  });

  it.each<[string, Partial<CommitHeader>, number]>([
    ['its ranges end early', {}, 0xff],
    ['something stands behind its ranges', { count: 1 }, 0],
    ['no round can have its number', { firstId: 2 ** 50 + 1 }, 0],
  ])(
    'P9: one whose checksums hold and that cannot be is a bad range, and removes nothing: %s',
    async (_, lie, lastByte) => {
      const given = [
        { first: 3, last: 9 },
        { first: 20, last: 20 },
      ];
      const front = snapshotRound();
      const round = encodeRound(statement(2), given, SEED, front.length, 0).subarray(0, COMMIT_HEADER_BYTES + 48 + 4);
      const bytes = Buffer.concat([front, round]);
      expect((await scanBytes(bytes)).removed).toEqual(given);
      const header = newCommitHeader();
      expect(decodeCommitHeader(bytes, front.length, SEED, front.length, header)).toBe(true);
      const body = bytes.subarray(front.length + COMMIT_HEADER_BYTES);
      body[51] = lastByte;
      Object.assign(header, lie, { bodyCrc: commitBodyCrc(body, SEED, front.length) });
      encodeCommitHeader(bytes, front.length, SEED, front.length, header);
      const { state, removed } = await scanBytes(bytes);
      expect(removed).toEqual([]);
      expect(state.round).toBe(1);
      expect(state.damaged).toMatchObject([{ offset: front.length, headerIntact: true }]);
    },
  );

  it('ten thousand consecutive IDs cost tens of bytes', () => {
    const bytes = encodeRound(statement(1), [{ first: 1_000_000, last: 1_009_999 }], SEED, 0, 0);
    expect(bytes.length).toBeLessThan(2 * (COMMIT_HEADER_BYTES + 48 + 8));
  });

  it('P2: any flipped bit is survived by its twin, and seen', async () => {
    const rounds = [
      [{ first: 3, last: 9 }],
      [
        { first: 20, last: 20 },
        { first: 2 ** 40, last: 2 ** 40 + 5 },
      ],
      [{ first: 50, last: 60 }],
    ];
    let intact = snapshotRound();
    const front = intact.length;
    for (const [i, given] of rounds.entries()) {
      intact = Buffer.concat([intact, encodeRound(statement(i + 2), given, SEED, intact.length, 0)]);
    }
    for (let bit = 0; bit < intact.length * 8; bit += bit < front * 8 ? 5 : 1) {
      const bytes = Buffer.from(intact);
      bytes[bit >>> 3] = (bytes[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
      const { state, removed } = await scanBytes(bytes);
      expect(removed).toEqual(mergeRanges(rounds.flat()));
      expect(state.damaged.length).toBe(1);
      expect(state).toMatchObject({ missingRounds: 0, round: 4, nextId: 104 });
    }
  });

  it('P9: with both copies lost the round is missed, and the rest is read', async () => {
    let bytes = snapshotRound();
    const starts: number[] = [];
    for (let round = 2; round <= 5; round++) {
      starts.push(bytes.length);
      const given = [{ first: round * 10, last: round * 10 }];
      bytes = Buffer.concat([bytes, encodeRound(statement(round), given, SEED, bytes.length, 0)]);
    }
    for (const broken of [0, 1, 2]) {
      const damaged = Buffer.from(bytes);
      damaged.fill(0, starts[broken], starts[broken + 1]);
      const { state, removed } = await scanBytes(damaged);
      expect(removed.map(({ first }) => first / 10)).toEqual([2, 3, 4, 5].filter((round) => round !== broken + 2));
      expect(state.missingRounds).toBe(1);
      expect(state.damaged).toHaveLength(1);
    }
  });

  it('P9: a part of a snapshot that is lost is missed, wherever it stood', async () => {
    for (let broken = 0; broken < 3; broken++) {
      let bytes = Buffer.alloc(0);
      let from = 0;
      let to = 0;
      for (let part = 0; part < 3; part++) {
        // The number of the part, and whether it is the last.
        const said = statement(1, { kind: KIND_SNAPSHOT, liveRecords: 2 * part + (part === 2 ? 1 : 0) });
        if (part === broken) from = bytes.length;
        bytes = Buffer.concat([bytes, encodeRound(said, [{ first: part, last: part }], SEED, bytes.length, 0)]);
        if (part === broken) to = bytes.length;
      }
      bytes = Buffer.concat([bytes, encodeRound(statement(2), [{ first: 9, last: 9 }], SEED, bytes.length, 0)]);
      expect((await scanBytes(bytes)).state.missingRounds).toBe(0);
      bytes.fill(0, from, to);
      expect((await scanBytes(bytes)).state.missingRounds).toBe(1);
    }
  });

  it('P9: parts of a snapshot that have not all the same number contradict each other: rounds may be missing', async () => {
    for (const [first, second] of [
      [1, 2 ** 40],
      [2 ** 40, 1],
    ] as const) {
      const part = { kind: KIND_SNAPSHOT, liveRecords: 1 };
      const front = encodeRound(statement(first, part), [], SEED, 0, 0);
      const bytes = Buffer.concat([front, encodeRound(statement(second, part), [], SEED, front.length, 0)]);
      expect((await scanBytes(bytes)).state.missingRounds).toBe(1);
    }
  });

  it('a body that is no round is damage, whatever its checksum says', async () => {
    const bytes = encodeRound(statement(1, { kind: 99 }), [], SEED, 0, 0);
    const { state, removed } = await scanBytes(bytes);
    expect(removed).toEqual([]);
    expect(state.damaged).toHaveLength(2);
    expect(state.round).toBe(0);
  });
});

describe('the state of a tombstone log', () => {
  it('adds up: what only grows is the highest, the last word is the last', async () => {
    const rounds: [RoundStatement, IdRange[]][] = [
      [
        statement(1, { kind: KIND_SNAPSHOT, liveRecords: 1, nextId: 500, dataSegmentId: 4, dataOffset: 70 }),
        [{ first: 1, last: 2 }],
      ],
      [statement(2, { nextId: 400, sealedBelow: 9, segmentIdMax: 3 }), [{ first: 3, last: 3 }]],
      [statement(3, { dataOffset: 900, sealedBelow: 2, segmentIdMax: 12 }), []],
    ];
    let bytes = Buffer.alloc(0);
    for (const [said, given] of rounds)
      bytes = Buffer.concat([bytes, encodeRound(said, given, SEED, bytes.length, bytes.length)]);
    const { state, removed } = await scanBytes(bytes);
    expect(removed).toEqual([{ first: 1, last: 3 }]);
    expect(state).toMatchObject({
      round: 3,
      nextId: 500,
      accountedBelow: 500,
      dataSegmentId: 5,
      sealedBelow: 9,
      segmentIdMax: 12,
      closedWithLive: undefined,
      missingRounds: 0,
    });
    expect([...state.durableData]).toEqual([
      [4, 70],
      [5, 2000],
    ]);
    const closed = Buffer.concat([
      bytes,
      encodeRound(statement(4, { kind: KIND_CLOSE, liveRecords: 17 }), [], SEED, bytes.length, 0),
    ]);
    expect((await scanBytes(closed)).state.closedWithLive).toBe(17);
    const reopened = Buffer.concat([closed, encodeRound(statement(5), [], SEED, closed.length, 0)]);
    expect((await scanBytes(reopened)).state.closedWithLive).toBeUndefined();
  });
});

describe('the name of a tombstone log', () => {
  it('P9: its mark tells queues apart, and nothing else: by the name of their folder', () => {
    const mark = queueMark('/srv/store/queues/wal/0000000000000001.tomb');
    expect(queueMark('/srv/store/queues/dead-letters/0000000000000001.tomb')).not.toBe(mark);
    expect(queueMark('/elsewhere/queues/wal/0000000000000002.tomb.tmp')).toBe(mark);
  });

  it('is padded and comes back', () => {
    expect(tombstoneFileName(1)).toBe('0000000000000001.tomb');
    expect(parseTombstoneFileName(tombstoneFileName(2 ** 40))).toEqual({ kind: 'log', generation: 2 ** 40 });
    expect(parseTombstoneFileName(unfinishedTombstoneFileName(7))).toEqual({ kind: 'unfinished', generation: 7 });
  });

  it.each([
    '1.tomb',
    '000000000000000A.tomb',
    '0000000000000001.tomb.bak',
    'ffffffffffffffff.tomb',
    '0000000000000001.free',
    '',
  ])('a foreign name is none of ours: %j', (name) => expect(parseTombstoneFileName(name)).toBeUndefined());
});

interface OpenLog {
  readonly disk: SimDisk;
  readonly log: TombstoneLog;
}

async function openLog(snapshot: readonly IdRange[] = [], disk: SimDisk = newDisk(), generation = 1): Promise<OpenLog> {
  const source = { vfs: disk.vfs, dir: DIR, storeUuid: UUID, generation, salt: 9, nowMs: 5 };
  const log = await TombstoneLog.create(source, statement(1), snapshot, () => disk.host.yield());
  return { disk, log };
}

function newDisk(): SimDisk {
  const disk = new SimDisk({ seed: 1, timing: 'steady', fill: 'zeros' });
  disk.place(`${DIR}/foreign.txt`, Buffer.from('mine'));
  return disk;
}

async function removedIn(disk: SimDisk, path: string): Promise<Scanned> {
  const removed: IdRange[] = [];
  const bytes = Buffer.from(disk.read(path) ?? []);
  const scan = await scanTombstones(new MemorySource(bytes), path, bytes.length, UUID, (first, last) =>
    removed.push({ first, last }),
  );
  if (scan.kind !== 'ok') throw new Error(`the log is ${scan.kind}`);
  return { state: scan.state, removed: mergeRanges(removed) };
}

describe('a tombstone log', () => {
  it('P2: is durable with its snapshot when it is made', async () => {
    const snapshot = [
      { first: 1, last: 5 },
      { first: 7, last: 7 },
    ];
    const { disk, log } = await openLog(snapshot);
    const after = disk.crash(disk.nothingSurvives());
    expect((await removedIn(after, log.path)).removed).toEqual(snapshot);
    expect(after.read(`${DIR}/0000000000000001.tomb.tmp`)).toBeUndefined();
  });

  it('a snapshot of many ranges is written in parts', async () => {
    const snapshot = Array.from({ length: 20_000 }, (_, i) => ({ first: 2 * i, last: 2 * i }));
    const { disk, log } = await openLog(snapshot);
    const { removed, state } = await removedIn(disk, log.path);
    expect(removed).toEqual(snapshot);
    expect(state).toMatchObject({ missingRounds: 0, round: 1 });
  });

  it('P2: a round survives a power cut once it is synced, and not before it has to', async () => {
    const { disk, log } = await openLog();
    await log.append(statement(2), [{ first: 4, last: 6 }]);
    expect((await removedIn(disk.crash(disk.nothingSurvives()), log.path)).removed).toEqual([]);
    await log.sync();
    await log.append(statement(3), [{ first: 9, last: 9 }]);
    for (const { disk: after } of disk.crashStates({ draws: 20 })) {
      const { removed } = await removedIn(after, log.path);
      expect([
        [{ first: 4, last: 6 }],
        [
          { first: 4, last: 6 },
          { first: 9, last: 9 },
        ],
      ]).toContainEqual(removed);
    }
  });

  it('keeps zeros ahead of its end, so that a round overwrites blocks that are there', async () => {
    const { disk, log } = await openLog();
    for (let round = 2; round < 300; round++) {
      const size = disk.read(log.path)?.length ?? 0;
      expect(size - log.bytes).toBeGreaterThanOrEqual(8 * 1024);
      await log.append(statement(round), [{ first: round * 2, last: round * 2 }]);
      expect(
        disk
          .read(log.path)
          ?.subarray(log.bytes)
          .every((byte) => byte === 0),
      ).toBe(true);
    }
    expect((await removedIn(disk, log.path)).removed).toHaveLength(298);
  });

  it('a full disk takes removals for as long as the zeros ahead last', async () => {
    const { disk, log } = await openLog();
    disk.limits.capacityBytes = disk.usedBytes;
    let rounds = 0;
    for (;;) {
      const done = await log.append(statement(2 + rounds), [{ first: rounds * 2, last: rounds * 2 }]).then(
        () => true,
        () => false,
      );
      if (!done) break;
      rounds++;
    }
    expect(rounds).toBeGreaterThan(60);
    await log.wipeAppended();
    await log.sync();
    expect((await removedIn(disk, log.path)).removed).toHaveLength(rounds);
  });

  it('P9: a failed append is wiped and leaves no trace', async () => {
    for (let afterBytes = 0; afterBytes < 210; afterBytes += 15) {
      const { disk, log } = await openLog();
      await log.append(statement(2), [{ first: 1, last: 1 }]);
      const before = log.bytes;
      disk.fault({ on: 'write', path: '.tomb', afterBytes });
      await expect(log.append(statement(3), [{ first: 2, last: 3 }])).rejects.toMatchObject({ code: 'EIO' });
      expect(log.bytes).toBe(before);
      await log.wipeAppended();
      await log.sync();
      const { state, removed } = await removedIn(disk.crash(disk.nothingSurvives()), log.path);
      expect(removed).toEqual([{ first: 1, last: 1 }]);
      expect(state.damaged.every(({ allZero }) => allZero)).toBe(true);
      await log.append(statement(3), [{ first: 8, last: 8 }]);
      expect((await removedIn(disk, log.path)).removed).toEqual([
        { first: 1, last: 1 },
        { first: 8, last: 8 },
      ]);
    }
  });

  it('a generation that cannot be made leaves nothing, whatever fails', async () => {
    for (const on of ['write', 'sync', 'rename'] as const) {
      const disk = newDisk();
      disk.fault({ on, path: '.tomb' });
      await expect(openLog([{ first: 1, last: 1 }], disk)).rejects.toMatchObject({ code: 'EIO' });
      expect((await disk.vfs.list(DIR)).map(({ name }) => name)).toEqual(['foreign.txt']);
    }
  });

  it('P2: at no instant of a change of generations does a crash show less than what was removed', async () => {
    const { disk, log } = await openLog([{ first: 1, last: 9 }]);
    let states = 0;
    const bad: string[] = [];
    const seen = new Map<string, SimDisk>();
    const stop = disk.observe(() => {
      for (const { hash, disk: after } of disk.crashStates({ draws: 5 })) seen.set(hash, after);
    });
    const next = await openLog([{ first: 1, last: 9 }], disk, 2);
    await log.close();
    await disk.vfs.remove(log.path);
    stop();
    for (const after of seen.values()) {
      states++;
      const logs = [log.path, next.log.path].filter((path) => after.read(path) !== undefined);
      const removed = (await Promise.all(logs.map((path) => removedIn(after, path)))).flatMap((one) => one.removed);
      if (JSON.stringify(mergeRanges(removed)) !== '[{"first":1,"last":9}]') bad.push(after.tree());
    }
    expect(states).toBeGreaterThan(5);
    expect(bad).toEqual([]);
  });

  it('P9: of another store or queue, with no header or a newer one, it is not read', async () => {
    const { disk, log } = await openLog([{ first: 1, last: 1 }]);
    const bytes = Buffer.from(disk.read(log.path) ?? []);
    const none = (): void => undefined;
    const other = await scanTombstones(new MemorySource(bytes), log.path, bytes.length, Buffer.alloc(16), none);
    expect(other).toEqual({ kind: 'unreadable' });
    const elsewhere = log.path.replace(DIR, '/store/queues/other');
    expect(await scanTombstones(new MemorySource(bytes), elsewhere, bytes.length, UUID, none)).toEqual({
      kind: 'unreadable',
    });
    const blank = Buffer.alloc(bytes.length);
    expect(await scanTombstones(new MemorySource(blank), log.path, blank.length, UUID, none)).toEqual({
      kind: 'unreadable',
    });
    expect(await scanTombstones(new MemorySource(Buffer.alloc(0)), log.path, 0, UUID, none)).toEqual({
      kind: 'unreadable',
    });
    const header = { flags: 0, storeUuid: UUID, fileId: 1, baseId: 0, idHighWater: 0, createdMs: 0, salt: 0 };
    const segment = encodeFileHeader({ kind: 'segment', ...header });
    expect(await scanTombstones(new MemorySource(segment), log.path, FILE_HEADER_BYTES, UUID, none)).toEqual({
      kind: 'unreadable',
    });
    bytes[3] = 0;
    expect(await scanTombstones(new MemorySource(bytes), log.path, bytes.length, UUID, none)).toMatchObject({
      kind: 'ok',
      headerDamaged: true,
    });
  });
});
