/** A whole store of files that lie, as a map from paths to bytes. With a rate of 0 nothing lies, and the store is sound. */
import { crc32 } from '../../../src/checksum.js';
import { type FrameFacts, Liar, LyingFile, little, placed, varint } from './lying-bytes.js';
import { bombs } from './lying-metadata.js';
import type { Dice } from './random-store.js';

const UUID = Buffer.from('00112233445546778899aabbccddeeff', 'hex');
const TIME = 1_700_000_000_000;

export interface LyingStore {
  readonly files: Map<string, Buffer>;
  readonly lies: readonly string[];
}

export function lyingStore(dice: Dice, rate: number): LyingStore {
  const liar = new Liar(dice, rate);
  const files = new Map<string, Buffer>();
  const names = ['wal', 'dead-letters', ...(dice(3) === 0 ? ['named'] : [])];
  const store = new LyingFile(liar, { magic: 'EvqM', flags: 0, uuid: UUID, fileId: 0, baseId: 0, highWater: 0 });
  for (const name of names) {
    const facts = { kind: 32, flags: 0, count: 0, firstId: 1, durable: store.size, time: TIME, round: 0 };
    store.twice(facts, Buffer.from(liar.does('a name that leads out') ? '../../outside' : name));
  }
  files.set('STORE', store.toBuffer());
  const segmentIds = { next: 1 };
  for (const name of names) addQueue(files, liar, name, segmentIds);
  return { files, lies: liar.lies };
}

interface Segment {
  readonly id: number;
  readonly baseId: number;
  /** Where its records end. */
  end: number;
  sealed: boolean;
  live: number;
}

function addQueue(files: Map<string, Buffer>, liar: Liar, queue: string, segmentIds: { next: number }): void {
  const { dice } = liar;
  const dir = `queues/${queue}`;
  const segments: Segment[] = [];
  let nextId = 1;
  const closed = dice(2) === 0;
  const count = 1 + dice(3);
  let live = 0;
  for (let i = 0; i < count; i++) {
    const sealed = closed || i < count - 1;
    const segment: Segment = { id: segmentIds.next++, baseId: nextId, end: 0, sealed, live: 0 };
    const rewritten = sealed && dice(3) === 0;
    const flags = (rewritten ? 1 : 0) + (dice(5) === 0 ? 4 : 0);
    const highWater = nextId + 1000;
    const file = new LyingFile(liar, {
      magic: 'EvqS',
      flags,
      uuid: UUID,
      fileId: segment.id,
      baseId: nextId,
      highWater,
    });
    const before = segments.at(-1);
    if (before !== undefined && !rewritten) {
      const link = { kind: 2, flags: 0, count: 0, firstId: before.id, durable: before.end, time: TIME, round: 0 };
      file.commit(link, Buffer.alloc(0));
    }
    const index: [number, number][] = [];
    let payloadBytes = 0;
    const first = nextId;
    for (let commits = 1 + dice(4); commits > 0; commits--) {
      const frames: FrameFacts[] = Array.from({ length: 1 + dice(4) }, () => {
        const payload = Buffer.alloc(dice(80), 97 + dice(26));
        payloadBytes += payload.length;
        return {
          id: nextId++,
          payload,
          meta: dice(3) === 0 ? bombs[liar.does('metadata') ? dice(bombs.length) : 0] : undefined,
        };
      });
      const firstId = frames[0]?.id ?? 1;
      index.push([firstId, file.size]);
      const kindFlags = (rewritten ? 1 : 0) + (dice(3) === 0 ? 2 : 0);
      const facts = {
        kind: 1,
        flags: kindFlags,
        count: frames.length,
        firstId,
        durable: file.size,
        time: TIME,
        round: 1,
      };
      file.records(frames, facts);
      segment.live += frames.length;
    }
    segment.end = file.size;
    if (sealed) addFooter(file, first, nextId - 1, payloadBytes, index, segments);
    else if (dice(2) === 0) file.append(Buffer.alloc(4096));
    live += segment.live;
    const [inName, baseInName] = [
      liar.number(segment.id, 64, 'segment ID of a name'),
      liar.number(segment.baseId, 64, 'base ID of a name'),
    ];
    const name = `${String(baseInName).padStart(20, '0')}-${inName.toString(16).padStart(16, '0')}.seg`;
    files.set(`${dir}/${name}`, file.toBuffer());
    if (liar.does('a segment twice')) {
      const again = segmentIds.next++;
      files.set(
        `${dir}/${String(baseInName).padStart(20, '0')}-${again.toString(16).padStart(16, '0')}.seg`,
        file.toBuffer(),
      );
    }
    segments.push(segment);
  }
  addTombstones(files, liar, { queue, segments, nextId, live, closed, segmentIdMax: segmentIds.next });
  if (dice(4) === 0) addOtherLog(files, liar, queue, 'EvqD', 'dlv');
  if (dice(4) === 0) addOtherLog(files, liar, queue, 'EvqI', 'itk');
}

function addFooter(
  file: LyingFile,
  firstId: number,
  lastId: number,
  payloadBytes: number,
  index: readonly (readonly [number, number])[],
  segments: readonly Segment[],
): void {
  const { liar, seed } = file;
  const dataEnd = file.size;
  const section: Buffer[] = [varint(liar.number(index.length, 53, 'index entries'))];
  let [id, offset] = [0, 0];
  for (const [entryId, entryOffset] of index) {
    section.push(
      varint(liar.number(entryId - id, 60, 'ID of an index entry')),
      varint(liar.number((entryOffset - offset) * 2, 60, 'offset of an index entry')),
    );
    [id, offset] = [entryId, entryOffset];
  }
  section.push(varint(liar.number(0, 53, 'wide commits')));
  const indexBytes = Buffer.concat(section);
  const hasRuns = liar.dice(4) === 0;
  const runs = hasRuns
    ? Buffer.concat([
        varint(liar.number(0, 60, 'gap of a run')),
        varint(liar.number(lastId - firstId, 60, 'length of a run')),
      ])
    : Buffer.alloc(0);
  const replaced: bigint[] = [];
  if (liar.does('replaces itself, and others')) {
    for (let i = 0; i < 8; i++) replaced.push(BigInt(i + 1));
    for (const one of segments) replaced.push(BigInt(one.id));
  }
  if (liar.does('replaces thousands')) for (let i = 0; i < 5000; i++) replaced.push(2n ** 53n - 1n - BigInt(i));
  const times =
    liar.dice(4) === 0
      ? Buffer.concat([
          varint(liar.number(firstId, 60, 'ID of a span')),
          varint(liar.number(TIME, 60, 'time of a span')),
          varint(liar.number(0, 60, 'length of a span')),
        ])
      : Buffer.alloc(0);
  const middle = Buffer.concat([runs, ...replaced.map((one) => little(one, 8)), times]);
  const middleAt = dataEnd + 48 + indexBytes.length;
  const summaryAt = middleAt + middle.length;
  const count = lastId - firstId + 1;
  const summary = Buffer.concat([
    Buffer.from('EvqF'),
    little(liar.number(summaryAt + 96 - dataEnd, 32, 'bytes of a footer'), 4),
    little(liar.number(firstId, 64, 'first ID of a footer'), 8),
    little(liar.number(lastId, 64, 'last ID of a footer'), 8),
    little(liar.number(TIME, 48, 'least time'), 6),
    Buffer.alloc(2),
    little(liar.number(TIME, 48, 'greatest time'), 6),
    Buffer.alloc(2),
    little(liar.number(payloadBytes, 64, 'payload of a footer'), 8),
    little(liar.number(count, 32, 'records of a footer'), 4),
    little(liar.number(dataEnd, 32, 'data end'), 4),
    little(liar.number(indexBytes.length, 32, 'bytes of an index'), 4),
    little(BigInt(placed(indexBytes, seed, dataEnd + 48, indexBytes.length, 0n)), 4),
    little(liar.number(runs.length, 32, 'bytes of runs'), 4),
    little(liar.number(replaced.length, 32, 'replaced segments'), 4),
    little(BigInt(placed(middle, seed, middleAt, middle.length, 0n)), 4),
    little(liar.number(1, 64, 'round of a footer'), 8),
    little(liar.number(hasRuns ? 1 : 0, 32, 'flags of a footer'), 4),
    little(liar.number(times.length, 32, 'bytes of times'), 4),
  ]);
  const signed = Buffer.concat([summary, little(BigInt(placed(summary, seed, summaryAt, 92, 0n)), 4)]);
  const facts = { kind: 3, flags: 0, count: 0, firstId, durable: dataEnd, time: TIME, round: 1 };
  file.commit(facts, Buffer.concat([indexBytes, middle, signed]));
}

interface QueueFacts {
  readonly queue: string;
  readonly segments: readonly Segment[];
  readonly nextId: number;
  readonly live: number;
  readonly closed: boolean;
  readonly segmentIdMax: number;
}

function addTombstones(files: Map<string, Buffer>, liar: Liar, facts: QueueFacts): void {
  const { queue, segments, nextId, live, closed, segmentIdMax } = facts;
  const { dice } = liar;
  const last = segments.at(-1);
  const body = (sixth: number, ranges: readonly (readonly [number, number])[]): Buffer => {
    const parts = [
      little(liar.number(nextId, 64, 'next ID'), 8),
      little(liar.number(last?.id ?? 0, 64, 'data segment'), 8),
      little(liar.number(last?.end ?? 0, 64, 'data offset'), 8),
      little(liar.number(closed ? (last?.id ?? 0) + 1 : (last?.id ?? 0), 64, 'sealed below'), 8),
      little(liar.number(segmentIdMax, 64, 'highest segment ID'), 8),
      little(liar.number(sixth, 64, 'live records, or part'), 8),
    ];
    let next = 0;
    for (const [first, end] of ranges) {
      parts.push(
        varint(liar.number(first - next, 60, 'gap of a range')),
        varint(liar.number(end - first, 60, 'length of a range')),
      );
      next = end + 1;
    }
    if (liar.does('an endless varint')) parts.push(Buffer.alloc(40, 0xff));
    return Buffer.concat(parts);
  };
  const generation = 1 + dice(3);
  const mark = crc32(Buffer.from(queue)) >>> 0;
  const snapshot = body(1, []);
  const baseId = 128 + 2 * (48 + snapshot.length);
  const file = new LyingFile(liar, {
    magic: 'EvqT',
    flags: 0,
    uuid: UUID,
    fileId: generation,
    baseId,
    highWater: mark,
  });
  let round = 1;
  const said = { flags: 0, time: TIME };
  file.twice({ ...said, kind: 16, count: 0, firstId: round, durable: 0, round }, snapshot);
  const removed = dice(2) === 0 ? [] : [[1 + dice(nextId), 0]].map(([id = 1]): [number, number] => [id, id]);
  const gone = removed.filter(([id]) => id < nextId).length;
  if (removed.length > 0 && gone > 0) {
    round++;
    file.twice({ ...said, kind: 17, count: 1, firstId: round, durable: file.size, round }, body(0, removed));
  }
  if (liar.does('ranges of 2^52, one after the other')) {
    round++;
    const huge = Buffer.concat([body(0, []), varint(1n), varint(2n ** 52n), varint(0n), varint(2n ** 51n)]);
    file.twice({ ...said, kind: 17, count: 2, firstId: round, durable: file.size, round }, huge);
  }
  if (liar.does('thousands of ranges')) {
    round++;
    const many = Buffer.concat([body(0, []), ...Array.from({ length: 20_000 }, () => Buffer.from([1, 0]))]);
    file.twice({ ...said, kind: 17, count: 20_000, firstId: round, durable: file.size, round }, many);
  }
  if (closed) {
    round++;
    file.twice({ ...said, kind: 18, count: 0, firstId: round, durable: file.size, round }, body(live - gone, []));
  }
  if (dice(2) === 0) file.append(Buffer.alloc(4096));
  const name = liar.number(generation, 64, 'generation of a name').toString(16).padStart(16, '0');
  files.set(`queues/${queue}/${name}.tomb`, file.toBuffer());
  if (liar.does('hundreds of generations')) {
    for (let i = 1; i <= 300; i++)
      files.set(
        `queues/${queue}/${(i * 7).toString(16).padStart(16, '0')}.tomb`,
        i % 2 === 0 ? file.toBuffer() : Buffer.alloc(0),
      );
  }
}

/** A delivery or an intake log, of which readers know nothing. */
function addOtherLog(files: Map<string, Buffer>, liar: Liar, queue: string, magic: 'EvqD' | 'EvqI', ext: string): void {
  const mark = crc32(Buffer.from(queue)) >>> 0;
  const file = new LyingFile(liar, { magic, flags: 0, uuid: UUID, fileId: 1, baseId: 128, highWater: mark });
  const { dice } = liar;
  if (magic === 'EvqD') file.append(Buffer.alloc(16_512 - file.size));
  for (let n = 1; n < 4; n++) {
    const kind = magic === 'EvqD' ? 32 + Math.min(1, n - 1) : 48 + Math.min(1, n - 1);
    const count = dice(3);
    const entry = (): Buffer =>
      magic === 'EvqD'
        ? Buffer.concat([1, 1, 0, 5, 0].map((value) => varint(liar.number(value, 60, 'a number of a delivery'))))
        : Buffer.concat([
            Buffer.alloc(16, dice(256)),
            little(liar.number(n, 64, 'record of a message'), 8),
            little(liar.number(TIME, 64, 'time of a message'), 8),
          ]);
    const head =
      magic === 'EvqD'
        ? Buffer.concat([little(liar.number(TIME, 64, 'base ms'), 8), little(liar.number(0, 64, 'streak'), 8)])
        : Buffer.alloc(0);
    const tail = liar.does('checkpoints') ? (bombs[dice(bombs.length)] ?? Buffer.alloc(0)) : Buffer.alloc(0);
    const body = Buffer.concat([head, ...Array.from({ length: count }, entry), tail]);
    const facts = { kind, flags: 0, count, firstId: n, durable: file.size, time: TIME, round: 0 };
    if (magic === 'EvqD') file.commit(facts, body);
    else file.twice(facts, body);
  }
  files.set(`queues/${queue}/0000000000000001.${ext}`, file.toBuffer());
}
