/**
 * What was claimed, or whose removal failed, is let go: its segment is dropped when all in it is removed. One that stays held for ever shows nowhere but
 * in the space that it takes.
 */
import { describe, expect, it } from 'vitest';
import type { Evaq } from '../../../src/evaq.js';
import { newDisk, openSim, rejection } from '../store/store-fixture.js';

const RECORDS = 4;

/** Removes what is left, and what is dead is dropped. */
async function expectDropped(evaq: Evaq): Promise<void> {
  const before = evaq.wal.stats().gc.droppedSegments;
  await evaq.wal.removeThrough(RECORDS);
  expect(evaq.wal.size).toBe(0);
  await evaq.wal.compact();
  expect(evaq.wal.stats().gc.droppedSegments).toBe(before + 1);
  await evaq.close();
}

describe('P6: a segment is dropped though', () => {
  it('moves out of it were given back, since the destination could not take them', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.pushMany(Array.from({ length: RECORDS }, (_, i) => `${i}`));
    for (const id of [1, 2]) {
      disk.fault({ on: 'write', path: /dead-letters\/.*\.seg$/, times: 1 });
      await rejection(evaq.deadLetter(id, { reason: 'no' }), 'EVAQ_IO');
    }
    await expectDropped(evaq);
  });

  it('a pop was given back, since its round could not be written', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.pushMany(Array.from({ length: RECORDS }, (_, i) => `${i}`));
    disk.fault({ on: 'write', path: /tomb/, error: 'EINTR', times: 1 });
    await rejection(evaq.wal.pop(1), 'EVAQ_IO');
    expect(evaq.wal.size).toBe(RECORDS);
    await expectDropped(evaq);
  });

  it('a removal was owed, and went with the next round', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.pushMany(Array.from({ length: RECORDS }, (_, i) => `${i}`));
    disk.fault({ on: 'write', path: /tomb/, error: 'EINTR', times: 1 });
    await rejection(evaq.wal.removeMany([1, 3]), 'EVAQ_IO');
    await expectDropped(evaq);
  });

  it('a pop found its record unreadable for a moment', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.pushMany(Array.from({ length: RECORDS }, (_, i) => `${i}`));
    disk.fault({ on: 'read', path: /\.seg/, error: 'EMFILE', times: 1 });
    await rejection(evaq.wal.pop(2), 'EVAQ_IO');
    await expectDropped(evaq);
  });
});
