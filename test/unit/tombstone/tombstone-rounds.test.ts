/** Rounds that are rare, or whose checksums hold and that cannot be; and what the rounds of a log add up to, rule by rule. */
import { describe, expect, it } from 'vitest';
import { crc32 } from '../../../src/checksum.js';
import {
  COMMIT_HEADER_BYTES,
  commitBodyCrc,
  decodeCommitHeader,
  encodeCommitHeader,
  newCommitHeader,
} from '../../../src/frame/commit-header.js';
import { CommitScanner } from '../../../src/frame/commit-scanner.js';
import { encodeFileHeader, FILE_HEADER_BYTES, fileSeed, HEADER_FLAG_ACCOUNTS } from '../../../src/frame/file-header.js';
import type { IdRange } from '../../../src/ids.js';
import {
  encodeRound,
  encodeRoundInStretches,
  KIND_CLOSE,
  KIND_REMOVALS,
  KIND_SNAPSHOT,
  type RoundStatement,
  roundBytesMax,
} from '../../../src/tombstone/tombstone-frame.js';
import { queueMark } from '../../../src/tombstone/tombstone-name.js';
import {
  newTombstoneState,
  scanRounds,
  scanTombstones,
  type TombstoneState,
} from '../../../src/tombstone/tombstone-scan.js';
import { MemorySource, SEED } from '../frame/commit-fixture.js';

function statement(round: number, more: Partial<RoundStatement> = {}): RoundStatement {
  const segment = { dataSegmentId: 5, dataOffset: 1000, sealedBelow: 4, segmentIdMax: 6 };
  const said = { kind: KIND_REMOVALS, round, nextId: 100, accountedBelow: 90, liveRecords: 0, ...segment };
  return { ...said, hasIntake: false, timestamp: 1_700_000_000_000, ...more };
}

function snapshot(round: number, part: number, isLast: boolean): RoundStatement {
  return statement(round, { kind: KIND_SNAPSHOT, liveRecords: 2 * part + (isLast ? 1 : 0) });
}

type Lie = (header: ReturnType<typeof newCommitHeader>, body: Buffer) => unknown;

/** Rounds one behind the other. A lie is told by both copies, and their checksums hold. */
class Rounds {
  bytes: Buffer = Buffer.alloc(0);
  readonly #seed: number;

  constructor(seed = SEED, from = 0) {
    this.#seed = seed;
    this.bytes = Buffer.alloc(from);
  }

  add(said: RoundStatement, ranges: readonly IdRange[] = [], durableOffset = 0, lie?: Lie): this {
    const at = this.bytes.length;
    const round = encodeRound(said, ranges, this.#seed, at, durableOffset);
    this.bytes = Buffer.concat([this.bytes, round]);
    if (lie !== undefined) for (const copy of [at, at + round.length / 2]) this.#lie(copy, lie);
    return this;
  }

  #lie(at: number, lie: Lie): void {
    const header = newCommitHeader();
    if (!decodeCommitHeader(this.bytes, at, this.#seed, at, header)) throw new Error('there is a round');
    const body = this.bytes.subarray(at + COMMIT_HEADER_BYTES, at + COMMIT_HEADER_BYTES + header.bodyBytes);
    lie(header, body);
    header.bodyCrc = commitBodyCrc(body.subarray(0, header.bodyBytes), this.#seed, at);
    encodeCommitHeader(this.bytes, at, this.#seed, at, header);
  }

  async scan(): Promise<{ readonly state: TombstoneState; readonly removed: readonly IdRange[] }> {
    const state = newTombstoneState();
    const removed: IdRange[] = [];
    const scanner = new CommitScanner(new MemorySource(this.bytes), this.#seed, 0, this.bytes.length, 'resync');
    await scanRounds(scanner, state, (first, last) => removed.push({ first, last }));
    return { state, removed };
  }
}

function whole(): Rounds {
  return new Rounds().add(snapshot(1, 0, true));
}

describe('a round of very many ranges', () => {
  it.each([
    [1, 0],
    [32_768, 0],
    [32_769, 1],
    [65_536, 1],
    [65_537, 2],
  ])('of %i lets others have their turn %i times, and is the same', (count, turns) => {
    const ranges = Array.from({ length: count }, (_, i) => ({ first: 2 * i + 1, last: 2 * i + 1 }));
    const encoding = encodeRoundInStretches(statement(2), ranges, SEED, 64, 7);
    let yields = 0;
    let step = encoding.next();
    for (; step.done !== true; step = encoding.next()) yields++;
    expect(yields).toBe(turns);
    expect(step.value.equals(encodeRound(statement(2), ranges, SEED, 64, 7))).toBe(true);
  });

  it('is never longer than is counted on', () => {
    expect([0, 1, 10].map(roundBytesMax)).toEqual([2 * 96, 2 * (96 + 16), 2 * (96 + 160)]);
    const far = Array.from({ length: 4 }, (_, i) => ({ first: (i + 1) * 2 ** 50, last: (i + 1) * 2 ** 50 + 2 ** 49 }));
    expect(encodeRound(statement(2), far, SEED, 0, 0).length).toBeLessThanOrEqual(roundBytesMax(4));
  });

  it('is of ranges that ascend', () => {
    const descending = [
      [{ first: 5, last: 4 }],
      [
        { first: 5, last: 9 },
        { first: 9, last: 12 },
      ],
    ];
    for (const ranges of descending) expect(() => encodeRound(statement(2), ranges, SEED, 0, 0)).toThrow('ascend');
    const touching = [
      { first: 5, last: 9 },
      { first: 10, last: 10 },
    ];
    expect(() => encodeRound(statement(2), touching, SEED, 0, 0)).not.toThrow();
  });
});

describe('P9: a round whose checksums hold, and that cannot be', () => {
  const ranges = [{ first: 3, last: 9 }];
  const high =
    (at: number): Lie =>
    (_header, body) =>
      body.writeUInt32LE(0x20_0000, at + 4);

  it.each<[string, Lie]>([
    ['of a kind below those there are', (header) => Object.assign(header, { kind: KIND_SNAPSHOT - 1 })],
    ['of a kind above those there are', (header) => Object.assign(header, { kind: KIND_CLOSE + 1 })],
    ['of more ranges than it holds', (header) => Object.assign(header, { count: 2 })],
    ['of a next ID past 2^53', high(0)],
    ['of a segment past 2^53', high(8)],
    ['of an offset past 2^53', high(16)],
    ['of sealed segments past 2^53', high(24)],
    ['of a highest segment past 2^53', high(32)],
    ['of an account past 2^53', high(40)],
  ])('%s, is damage, twice, and says nothing', async (_what, lie) => {
    const rounds = whole();
    const from = rounds.bytes.length;
    const before = await rounds.scan();
    rounds.add(statement(2), ranges, 0, lie);
    const half = (rounds.bytes.length - from) / 2;
    const { state } = await rounds.scan();
    const damaged = [from, from + half].map((offset) => {
      return { offset, end: offset + half, allZero: false, headerIntact: true };
    });
    expect(state).toEqual({ ...before.state, damaged });
  });

  it('with less than a round says, is damage', async () => {
    const rounds = whole();
    const before = await rounds.scan();
    const from = rounds.bytes.length;
    // 40 bytes of body, and behind it another round; the copy of this one is gone.
    rounds.add(statement(2), [], 0, (header) => Object.assign(header, { bodyBytes: 40 }));
    rounds.bytes = Buffer.concat([rounds.bytes.subarray(0, from + COMMIT_HEADER_BYTES + 40)]);
    const { state } = await rounds.scan();
    expect(state.damaged).toMatchObject([{ offset: from, headerIntact: true }]);
    expect(state.round).toBe(before.state.round);
  });

  it('reaches past the last ID that can be; up to it, it can', async () => {
    const last = Number.MAX_SAFE_INTEGER;
    const up = await whole()
      .add(statement(2), [{ first: last - 1, last }])
      .scan();
    expect(up.removed).toEqual([{ first: last - 1, last }]);
    expect(up.state.damaged).toEqual([]);
    const past = await whole()
      .add(statement(2), [{ first: last, last: last + 1 }])
      .scan();
    expect(past.removed).toEqual([]);
    expect(past.state.damaged).toHaveLength(2);
  });
});

describe('what rounds add up to', () => {
  it('begins with nothing', () => {
    const { durableData, damaged, ...rest } = newTombstoneState();
    expect([...durableData, ...damaged]).toEqual([]);
    const none = { round: 0, nextId: 0, accountedBelow: 0, dataSegmentId: 0, sealedBelow: 0, segmentIdMax: 0 };
    expect(rest).toMatchObject({ ...none, supersedes: true, hasIntake: false, missingRounds: 0, promisedOffset: 0 });
  });

  it('ends behind the last good copy', async () => {
    const rounds = whole().add(statement(2));
    expect((await rounds.scan()).state.end).toBe(rounds.bytes.length);
    const cut = whole().add(statement(2));
    const half = (cut.bytes.length - whole().bytes.length) / 2;
    cut.bytes = cut.bytes.subarray(0, cut.bytes.length - half);
    expect((await cut.scan()).state.end).toBe(cut.bytes.length);
  });

  it('keeps the highest promise that it makes of itself', async () => {
    const { state } = await whole().add(statement(2), [], 500).add(statement(3), [], 100).scan();
    expect(state.promisedOffset).toBe(500);
  });

  it('is of rounds that say the same, and are not copies of each other', async () => {
    const { state } = await whole().add(statement(2)).add(statement(3)).scan();
    expect(state).toMatchObject({ round: 3, missingRounds: 0 });
    const closed = await whole()
      .add(statement(2))
      .add(statement(2, { kind: KIND_CLOSE, liveRecords: 90 }))
      .scan();
    expect(closed.state.closedWithLive).toBe(90);
  });

  it('knows of an intake log by the last word', async () => {
    const has = whole().add(statement(2, { hasIntake: true }));
    expect((await has.scan()).state.hasIntake).toBe(true);
    expect((await has.add(statement(3)).scan()).state.hasIntake).toBe(false);
  });

  it('knows of no durable data where none is told', async () => {
    const { state } = await new Rounds()
      .add({ ...snapshot(1, 0, true), dataOffset: 0 })
      .add(statement(2, { dataOffset: 0 }))
      .scan();
    expect([...state.durableData]).toEqual([]);
    expect(
      (
        await whole()
          .add(statement(2, { dataOffset: 1 }))
          .scan()
      ).state.durableData,
    ).toEqual(new Map([[5, 1000]]));
  });

  it('P9: misses rounds, and parts of a snapshot, wherever numbers are left out, and nowhere else', async () => {
    const missing = async (rounds: Rounds): Promise<number> => (await rounds.scan()).state.missingRounds;
    expect(await missing(whole())).toBe(0);
    // A log may begin at any round.
    const late = (): Rounds =>
      new Rounds().add(snapshot(9, 0, false)).add(snapshot(9, 1, true), [{ first: 1, last: 1 }]);
    expect(await missing(late())).toBe(0);
    expect(await missing(late().add(statement(10)))).toBe(0);
    expect(await missing(late().add(statement(12)))).toBe(2);
    expect(await missing(late().add(statement(12)).add(statement(13)).add(statement(15)))).toBe(3);
    // One that comes again, or too late, makes up for nothing.
    const again = late()
      .add(statement(12))
      .add(statement(12), [{ first: 3, last: 3 }]);
    expect(await missing(again.add(statement(5), [{ first: 4, last: 4 }]))).toBe(2);
    const parts = new Rounds()
      .add(snapshot(1, 0, false))
      .add(snapshot(1, 3, false))
      .add(snapshot(1, 1, false));
    expect(await missing(parts.add(snapshot(1, 4, true)))).toBe(2);
    // Without a snapshot, or its last part, one is missed, once.
    expect(await missing(new Rounds().add(statement(1)).add(statement(2)))).toBe(1);
    expect(
      await missing(
        new Rounds()
          .add(snapshot(1, 0, false))
          .add(statement(2))
          .add(statement(3)),
      ),
    ).toBe(1);
  });
});

describe('the file of a log', () => {
  const path = '/store/queues/wal/0000000000000007.tomb';
  const storeUuid = Buffer.alloc(16, 3);

  function headed(flags: number): Rounds {
    const names = { kind: 'tombstones', flags, storeUuid, fileId: 7, idHighWater: queueMark(path) } as const;
    const header = { ...names, baseId: FILE_HEADER_BYTES, createdMs: 5, salt: 9 };
    const rounds = new Rounds(fileSeed(header), FILE_HEADER_BYTES).add(snapshot(1, 0, true));
    encodeFileHeader(header).copy(rounds.bytes);
    return rounds;
  }

  const scan = ({ bytes }: Rounds): ReturnType<typeof scanTombstones> =>
    scanTombstones(new MemorySource(bytes), path, bytes.length, storeUuid, () => undefined);

  it('P9: tells which IDs it accounts for only where it keeps accounts', async () => {
    expect(await scan(headed(HEADER_FLAG_ACCOUNTS))).toMatchObject({
      kind: 'ok',
      state: { accountedBelow: 100, generation: 7 },
    });
    expect(await scan(headed(0))).toMatchObject({ kind: 'ok', state: { accountedBelow: 0, nextId: 100 } });
  });

  it('of a newer version is no damage', async () => {
    const rounds = headed(0);
    // Both copies of the header, their checksums as a newer one would make them.
    for (const at of [0, 64]) {
      const copy = rounds.bytes.subarray(at, at + 64);
      copy.writeUInt8(200, 4);
      copy.writeUInt32LE(crc32(copy.subarray(0, 60)), 60);
    }
    expect(await scan(rounds)).toEqual({ kind: 'unsupported', major: 200 });
  });
});
