import { describe, expect, it } from 'vitest';
import { idsOf, newDisk, openSim, rejection } from '../store/store-fixture.js';

const WIPED = { on: 'write', path: /tomb/ } as const;

describe('wiping a round that could not be written', () => {
  it.each(['EINTR', 'EAGAIN', 'ENOMEM', 'EMFILE', 'ENOSPC'] as const)(
    'P14: a fault that passes (%s) and hits it, too, does not stop the store',
    async (error) => {
      for (const times of [2, 3, 4]) {
        const disk = newDisk();
        const evaq = await openSim(disk);
        await evaq.wal.pushMany(['a', 'b', 'c']);
        disk.fault({ ...WIPED, error, times });
        // For want of space the log is written anew, which may find some.
        if (error === 'ENOSPC') await evaq.wal.remove(1).catch(({ code }) => expect(code).toBe('EVAQ_NO_SPACE'));
        else await rejection(evaq.wal.remove(1), 'EVAQ_IO');
        expect(evaq.wal.stats().health).toBe('ok');
        await evaq.wal.push('d');
        await evaq.wal.remove(2);
        await evaq.close();
        const again = await openSim(disk);
        expect(await idsOf(again.wal)).toEqual([3, 4]);
        await again.close();
      }
    },
  );

  it.each([
    ['EIO', 2],
    ['EINTR', 5],
  ] as const)('P2: where it cannot be wiped the store stops (%s, %i times)', async (error, times) => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.pushMany(['a', 'b', 'c']);
    disk.fault({ ...WIPED, error, times });
    await rejection(evaq.wal.remove(1), 'EVAQ_FAILED');
    await rejection(evaq.wal.push('d'), 'EVAQ_FAILED');
    await evaq.close().catch(() => undefined);
  });
});
