/**
 * Files of the format (FORMAT.md), written from a description of them, every checksum right, and now and then a number that is not: what no damage
 * does and somebody with a hex editor can. Shares no encoder with the engine but its checksums.
 */
import { crc32, placeMask } from '../../../src/checksum.js';
import type { Dice } from './random-store.js';

const TOP = 2n ** 64n;

/** Says a number, or a lie: once in `rate` numbers; never if that is 0. */
export class Liar {
  readonly dice: Dice;
  readonly #rate: number;
  /** What was said in place of what, for people. */
  readonly lies: string[] = [];

  constructor(dice: Dice, rate: number) {
    this.dice = dice;
    this.#rate = rate;
  }

  /** True now and then: to do something odd called `what`. */
  does(what: string): boolean {
    const odd = this.#rate > 0 && this.dice(this.#rate) === 0;
    if (odd) this.lies.push(what);
    return odd;
  }

  number(value: number | bigint, bits: number, what: string): bigint {
    const truth = BigInt(value);
    if (this.#rate === 0 || this.dice(this.#rate) !== 0) return truth;
    const lies = [
      0n,
      1n,
      truth + 1n,
      truth === 0n ? 2n : truth - 1n,
      truth * 2n,
      truth + 0x1_0000n,
      127n,
      8192n,
      2n ** 31n,
      2n ** 32n - 1n,
      2n ** 40n,
      2n ** 48n - 1n,
      2n ** 52n,
      2n ** 53n - 2n,
      2n ** 53n - 1n,
      2n ** 53n,
      2n ** 63n,
      TOP - 1n,
    ];
    const lie = (lies[this.dice(lies.length)] ?? 0n) % 2n ** BigInt(bits);
    this.lies.push(`${what} ${truth} -> ${lie}`);
    return lie;
  }
}

export function little(value: bigint, bytes: number): Buffer {
  const out = Buffer.alloc(bytes);
  for (let i = 0, left = value; i < bytes; i++, left >>= 8n) out[i] = Number(left & 0xffn);
  return out;
}

export function varint(value: bigint): Buffer {
  const out: number[] = [];
  let left = value;
  do {
    out.push(Number(left & 0x7fn) | (left > 0x7fn ? 0x80 : 0));
    left >>= 7n;
  } while (left > 0n);
  return Buffer.from(out);
}

/** The mask has room for 53 bits of an offset or an ID: of a larger one, what is left of it. */
export function placed(bytes: Buffer, seed: number, offset: number, length: number, id: bigint): number {
  return (crc32(bytes) ^ placeMask(seed, offset, length >>> 0, Number(id % 2n ** 53n))) >>> 0;
}

export interface HeaderFacts {
  readonly magic: 'EvqM' | 'EvqS' | 'EvqT' | 'EvqD' | 'EvqI';
  readonly flags: number;
  readonly uuid: Buffer;
  readonly fileId: number;
  readonly baseId: number;
  readonly highWater: number;
}

export interface FrameFacts {
  readonly id: number;
  readonly payload: Buffer;
  readonly meta: Buffer | undefined;
}

export interface CommitFacts {
  readonly kind: number;
  readonly flags: number;
  readonly count: number;
  readonly firstId: number;
  readonly durable: number;
  readonly time: number;
  readonly round: number;
}

/** A file while it is written. */
export class LyingFile {
  readonly liar: Liar;
  readonly seed: number;
  #bytes: Buffer;

  constructor(liar: Liar, { magic, flags, uuid, fileId, baseId, highWater }: HeaderFacts) {
    this.liar = liar;
    const header = Buffer.concat([
      Buffer.from(magic, 'latin1'),
      Buffer.from([1, liar.does('a later minor version') ? 200 : 0]),
      little(liar.number(flags, 16, 'header flags'), 2),
      uuid,
      little(liar.number(fileId, 64, 'file ID'), 8),
      little(liar.number(baseId, 64, 'base ID'), 8),
      little(liar.number(highWater, 64, 'ID high water'), 8),
      little(liar.number(1_700_000_000_000, 48, 'created'), 6),
      Buffer.alloc(2),
      Buffer.from([1, 2, 3, 4]),
    ]);
    this.seed = crc32(Buffer.concat([header.subarray(0, 4), header.subarray(8, 32), header.subarray(56, 60)]));
    const whole = Buffer.concat([header, little(BigInt(crc32(header) >>> 0), 4)]);
    this.#bytes = Buffer.concat([whole, whole]);
  }

  get size(): number {
    return this.#bytes.length;
  }

  toBuffer(): Buffer {
    return this.#bytes;
  }

  append(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
  }

  /** A commit with this body. `heads`: what its checksum covers, if not the body. */
  commit(facts: CommitFacts, body: Buffer, heads?: Buffer): void {
    const { liar, seed } = this;
    const at = this.size;
    const claimed = Number(liar.number(body.length, 32, `bytes of a commit of kind ${facts.kind}`));
    // Where the lie is small the bytes are made to fit it, so that the checksum can be right.
    const there =
      claimed <= body.length + 65_536 ? Buffer.concat([body, Buffer.alloc(65_536)]).subarray(0, claimed) : body;
    const sum =
      heads === undefined ? placed(there, seed, at + 48, claimed, 0n) : placed(heads, seed, at + 48, heads.length, 0n);
    const head = Buffer.concat([
      Buffer.from([
        0xc0,
        0xe7,
        Number(liar.number(facts.kind, 8, 'kind')),
        Number(liar.number(facts.flags, 8, 'flags')),
      ]),
      little(liar.number(facts.count, 32, 'count'), 4),
      little(BigInt(claimed), 4),
      little(BigInt(sum), 4),
      little(liar.number(facts.firstId, 64, `first ID of kind ${facts.kind}`), 8),
      little(liar.number(facts.durable, 64, 'durable offset'), 8),
      little(liar.number(facts.time, 48, 'time'), 6),
      Buffer.alloc(2),
      little(liar.number(facts.round, 32, 'round'), 4),
    ]);
    this.append(Buffer.concat([head, little(BigInt(placed(head, seed, at, 48, 0n)), 4), there]));
  }

  /** A commit of records. */
  records(frames: readonly FrameFacts[], facts: CommitFacts): void {
    const { liar, seed } = this;
    const parts: Buffer[] = [];
    const heads: Buffer[] = [];
    const bodyAt = this.size + 48;
    let at = bodyAt;
    for (const { id, payload, meta } of frames) {
      const block = meta === undefined ? [] : [little(liar.number(meta.length, 32, 'bytes of metadata'), 4), meta];
      const rest = Buffer.concat([...block, payload]);
      const truth = rest.length + (meta === undefined ? 0 : 2 ** 31);
      const word = Number(liar.number(truth, 32, 'length word'));
      const sparse =
        (facts.flags & 1) === 0
          ? Buffer.alloc(0)
          : Buffer.concat([
              little(liar.number(id - facts.firstId, 32, 'ID of a sparse frame'), 4),
              little(liar.number(0, 32, 'time of a sparse frame'), 4),
            ]);
      const body = Buffer.concat([sparse, rest]);
      const ownId = (facts.flags & 1) === 0 ? BigInt(id) : BigInt(facts.firstId) + BigInt(sparse.readUInt32LE(0));
      const head = Buffer.concat([little(BigInt(word), 4), little(BigInt(placed(body, seed, at, word, ownId)), 4)]);
      heads.push(head);
      parts.push(head, body);
      at += head.length + body.length;
    }
    this.commit(facts, Buffer.concat(parts), (facts.flags & 2) === 0 ? undefined : Buffer.concat(heads));
  }

  /** Each commit of a tombstone log, an intake log or the register is there twice. */
  twice(facts: CommitFacts, body: Buffer): void {
    this.commit(facts, body);
    this.commit(facts, body);
  }
}
