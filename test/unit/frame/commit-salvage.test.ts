/** What is salvaged of a commit whose body is damaged: all that is provably intact, and nothing else. */
import { describe, expect, it } from 'vitest';
import { maskedId, maskedSeed, placeMask } from '../../../src/checksum.js';
import { CommitBuilder } from '../../../src/frame/commit-builder.js';
import { COMMIT_HEADER_BYTES, decodeCommitHeader, newCommitHeader } from '../../../src/frame/commit-header.js';
import { type Landmark, salvageCommit } from '../../../src/frame/commit-salvage.js';
import { Prng } from '../../../src/sim/sim-prng.js';
import { denseCommit, place, SEED } from './commit-fixture.js';

const AT = 4096;
const FIRST = 70;

interface Sample {
  readonly commit: Buffer;
  readonly payloads: readonly Buffer[];
  /** Of each frame and of the end, from the commit on. */
  readonly starts: readonly number[];
}

function sampleOf(payloads: readonly Buffer[], sparse: boolean): Sample {
  const headBytes = sparse ? 16 : 8;
  const starts = [COMMIT_HEADER_BYTES];
  for (const { length } of payloads) starts.push((starts.at(-1) ?? 0) + headBytes + length);
  if (!sparse)
    return {
      commit: denseCommit(
        payloads.map((payload) => ({ payload })),
        place(AT, FIRST),
      ),
      payloads,
      starts,
    };
  const builder = new CommitBuilder('sparse');
  for (const [i, payload] of payloads.entries())
    builder.addCopy(FIRST + i, 1000, payload, 0, payload.length, false, 1000);
  builder.finish(place(AT, FIRST, { timestamp: 1000 }), Number.MAX_SAFE_INTEGER, 0, () => undefined);
  return { commit: builder.toBuffer(), payloads, starts };
}

function salvaged(commit: Buffer, landmarks: readonly Landmark[] = []): Map<number, Buffer> {
  const header = newCommitHeader();
  expect(decodeCommitHeader(commit, 0, SEED, AT, header)).toBe(true);
  const found = new Map<number, Buffer>();
  const body = commit.length - COMMIT_HEADER_BYTES;
  const take: Parameters<typeof salvageCommit>[6] = ({ id, payloadAt, payloadBytes }) => {
    expect(found.has(id)).toBe(false);
    found.set(id, Buffer.from(commit.subarray(payloadAt, payloadAt + payloadBytes)));
  };
  salvageCommit(commit, COMMIT_HEADER_BYTES, body, header, SEED, AT + COMMIT_HEADER_BYTES, take, landmarks);
  return found;
}

/** Kinds of payloads; those made of small numbers look like frames everywhere. */
function payloadsOf(random: Prng, kind: number): Buffer[] {
  return Array.from({ length: 2 + random.below(40) }, () => {
    const bytes = Buffer.alloc(random.below(90));
    for (let i = 0; i < bytes.length; i++) {
      bytes[i] =
        kind === 0 ? 97 + random.below(26) : kind === 1 ? (i % 4 === 0 ? random.below(64) : 0) : random.below(256);
    }
    return bytes;
  });
}

describe('salvaging a damaged commit', () => {
  it('P15: one flipped bit costs the record that it is in, and no other, wherever it is', () => {
    for (const sparse of [false, true]) {
      const { commit, payloads, starts } = sampleOf(
        ['one', 'two two two', '', 'three', 'four four'].map((text) => Buffer.from(text)),
        sparse,
      );
      for (let bit = COMMIT_HEADER_BYTES * 8; bit < commit.length * 8; bit++) {
        const bad = Buffer.from(commit);
        bad[bit >>> 3] = (bad[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
        const hit = starts.findLastIndex((start) => start * 8 <= bit);
        const expected = payloads.map((_, i) => FIRST + i).filter((_, i) => i !== hit);
        expect([...salvaged(bad).keys()], `bit ${bit}`).toEqual(expected);
      }
    }
  });

  it('P3, P15: of random damage nothing false is read, and no intact record that is followed by another is given up', () => {
    for (let seed = 1; seed <= 400; seed++) {
      const random = new Prng(seed);
      const { commit, payloads, starts } = sampleOf(payloadsOf(random, seed % 3), seed % 2 === 0);
      const bad = Buffer.from(commit);
      for (let hits = 1 + random.below(3); hits > 0; hits--) {
        const from = COMMIT_HEADER_BYTES + random.below(commit.length - COMMIT_HEADER_BYTES);
        const to = Math.min(commit.length, from + 1 + random.below(200));
        const fill = random.below(3);
        for (let i = from; i < to; i++)
          bad[i] = fill === 0 ? 0 : fill === 1 ? random.below(256) : (commit[i - 16] ?? 0);
      }
      const isIntact = payloads.map((_, i) =>
        bad.subarray(starts[i], starts[i + 1]).equals(commit.subarray(starts[i], starts[i + 1])),
      );
      const found = salvaged(bad);
      for (const [id, payload] of found) expect(payload, `seed ${seed}`).toEqual(payloads[id - FIRST]);
      for (const [i, whole] of isIntact.entries()) {
        const isFollowed = i + 1 === payloads.length || isIntact[i + 1] === true;
        if (whole && isFollowed) expect(found.has(FIRST + i), `seed ${seed}, record ${i}`).toBe(true);
      }
      // An index finds what stands alone, too.
      const landmarks = payloads.map((_, i) => ({ id: FIRST + i, offset: AT + (starts[i] ?? 0) }));
      const all = payloads.map((_, i) => FIRST + i).filter((_, i) => isIntact[i]);
      expect([...salvaged(bad, landmarks).keys()], `seed ${seed}`).toEqual(all);
    }
  });

  it('P14: a payload that is made of lengths does not make the search quadratic', () => {
    const lengths = Buffer.alloc(2 * 1024 * 1024);
    for (let at = 0; at < lengths.length; at += 4) lengths.writeUInt32LE(1024 * 1024 - at / 4, at);
    const { commit } = sampleOf([Buffer.from('first'), lengths, Buffer.from('last')], false);
    commit[COMMIT_HEADER_BYTES + 13 + 2] = (commit[COMMIT_HEADER_BYTES + 13 + 2] ?? 0) ^ 1;
    const found = salvaged(commit);
    expect(found.get(FIRST)?.toString()).toBe('first');
    expect(found.has(FIRST + 1)).toBe(false);
  });
});

describe('undoing the mask of a place', () => {
  it('gives the ID, and the seed, that went into it', () => {
    for (const [seed, offset, length, id] of [
      [0, 0, 0, 0],
      [0xc7821a51, 176, 5, 1],
      [0xffffffff, 4294967295, 4294967295, 2 ** 53 - 1],
      [0x12345678, 7, 1, 2 ** 32 + 1],
    ] as const) {
      const mask = placeMask(seed, offset, length, id);
      expect(maskedId(mask, seed, offset, length, Math.max(0, id - 1000), id + 1000)).toBe(id);
      expect(maskedId(mask, seed, offset, length, id + 1, id + 1000)).toBeUndefined();
      expect(maskedSeed(placeMask(seed, offset, length, 0), offset, length)).toBe(seed);
    }
  });
});
