import { describe, expect, it } from 'vitest';
import type { Evaq } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim/sim-disk.js';
import { newDisk, openSim, passTime } from '../store/store-fixture.js';

/** Three callers that claim record 1 again and again, in vain: its destination has no space. */
async function beside(call: (evaq: Evaq) => Promise<unknown>): Promise<{ answer: unknown; tries: number }> {
  const disk = newDisk();
  const evaq = await openSim(disk);
  await evaq.wal.pushMany(['one', 'two', 'three']);
  disk.fault({ on: 'write', path: /dead-letters.*seg/, error: 'ENOSPC', times: Infinity });
  let tries = 0;
  let isOver = false;
  const claimer = async (): Promise<void> => {
    while (!isOver && tries < 500) {
      await disk.host.yield();
      await evaq.deadLetter(1, { reason: 'in vain' }).catch(() => undefined);
      tries++;
    }
  };
  const claimers = [claimer(), claimer(), claimer()];
  await passTime(disk, 5);
  const before = tries;
  const answer = await call(evaq);
  const during = tries - before;
  isOver = true;
  await Promise.all(claimers);
  await evaq.close();
  return { answer, tries: during };
}

async function popAll(evaq: Evaq, disk: SimDisk, ids: readonly number[], width: number): Promise<void> {
  const left = [...ids];
  const popper = async (): Promise<void> => {
    for (let id = left.shift(); id !== undefined; id = left.shift()) {
      await evaq.wal.pop(id);
      await disk.host.yield();
    }
  };
  await Promise.all(Array.from({ length: width }, popper));
}

describe('reads beside claims that follow each other', () => {
  it('P14: get does not wait for one claim after the other', async () => {
    const { answer, tries } = await beside((evaq) => evaq.wal.get(1));
    expect(answer).toMatchObject({ id: 1, payload: Buffer.from('one') });
    expect(tries).toBeLessThan(20);
  });

  it('P14: an iteration hands the record out, and what stands behind it', async () => {
    const { answer, tries } = await beside(async (evaq) => {
      const ids: number[] = [];
      for await (const { id } of evaq.wal.records()) ids.push(id);
      return ids;
    });
    expect(answer).toEqual([1, 2, 3]);
    expect(tries).toBeLessThan(30);
  });

  it('P14: a tail does, too', async () => {
    const { answer, tries } = await beside(async (evaq) => {
      const ids: number[] = [];
      for await (const { id } of evaq.wal.tail()) if (ids.push(id) === 3) break;
      return ids;
    });
    expect(answer).toEqual([1, 2, 3]);
    expect(tries).toBeLessThan(30);
  });

  it('P13: a read keeps to its limits beside pops that never pause, without a gap', async () => {
    const disk = newDisk({ seed: 3 });
    const evaq = await openSim(disk);
    const count = 300;
    await evaq.wal.pushMany(Array.from({ length: count }, () => 'x'.repeat(50)));
    const ids = Array.from({ length: count }, (_, i) => i + 1);
    let isOver = false;
    const popping = popAll(evaq, disk, ids, 8).then(() => {
      isOver = true;
    });
    let most = 0;
    let mostBytes = 0;
    let rounds = 0;
    while (!isOver && rounds < 1000) {
      const some = await evaq.wal.read({ maxRecords: 2 });
      most = Math.max(most, some.length);
      // Pops go by ID: what is live ascends by one.
      expect(some.map(({ id }) => id)).toEqual(some.map((_, i) => (some[0]?.id ?? 0) + i));
      const others = await evaq.wal.read({ maxBytes: 120 });
      mostBytes = Math.max(
        mostBytes,
        others.reduce((sum, { payload }) => sum + payload.length, 0),
      );
      rounds++;
      // Where nothing is left a read does not let others have their turn.
      await disk.host.yield();
    }
    await popping;
    expect(rounds).toBeGreaterThan(5);
    expect(most).toBe(2);
    expect(mostBytes).toBe(100);
    await evaq.close();
  });
});
