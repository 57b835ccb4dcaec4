import { describe, expect, it } from 'vitest';
import { type ReadAt, ReadWindow } from '../../../src/vfs/read-window.js';

const FILE = Buffer.from(Array.from({ length: 5000 }, (_, i) => 1 + (i % 250)));

/** Reads of `FILE`, of which some are cut short or fail. */
function reader(plan: Readonly<Record<number, number | Error>> = {}): {
  readonly readAt: ReadAt;
  readonly calls: () => number;
} {
  let calls = 0;
  const readAt: ReadAt = async (target, offset, length, position) => {
    const planned = plan[++calls];
    if (planned instanceof Error) throw planned;
    const bytes = Math.max(0, Math.min(length, FILE.length - position, planned ?? length));
    target.set(FILE.subarray(position, position + bytes), offset);
    return bytes;
  };
  return { readAt, calls: () => calls };
}

function expectTrue(window: ReadWindow): void {
  expect(window.chunk.subarray(0, window.bytes).equals(FILE.subarray(window.from, window.from + window.bytes))).toBe(
    true,
  );
}

for (const reuse of [false, true]) {
  describe(`a window over a file${reuse ? ', its buffers used again' : ''}`, () => {
    const newWindow = (): ReadWindow => new ReadWindow({ carryBytesMax: 200, reuse });

    it('reads every byte once, whatever begins in one chunk and ends in the next', async () => {
      const window = newWindow();
      const { readAt, calls } = reader();
      for (let at = 0; at < FILE.length; at += 130) {
        const bytes = Math.min(130, FILE.length - at);
        if (!window.holds(at, bytes)) {
          await window.fill(readAt, at, bytes, 500);
          window.readAhead(readAt, 500, FILE.length);
        }
        expect(window.holds(at, bytes)).toBe(true);
        expectTrue(window);
      }
      expect(calls()).toBe(FILE.length / 500);
    });

    it('what is larger than the room in front of a chunk is read by itself', async () => {
      const window = newWindow();
      const { readAt } = reader();
      await window.fill(readAt, 0, 10, 500);
      window.readAhead(readAt, 500, FILE.length);
      await window.fill(readAt, 100, 900, 900);
      expect(window.holds(100, 900)).toBe(true);
      expectTrue(window);
    });

    it('a read ahead that failed or was short is made up for', async () => {
      for (const plan of [{ 2: new Error('mine') }, { 2: 0 }, { 2: 150 }, { 3: 40 }]) {
        const window = newWindow();
        const { readAt } = reader(plan);
        for (let at = 0; at < FILE.length; at += 90) {
          const bytes = Math.min(90, FILE.length - at);
          if (!window.holds(at, bytes)) {
            await window.fill(readAt, at, bytes, 400);
            window.readAhead(readAt, 400, FILE.length);
          }
          expect(window.holds(at, bytes)).toBe(true);
          expectTrue(window);
        }
        await window.settled();
      }
    });

    it('says how much there is at the end of the file', async () => {
      const window = newWindow();
      const { readAt } = reader();
      await window.fill(readAt, 4900, 300, 500);
      expect(window.bytes).toBe(100);
      await window.fill(readAt, FILE.length, 10, 500);
      expect(window.bytes).toBe(0);
    });
  });
}

it('a chunk that was handed out stays as it was', async () => {
  const window = new ReadWindow({ carryBytesMax: 200, reuse: false });
  const { readAt } = reader();
  await window.fill(readAt, 0, 10, 400);
  const kept: Buffer[] = [];
  for (let at = 400; at < 4400; at += 400) {
    kept.push(window.chunk.subarray(0, 400));
    window.readAhead(readAt, 400, FILE.length);
    await window.fill(readAt, at, 10, 400);
  }
  expect(Buffer.concat(kept).equals(FILE.subarray(0, 4000))).toBe(true);
});
