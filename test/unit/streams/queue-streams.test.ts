import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, expect, it } from 'vitest';
import type { QueueRecord } from '../../../src/evaq.js';
import { callUntyped, newDisk, openSim } from '../store/store-fixture.js';

async function textsOf(records: AsyncIterable<QueueRecord>): Promise<string[]> {
  const texts: string[] = [];
  for await (const { payload } of records) texts.push(payload.toString());
  return texts;
}

describe('a queue as a stream to write to', () => {
  it.each([1, 2, 3, 7, 1000])('takes lines, wherever chunks of %i bytes end', async (bytes) => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    const text = Buffer.from('one\ntwo ü ☃\n\r\n\nlast without an end');
    const chunks = Array.from({ length: Math.ceil(text.length / bytes) }, (_, i) =>
      text.subarray(i * bytes, (i + 1) * bytes),
    );
    const writable = evaq.wal.writable({ split: 'lines', batch: { maxRecords: 2 } });
    await pipeline(Readable.from(chunks), writable);
    expect(await textsOf(evaq.wal.records())).toEqual(['one', 'two ü ☃', '\r', '', 'last without an end']);
    expect(writable.pushed).toBe(5);
    await evaq.close();
  });

  it('takes each chunk as a record, and texts in their encoding', async () => {
    const evaq = await openSim(newDisk());
    const writable = evaq.wal.writable();
    writable.write('ä');
    writable.write('e9', 'hex');
    writable.end(Buffer.from([1, 2]));
    await new Promise((resolve) => writable.once('finish', resolve));
    const found = [];
    for await (const { payload } of evaq.wal.records()) found.push(payload.toString('hex'));
    expect(found).toEqual(['c3a4', 'e9', '0102']);
    await evaq.close();
  });

  it.each(['utf8', 'utf-8', 'UTF-8'] as const)(
    'refuses a text that would come back as another one (%s)',
    async (encoding) => {
      const evaq = await openSim(newDisk());
      const writable = evaq.wal.writable();
      void callUntyped(writable, 'end', 'half \ud800 of a pair', encoding);
      const error = await new Promise((resolve) => writable.once('error', resolve));
      expect(error).toMatchObject({ name: 'TypeError', message: expect.stringContaining('index 5') });
      expect(evaq.wal.size).toBe(0);
      await evaq.close();
    },
  );

  it('keeps the beginning of a line though its memory is used again', async () => {
    const evaq = await openSim(newDisk());
    const writable = evaq.wal.writable({ split: 'lines' });
    const memory = Buffer.from('one\nbegun');
    await new Promise((resolve) => writable.write(memory, resolve));
    memory.fill('x');
    await new Promise<void>((resolve) => writable.end(' and ended', () => resolve()));
    expect(await textsOf(evaq.wal.records())).toEqual(['one', 'begun and ended']);
    await evaq.close();
  });

  it.each(['sync', 'os', { intervalMs: 50 }] as const)(
    'P1: what has finished is durable, in mode %j',
    async (durability) => {
      const disk = newDisk();
      const evaq = await openSim(disk, { durability });
      await pipeline(Readable.from(['a\nb\n', 'c\n']), evaq.wal.writable({ split: 'lines' }));
      const again = await openSim(disk.crash(disk.nothingSurvives()));
      expect(await textsOf(again.wal.records())).toEqual(['a', 'b', 'c']);
      disk.kill();
      await again.close();
    },
  );

  it.each([
    { records: 2, whenFull: 'wait' },
    { bytes: 40, whenFull: 'wait' },
    { records: 2, whenFull: 'drop-oldest' },
  ] as const)('waits, or drops, within the limits %j, though more was written than they allow', async (limits) => {
    const evaq = await openSim(newDisk());
    const queue = await evaq.queue('limited', { limits });
    const delivered: string[] = [];
    const texts = Array.from({ length: 9 }, (_, i) => `line ${i}`);
    const writable = queue.writable({ split: 'lines' });
    const finished = new Promise((resolve, reject) => writable.once('finish', resolve).once('error', reject));
    writable.end(texts.join('\n'));
    const delivery =
      limits.whenFull === 'wait'
        ? queue.process(({ payload }) => void delivered.push(payload.toString()), { order: 'fifo' })
        : undefined;
    await finished;
    expect(writable.pushed).toBe(9);
    await delivery?.drained();
    if (delivery === undefined) expect(await textsOf(queue.records())).toEqual(texts.slice(-2));
    else expect(delivered).toEqual(texts);
    await evaq.close();
  });

  it('ends with the error of a push, and what was committed before stays', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    const writable = evaq.wal.writable();
    writable.write('first');
    await new Promise<void>((resolve) => disk.host.after(50, resolve));
    disk.fault({ on: 'write', path: /wal.*seg/, error: 'ENOSPC', times: Infinity });
    await expect(pipeline(Readable.from(['second', 'third']), writable)).rejects.toMatchObject({
      code: 'EVAQ_NO_SPACE',
    });
    expect(writable.destroyed).toBe(true);
    expect(writable.pushed).toBe(1);
    expect(await textsOf(evaq.wal.records())).toEqual(['first']);
    await evaq.close();
  });

  it('refuses a line that is too long, and holds no more of it than that', async () => {
    const evaq = await openSim(newDisk(), { recordBytesMax: 1000 });
    const long = Array.from({ length: 100 }, () => Buffer.alloc(100, 'x'));
    const writable = evaq.wal.writable({ split: 'lines' });
    await expect(pipeline(Readable.from(long), writable)).rejects.toMatchObject({
      code: 'EVAQ_RECORD_TOO_LARGE',
      details: { queue: 'wal', limit: 1000 },
    });
    await evaq.close();
  });

  it('holds its source back while a batch is being committed', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    let made = 0;
    function* source(): Generator<Buffer> {
      for (; made < 1000; made++) yield Buffer.alloc(10_000, made);
    }
    const writable = evaq.wal.writable({ batch: { maxBytes: 100_000 } });
    let most = 0;
    disk.observe(() => {
      most = Math.max(most, made - writable.pushed);
    });
    await pipeline(Readable.from(source()), writable);
    expect(made).toBe(1000);
    // What the stream holds, a batch under way, and what the source has read ahead.
    expect(most).toBeLessThan(60);
    await evaq.close();
  });

  it('is a WritableStream, too', async () => {
    const evaq = await openSim(newDisk());
    const writer = evaq.wal.writableWeb({ split: 'lines' }).getWriter();
    await writer.write(Buffer.from('a\nb'));
    await writer.close();
    expect(await textsOf(evaq.wal.records())).toEqual(['a', 'b']);
    await evaq.close();
  });

  it('refuses options that are none, and a store that is closed', async () => {
    const evaq = await openSim(newDisk());
    const call = (name: string, options: unknown): unknown =>
      Reflect.apply(Reflect.get(evaq.wal, name), evaq.wal, [options]);
    expect(() => call('writable', { splitt: 'lines' })).toThrow(/did you mean 'split'/);
    expect(() => call('writable', { split: 'words' })).toThrow(TypeError);
    expect(() => evaq.wal.writable({ batch: { maxRecords: 0 } })).toThrow(RangeError);
    expect(() => call('readable', { follow: 1 })).toThrow(TypeError);
    const open = evaq.wal.writable();
    await evaq.close();
    expect(() => evaq.wal.writable()).toThrow(expect.objectContaining({ code: 'EVAQ_CLOSED' }));
    await expect(pipeline(Readable.from(['x']), open)).rejects.toMatchObject({ code: 'EVAQ_CLOSED' });
  });
});

describe('a queue as a stream to read from', () => {
  it('refuses a range that is none when it is made', async () => {
    const evaq = await openSim(newDisk());
    for (const range of [{ from: -1 }, { to: 'a' }, { signal: 3 }]) {
      await expect(callUntyped(evaq.wal, 'readable', range)).rejects.toThrow();
      await expect(callUntyped(evaq.wal, 'readableWeb', range)).rejects.toThrow();
    }
    await evaq.close();
  });

  it('gives its records, a range of them, and ends; or waits for more', async () => {
    const evaq = await openSim(newDisk());
    await evaq.wal.pushMany(['a', 'b', 'c']);
    expect(await textsOf(evaq.wal.readable())).toEqual(['a', 'b', 'c']);
    expect(await textsOf(evaq.wal.readable({ from: 2, to: 2 }))).toEqual(['b']);
    const following = evaq.wal.readable({ from: 3, follow: true });
    const seen: string[] = [];
    for await (const record of following) {
      seen.push(record.payload.toString());
      if (seen.length === 1) void evaq.wal.push('d');
      else break;
    }
    expect(seen).toEqual(['c', 'd']);
    expect(following.destroyed).toBe(true);
    await evaq.close();
  });

  it('goes from one queue to another through pipeline', async () => {
    const evaq = await openSim(newDisk());
    const other = await evaq.queue('other');
    await evaq.wal.pushMany(Array.from({ length: 500 }, (_, i) => `r${i}`));
    await pipeline(
      evaq.wal.readable(),
      async function* (records: AsyncIterable<QueueRecord>) {
        for await (const { payload } of records) yield payload;
      },
      other.writable(),
    );
    expect(other.size).toBe(500);
    const reader = evaq.wal.readableWeb({ to: 2 }).getReader();
    expect((await reader.read()).done).toBe(false);
    await reader.cancel();
    await evaq.close();
  });
});

describe('a stream into a queue that has limits', () => {
  it.each([{ records: 8 }, { bytes: 160 }])(
    'waits for room, and has more than the queue may hold: %o',
    async (limits) => {
      const evaq = await openSim(newDisk(), { limits: { ...limits, whenFull: 'wait' } });
      const writable = evaq.wal.writable({ split: 'lines' });
      writable.end('line\n'.repeat(50));
      const finished = new Promise((resolve, reject) => writable.once('finish', resolve).once('error', reject));
      for await (const { id } of evaq.wal.tail({ to: 50 })) await evaq.wal.remove(id);
      await finished;
      expect(writable.pushed).toBe(50);
      await evaq.close();
    },
  );
});
