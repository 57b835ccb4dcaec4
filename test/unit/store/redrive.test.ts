import { describe, expect, it } from 'vitest';
import { newDisk, openSim, rejection } from './store-fixture.js';

describe('redrive', () => {
  it('P14: asks about the dead letters that there are at the call, however many come meanwhile', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { durability: 'os' });
    const fail = async (): Promise<number> =>
      evaq.deadLetter(await evaq.wal.push(Buffer.alloc(300_000)), { reason: 'no' });
    for (let i = 0; i < 8; i++) await fail();
    const asked: number[] = [];
    const moved = await evaq.redrive(async ({ id }) => {
      asked.push(id);
      if (asked.length < 40) await fail();
      return id === 8;
    });
    expect(asked).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(moved).toHaveLength(1);
    await evaq.close();
  });

  it('passes over a dead letter whose removal is owed', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.deadLetters.pushMany(['one', 'two']);
    const tombstones = { on: 'write', path: /dead-letters.*tomb/, error: 'EIO', times: 1 } as const;
    disk.fault(tombstones);
    await rejection(evaq.deadLetters.remove(1), 'EVAQ_IO');
    expect(evaq.deadLetters.stats().owedRemovals).toBe(1);
    // The tombstone of what moves is owed, too: that is no failure of the move.
    disk.fault(tombstones);
    expect(await evaq.redrive([1, 2])).toEqual([1]);
    expect((await evaq.wal.get(1))?.payload.toString()).toBe('two');
    await evaq.close();
  });

  it('says which have moved, also if none has', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.deadLetters.pushMany(['one', 'two']);
    disk.fault({ on: 'write', path: /wal.*seg/, error: 'ENOSPC', times: Infinity });
    const { details } = await rejection(evaq.redrive([1, 2]), 'EVAQ_NO_SPACE');
    expect(details.moved).toEqual([]);
    await evaq.close();
  });
});

describe('dead letters', () => {
  it('any name has a queue for its dead letters', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    const longest = await evaq.queue('a'.repeat(64));
    await longest.push('x');
    expect(await longest.deadLetter(1, { reason: 'no' })).toBe(1);
    expect(await longest.redrive([1])).toEqual([2]);
    await evaq.close();
  });

  it('errors in a list of a class of its own do not keep a record from moving', async () => {
    class Failures extends Array<Error> {
      override slice(): Error[] {
        throw new Error('not like this');
      }
      static override get [Symbol.species](): ArrayConstructor {
        throw new Error('nor like this');
      }
    }
    class NoList extends Failures {
      override slice(): never[] {
        return JSON.parse('null');
      }
    }
    const disk = newDisk();
    const evaq = await openSim(disk);
    for (const errors of [new Failures(), new NoList()]) {
      errors.push(new Error('one'), new Error('two'));
      const id = await evaq.deadLetter(await evaq.wal.push('x'), { reason: 'no', error: { message: 'many', errors } });
      const letter = await evaq.deadLetters.get(id);
      expect(letter?.error?.errors?.map(({ message }) => message)).toEqual(['one', 'two']);
    }
    await evaq.close();
  });
});
