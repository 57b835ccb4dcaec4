/**
 * Holds FORMAT.md to the codec and to the golden stores: its example is encoded again byte for byte, its test vectors are computed, and a reader
 * that was written from it alone has to see in the golden stores what the engine sees.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { crc32, placeMask } from '../../src/checksum.js';
import { Evaq, EvaqError, type QueueRecord } from '../../src/evaq.js';
import { CommitBuilder } from '../../src/frame/commit-builder.js';
import {
  encodeFileHeader,
  type FileHeader,
  fileSeed,
  HEADER_FLAG_ACCOUNTS,
  tiedSalt,
} from '../../src/frame/file-header.js';
import { encodeMeta } from '../../src/frame/metadata.js';
import { readVarint, VarintWriter, varintCursor } from '../../src/frame/varint.js';
import { encodeFooter } from '../../src/segment/segment-footer.js';
import { segmentQueueMark } from '../../src/segment/segment-name.js';
import { encodeRound, KIND_REMOVALS, KIND_SNAPSHOT, type RoundStatement } from '../../src/tombstone/tombstone-frame.js';
import { queueMark } from '../../src/tombstone/tombstone-name.js';
import { nodeHost } from '../../src/vfs/node-host.js';
import { nodeVfs } from '../../src/vfs/node-vfs.js';
import {
  crc,
  mask,
  readStoreAsStranger,
  registerOf,
  type StrangersQueue,
  type StrangersRecord,
} from '../fixtures/stranger.js';

const root = join(import.meta.dirname, '../..');
const document = readFileSync(join(root, 'FORMAT.md'), 'utf8');

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-format-'));
  folders.push(folder);
  return folder;
}

/** The bytes of an annotated dump in the document. */
function dumpOf(name: string): Buffer {
  const [, block = ''] = document.split(`\`\`\`hexdump ${name}\n`);
  const bytes: number[] = [];
  for (const line of block.slice(0, block.indexOf('```')).trimEnd().split('\n')) {
    const [, at = '', hex = ''] = /^([0-9a-f]{4}) {2}((?:[0-9a-f]{2} ?)+)/.exec(line) ?? [];
    expect(Number.parseInt(at, 16), `the offset in '${line}'`).toBe(bytes.length);
    for (const byte of hex.trim().split(' ')) bytes.push(Number.parseInt(byte, 16));
  }
  return Buffer.from(bytes);
}

/** The cells of the rows below the table header that begins with `head`. */
function tableOf(head: string): string[][] {
  const [, after = ''] = document.split(`${head}\n`);
  const rows: string[][] = [];
  for (const line of after.split('\n').slice(1)) {
    if (!line.startsWith('|')) break;
    rows.push(
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.replaceAll('`', '').trim()),
    );
  }
  expect(rows.length, `rows below ${head}`).toBeGreaterThan(1);
  return rows;
}

/** Unpacks a golden store into a folder of its own. */
function goldenStore(name: string): string {
  const dir = newFolder();
  let path = '';
  let content: string[] = [];
  let size = 0;
  const flush = (): void => {
    if (path === '') return;
    const file = Buffer.alloc(size);
    Buffer.from(content.join(''), 'hex').copy(file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, file);
  };
  for (const line of readFileSync(join(root, 'test/fixtures', name), 'utf8').split('\n')) {
    const [, at, bytes] = /^file (\S+) (\d+)$/.exec(line) ?? [];
    if (at === undefined) {
      content.push(line);
      continue;
    }
    flush();
    path = join(dir, at);
    content = [];
    size = Number(bytes);
  }
  flush();
  return dir;
}

async function recordsOf(evaq: Evaq, queue: string): Promise<QueueRecord[]> {
  const records: QueueRecord[] = [];
  for await (const record of (await evaq.queue(queue)).records()) records.push(record);
  return records;
}

/** As the engine hands it out, made of what the stranger read. */
function asEngine({ id, timestamp, payload, meta }: StrangersRecord): Record<string, unknown> {
  const record: Record<string, unknown> = { id, timestamp, payload: payload.toString('hex') };
  if (typeof meta !== 'object' || meta === null) return record;
  const names = { h: 'headers', r: 'reason', e: 'error', a: 'attempts', d: 'dueMs', v: 'redrives' };
  for (const [key, value] of Object.entries(meta)) {
    if (key in names) record[names[key as keyof typeof names]] = value;
    else if (key === 'o' && Array.isArray(value)) {
      const [queue, originId, originTime]: unknown[] = value;
      record['origin'] = { queue, id: originId, timestamp: originTime };
    }
  }
  return record;
}

function liveOf(queues: ReadonlyMap<string, StrangersQueue>, name: string): Record<string, unknown>[] {
  return (queues.get(name)?.live ?? []).map(asEngine);
}

describe('FORMAT.md', () => {
  const storeUuid = Buffer.from('00112233445546778899aabbccddeeff', 'hex');
  const time = Date.UTC(2023, 10, 14, 22, 13, 20);

  it('the worked example of a segment is what the codec writes, byte for byte', () => {
    const identity = {
      kind: 'segment',
      storeUuid,
      fileId: 2,
      idHighWater: 1001,
      queueMark: segmentQueueMark('queues/wal/00000000000000000001-0000000000000002.seg'),
    } as const;
    const salt = tiedSalt(identity, 0x5eed0000);
    const header: FileHeader = { ...identity, flags: 0, baseId: 1, createdMs: time, salt };
    const seed = fileSeed(header);
    const builder = new CommitBuilder('dense');
    builder.add(Buffer.from('hello'), undefined);
    builder.add(Buffer.from('world'), encodeMeta({ headers: { k: 'v' } }));
    const place = { seed, fileOffset: 128, firstId: 1, timestamp: time + 1, durableOffset: 128, removalSeq: 1 };
    builder.finish(place, 4096, 128, () => undefined);
    const dataEnd = 128 + builder.length;
    const summary = {
      count: 2,
      firstId: 1,
      lastId: 2,
      minTimeMs: time + 1,
      maxTimeMs: time + 1,
      payloadBytes: 10,
      dataEnd,
      removalSeq: 2,
      runs: undefined,
      replaces: [],
    };
    const index = { ids: [1], offsets: [128], mids: [0], wide: [] };
    const written = Buffer.concat([
      encodeFileHeader(header),
      builder.toBuffer(),
      encodeFooter(summary, index, seed, dataEnd, time + 3),
    ]);
    expect(document).toContain(`the seed is \`0x${seed.toString(16)}\``);
    expect(written.toString('hex')).toBe(dumpOf('segment').toString('hex'));
  });

  it('the worked example of a tombstone log is what the codec writes, byte for byte', () => {
    const identity = {
      kind: 'tombstones',
      storeUuid,
      fileId: 1,
      idHighWater: queueMark('queues/wal/0000000000000001.tomb'),
    } as const;
    const salt = tiedSalt(identity, 0x5eed0000);
    const header: FileHeader = { ...identity, flags: HEADER_FLAG_ACCOUNTS, baseId: 320, createdMs: time, salt };
    const seed = fileSeed(header);
    const snapshot: RoundStatement = {
      kind: KIND_SNAPSHOT,
      round: 1,
      nextId: 1,
      dataSegmentId: 0,
      dataOffset: 0,
      sealedBelow: 0,
      segmentIdMax: 0,
      liveRecords: 1,
      hasIntake: false,
      accountedBelow: 1,
      timestamp: time,
    };
    const removals: RoundStatement = {
      kind: KIND_REMOVALS,
      round: 2,
      nextId: 3,
      dataSegmentId: 2,
      dataOffset: 214,
      sealedBelow: 2,
      segmentIdMax: 2,
      liveRecords: 0,
      hasIntake: false,
      accountedBelow: 3,
      timestamp: time + 2,
    };
    const written = Buffer.concat([
      encodeFileHeader(header),
      encodeRound(snapshot, [], seed, 128, 0),
      encodeRound(removals, [{ first: 1, last: 1 }], seed, 320, 320),
    ]);
    expect(document).toContain(`the seed is \`0x${seed.toString(16)}\``);
    expect(written.toString('hex')).toBe(dumpOf('tombstones').toString('hex'));
  });

  it('its example is a queue that a reader written from it alone can read, and so can the engine', async () => {
    const dir = newFolder();
    const queue = join(dir, 'queues/wal');
    mkdirSync(queue, { recursive: true });
    const store: FileHeader = {
      kind: 'store',
      flags: 0,
      storeUuid,
      fileId: 0,
      baseId: 0,
      idHighWater: 0,
      createdMs: time,
      salt: 7,
    };
    writeFileSync(join(dir, 'STORE'), encodeFileHeader(store));
    writeFileSync(join(queue, '00000000000000000001-0000000000000002.seg'), dumpOf('segment'));
    writeFileSync(join(queue, '0000000000000001.tomb'), dumpOf('tombstones'));

    const stranger = readStoreAsStranger(dir);
    const live = [{ id: 2, timestamp: time + 1, payload: Buffer.from('world').toString('hex'), headers: { k: 'v' } }];
    expect(liveOf(stranger, 'wal')).toEqual(live);
    const segment = stranger.get('wal')?.segments[0];
    expect(segment?.footer?.entries).toEqual([[1, 128, false]]);
    expect(segment?.records.map(({ id }) => id)).toEqual([1, 2]);

    await using evaq = await Evaq.open(dir);
    const records = await recordsOf(evaq, 'wal');
    expect(records.map(({ payload, ...rest }) => ({ ...rest, payload: payload.toString('hex') }))).toEqual(live);
    expect(evaq.recovery.damage).toEqual([]);
    expect(evaq.wal.stats().nextId).toBe(3);
  });

  it('its test vectors of the place mask hold for the engine and for the stranger', () => {
    for (const [seed = '', offset, length, id, expected = ''] of tableOf('| seed | offset | length | id | mask |')) {
      const args = [Number(seed), Number(offset), Number(length), Number(id)] as const;
      expect(placeMask(...args), `mask(${args.join(', ')})`).toBe(Number(expected));
      expect(mask(...args), `the stranger's mask(${args.join(', ')})`).toBe(Number(expected));
    }
  });

  it('its CRC-32 is the one of the engine, for short input and for long', () => {
    expect(document).toContain('`crc32("123456789")` is `0xcbf43926`');
    expect(crc32(Buffer.from('123456789'))).toBe(0xcbf43926);
    const long = Buffer.from(Array.from({ length: 1000 }, (_, i) => (i * 31) & 0xff));
    for (const bytes of [Buffer.alloc(0), Buffer.from('123456789'), long]) expect(crc(bytes)).toBe(crc32(bytes));
  });

  it('its test vectors of varints hold both ways', () => {
    for (const [value, hex = ''] of tableOf('| value | bytes |')) {
      const writer = new VarintWriter();
      writer.push(Number(value));
      const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
      expect(Buffer.from(writer.bytes()).toString('hex'), `varint of ${value}`).toBe(bytes.toString('hex'));
      const cursor = varintCursor(bytes, 0, bytes.length);
      expect(readVarint(cursor)).toBe(Number(value));
      expect(cursor.failed).toBe(false);
    }
  });
});

describe('golden stores of format 1', () => {
  const T = 1_700_000_000_000;
  const hex = (text: string): string => Buffer.from(text).toString('hex');
  const binary = Buffer.from(Array.from({ length: 300 }, (_, i) => i & 0xff)).toString('hex');
  const headers = { 'content-type': 'text/plain', trace: 'ä' };

  /** What was pushed, less what was removed, as scripts/make-fixtures.mjs has it. */
  const clean: Readonly<Record<string, readonly Record<string, unknown>[]>> = {
    wal: [
      { id: 1, timestamp: T, payload: hex('first') },
      { id: 7, timestamp: T + 1000, payload: binary },
      { id: 8, timestamp: T + 61_000, payload: hex('eighth') },
      {
        id: 9,
        timestamp: T + 62_000,
        payload: hex('third'),
        headers,
        redrives: 1,
        origin: { queue: 'dead-letters', id: 2, timestamp: T + 1000 },
      },
    ],
    'dead-letters': [
      {
        id: 1,
        timestamp: T + 61_000,
        payload: hex('ccc'),
        reason: 'no route',
        error: { name: 'Error', message: 'connection refused', code: 'ECONNREFUSED' },
        attempts: 1,
        dueMs: T + 66_000,
        origin: { queue: 'wal', id: 6, timestamp: T + 1000 },
      },
      { id: 3, timestamp: T + 61_000, payload: hex('never in the wal') },
    ],
    'audit.v1': [
      { id: 1, timestamp: T + 62_000, payload: hex('in a named queue') },
      {
        id: 2,
        timestamp: T + 62_000,
        payload: Buffer.from(Array.from({ length: 600 }, (_, i) => (i * 7) & 0xff)).toString('hex'),
      },
    ],
  };
  const crashed: Readonly<Record<string, readonly Record<string, unknown>[]>> = {
    wal: [
      { id: 1, timestamp: T, payload: hex('one') },
      { id: 2, timestamp: T, payload: hex('two') },
      { id: 4, timestamp: T, payload: hex('four') },
      { id: 6, timestamp: T + 60_000, payload: hex('six') },
    ],
    'dead-letters': [
      {
        id: 1,
        timestamp: T + 60_000,
        payload: hex('five'),
        reason: 'too old',
        attempts: 1,
        dueMs: T + 60_000,
        origin: { queue: 'wal', id: 5, timestamp: T + 60_000 },
      },
    ],
  };

  for (const [name, expected] of Object.entries({ 'v1-clean.txt': clean, 'v1-crashed.txt': crashed })) {
    it(`P3: ${name} reads as it was written, by the engine and by the stranger`, async () => {
      const dir = goldenStore(name);
      const stranger = readStoreAsStranger(dir);
      expect([...stranger.keys()].sort()).toEqual(Object.keys(expected).sort());
      for (const queue of Object.keys(expected)) expect(liveOf(stranger, queue), queue).toEqual(expected[queue]);

      const evaq = await Evaq.open(dir);
      for (const queue of Object.keys(expected)) {
        const records = await recordsOf(evaq, queue);
        const shown = records.map(({ payload, ...rest }) => ({ ...rest, payload: payload.toString('hex') }));
        expect(shown, queue).toEqual(expected[queue]);
        expect((await evaq.queue(queue)).stats().nextId, `P8: next ID of ${queue}`).toBe(stranger.get(queue)?.nextId);
      }
      expect(evaq.recovery.damage).toEqual([]);
      await evaq.close();

      // What this version makes of it is still the format that the document describes.
      const after = readStoreAsStranger(dir);
      for (const queue of Object.keys(expected)) expect(liveOf(after, queue), queue).toEqual(expected[queue]);
    });
  }

  it('P8: a store from before the register gets one, which the stranger can read, and by which it misses a queue', async () => {
    const dir = goldenStore('v1-clean.txt');
    const store = join(dir, 'STORE');
    writeFileSync(store, readFileSync(store).subarray(0, 128));
    const evaq = await Evaq.open(dir);
    const named = evaq.queueNames().filter((name) => name !== 'wal' && name !== 'dead-letters');
    await evaq.queue(named[0] ?? '');
    await evaq.close();
    const bytes = readFileSync(store);
    const identity = Buffer.concat([bytes.subarray(0, 4), bytes.subarray(8, 32), bytes.subarray(56, 60)]);
    expect(registerOf(bytes, crc(identity))).toEqual(['wal', 'dead-letters', named[0]]);
    expect(bytes.toString('latin1')).toContain('dead-letters');
    rmSync(join(dir, 'queues', named[0] ?? ''), { recursive: true });
    expect(() => readStoreAsStranger(dir)).toThrow('was taken away');
  });

  it('v1-clean.txt opens as closed, and holds a rewritten segment whose footer the stranger can read', async () => {
    const dir = goldenStore('v1-clean.txt');
    const [rewritten] = readStoreAsStranger(dir).get('wal')?.segments ?? [];
    expect(rewritten?.footer).toMatchObject({ count: 4, firstId: 1, lastId: 7, replaces: [1] });
    expect(rewritten?.footer?.runs).toEqual([
      [1, 1],
      [3, 3],
      [6, 7],
    ]);
    expect(rewritten?.footer?.payloadBytes).toBe(
      rewritten?.records.reduce((sum, { payload }) => sum + payload.length, 0),
    );
    await using evaq = await Evaq.open(dir);
    expect(evaq.recovery.clean).toBe(true);
  });

  it('a stranger finds each record within the times that its footer tells, where the clock went ahead and back, rewritten or not', async () => {
    const dir = newFolder();
    let now = T;
    const ports = { vfs: nodeVfs, host: { ...nodeHost, now: () => now } };
    const evaq = await Evaq.open(dir, { ports });
    const said = [T, T + 400 * 86_400_000, T + 1, 5, T - 40_000, 2 ** 60, T + 2];
    for (now of said) await evaq.wal.pushMany(['kept', 'x'.repeat(1000)]);
    const named = await evaq.queue('plain');
    for (now of [T, T + 500, T + 900]) await named.push('by a clock that goes its way');
    await evaq.close();
    const spansOf = (queue: string): number => {
      const [segment] = readStoreAsStranger(dir).get(queue)?.segments ?? [];
      const { footer, records = [] } = segment ?? {};
      if (footer === undefined) throw new Error('the segment is not sealed');
      const times = records.map(({ timestamp }) => timestamp);
      expect([footer.minTime, footer.maxTime]).toEqual([Math.min(...times), Math.max(...times)]);
      for (const { id, timestamp } of records) {
        const [, least, greatest] = footer.times.findLast(([first]) => first <= id) ?? [
          0,
          footer.minTime,
          footer.maxTime,
        ];
        expect(least <= timestamp && timestamp <= greatest, `time of ${id}`).toBe(true);
      }
      return footer.times.length;
    };
    expect(spansOf('wal')).toBe(7);
    expect(spansOf('plain')).toBe(0);
    const again = await Evaq.open(dir, { ports });
    for (let id = 2; id <= 14; id += 2) await again.wal.remove(id);
    expect((await again.wal.compact()).rewrittenSegments).toBe(1);
    await again.close();
    expect(spansOf('wal')).toBe(7);
    const times = readStoreAsStranger(dir)
      .get('wal')
      ?.live.map(({ timestamp }) => timestamp);
    expect(times).toEqual(said.map((one) => Math.min(one, 2 ** 48 - 1)));
  });

  it('P4, P10: v1-crashed.txt has its torn commit cut and its move completed', async () => {
    const dir = goldenStore('v1-crashed.txt');
    expect(readStoreAsStranger(dir).get('wal')?.segments.at(-1)?.tornAt).toBe(247);
    await using evaq = await Evaq.open(dir);
    const { clean: wasClean, torn, movesCompleted } = evaq.recovery;
    expect({ wasClean, movesCompleted }).toEqual({ wasClean: false, movesCompleted: 1 });
    expect(torn.map(({ queue, offset, bytes }) => ({ queue, offset, bytes }))).toEqual([
      { queue: 'wal', offset: 247, bytes: 60 },
    ]);
  });

  for (const [what, pattern] of Object.entries({
    'the store': /^STORE$/,
    'a segment': /\.seg$/,
    'a tombstone log': /\.tomb$/,
  })) {
    it(`${what} of a newer major version is EVAQ_UNSUPPORTED_VERSION, and no file is changed`, async () => {
      const dir = goldenStore('v1-clean.txt');
      const path = readdirSync(dir, { recursive: true, encoding: 'utf8' }).find((one) => pattern.test(one)) ?? '';
      const bytes = readFileSync(join(dir, path));
      bytes.writeUInt8(2, 4);
      bytes.writeUInt32LE(crc(bytes.subarray(0, 60)), 60);
      bytes.copy(bytes, 64, 0, 64);
      writeFileSync(join(dir, path), bytes);
      const before = contentOf(dir);
      const error: unknown = await Evaq.open(dir, { onCorruption: 'quarantine' }).catch((cause: unknown) => cause);
      expect(error instanceof EvaqError ? error.code : error).toBe('EVAQ_UNSUPPORTED_VERSION');
      expect(contentOf(dir)).toEqual(before);
    });
  }
});

/** All files but the lock's note. */
function contentOf(dir: string): Map<string, string> {
  const content = new Map<string, string>();
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name === 'LOCK') continue;
    const path = join(entry.parentPath, entry.name);
    content.set(path.slice(dir.length), readFileSync(path).toString('hex'));
  }
  return content;
}
