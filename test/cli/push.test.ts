import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Pusher, Tally } from '../../src/cli/push.js';

/** A queue that commits when it is told to. */
class SlowQueue {
  readonly #waiting: (() => void)[] = [];
  #nextId = 1;

  get pending(): number {
    return this.#waiting.length;
  }

  push(): Promise<number> {
    const id = this.#nextId++;
    return new Promise((resolve) => this.#waiting.push(() => resolve(id)));
  }

  pushMany(given: Iterable<unknown>): Promise<{ firstId: number; lastId: number }> {
    const payloads = [...given];
    const firstId = this.#nextId;
    this.#nextId += payloads.length;
    const ids = { firstId, lastId: this.#nextId - 1 };
    return new Promise((resolve) => this.#waiting.push(() => resolve(ids)));
  }

  commit(): void {
    for (const settle of this.#waiting.splice(0)) settle();
  }
}

test.each([1, 5])('P12: input is not read faster than the queue takes it, in batches of %d', async (batch) => {
  const queue = new SlowQueue();
  const tally = new Tally();
  const pusher = new Pusher(queue, batch, tally);
  let blocks = 0;
  const reading = (async () => {
    for (; blocks < 100; blocks++) {
      for (let i = 0; i < 10; i++) pusher.add(Buffer.from('x'));
      await pusher.endOfBlock();
    }
    await pusher.finish();
  })();
  for (let turn = 0; turn < 200; turn++) await setImmediate();
  expect(blocks).toBeLessThan(30);
  expect(queue.pending).toBeLessThan(300);
  while (blocks < 100 || queue.pending > 0) {
    queue.commit();
    await setImmediate();
  }
  await reading;
  expect(tally.toString()).toBe('pushed 1000 records, IDs 1 to 1000');
});
