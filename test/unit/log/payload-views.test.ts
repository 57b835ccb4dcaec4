/** Payloads share the chunk that they were read in: none of them can be used to empty the others. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { RawSegment } from '../../../src/raw.js';
import { newDisk, openReal, openSim, SIM_PATH } from '../store/store-fixture.js';

/** Transferring the buffer of one payload leaves all of them as they are: by the version of Node it throws, or copies. */
function expectSafe(payloads: readonly Buffer[], texts: readonly string[]): void {
  for (const payload of payloads) {
    const { buffer } = payload;
    if (!(buffer instanceof ArrayBuffer)) throw new Error('payloads are views of an ArrayBuffer');
    try {
      structuredClone(payload, { transfer: [buffer] });
    } catch (error) {
      expect(error).toMatchObject({ name: 'DataCloneError' });
    }
    expect(Buffer.from(structuredClone(payload)).equals(payload)).toBe(true);
  }
  expect(payloads.map(String)).toEqual(texts);
}

const TEXTS = Array.from({ length: 50 }, (_, i) => `${i}:`.padEnd(400 + i, 'x'));
const LARGE = ['a', 'b'].map((letter) => letter.repeat(100_000));

describe('a payload whose buffer is transferred', () => {
  it.each([
    { what: 'small records', texts: TEXTS },
    { what: 'large records', texts: LARGE },
  ])('leaves its neighbours intact: $what', async ({ texts }) => {
    const evaq = await openReal();
    await evaq.wal.pushMany(texts);
    expectSafe(
      (await evaq.wal.read()).map(({ payload }) => payload),
      texts,
    );
    const one = await evaq.wal.get(2);
    expectSafe(one === undefined ? [] : [one.payload], texts.slice(1, 2));
    const iterated: Buffer[] = [];
    for await (const { payload } of evaq.wal.records()) iterated.push(payload);
    expectSafe(iterated, texts);
    await using reader = await Evaq.openReadOnly(evaq.path);
    expectSafe(
      (await reader.wal.read()).map(({ payload }) => payload),
      texts,
    );
    const folder = join(evaq.path, 'queues/wal');
    const [name = ''] = readdirSync(folder)
      .filter((file) => file.endsWith('.seg'))
      .sort();
    await using segment = await RawSegment.open(join(folder, name));
    const raw: Buffer[] = [];
    for await (const entry of segment.records()) if (entry.valid) raw.push(entry.record.payload);
    expectSafe(raw, texts);
    const popped = await evaq.wal.pop(1);
    expectSafe([popped.payload], texts.slice(0, 1));
  });

  it('leaves them intact where the commit is damaged, too', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.pushMany(TEXTS);
    const [name = ''] = (await disk.vfs.list(`${SIM_PATH}/queues/wal`))
      .map((entry) => entry.name)
      .filter((file) => file.endsWith('.seg'));
    const file = await disk.vfs.open(`${SIM_PATH}/queues/wal/${name}`, 'write');
    await file.writeAt(Buffer.from('damage'), 0, 6, 128 + 48 + 8);
    await file.close();
    expectSafe(
      (await evaq.wal.read({ from: 2 })).map(({ payload }) => payload),
      TEXTS.slice(1),
    );
  });
});
