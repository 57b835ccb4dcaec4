import { describe, expect, test } from 'vitest';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import type { Host } from '../../../src/vfs/host.js';
import type { Vfs } from '../../../src/vfs/vfs.js';
import { takeBroken } from '../../kept-contract.js';

/** Several writers at once, with a timer, turns and chance in it. */
async function workload({ vfs, host }: { readonly vfs: Vfs; readonly host: Host }): Promise<string[]> {
  const order: string[] = [];
  await vfs.makeDir('/q');
  const writer = async (name: string): Promise<void> => {
    const file = await vfs.create(`/q/${name}`);
    const content = new Uint8Array(2000);
    host.random(content);
    await Promise.all([0, 1, 2].map((i) => file.writeAt(content, 0, content.length, i * 1500)));
    await host.yield();
    await file.sync();
    order.push(name);
    await file.close();
  };
  await Promise.all(['a', 'b', 'c', 'd'].map(writer));
  await new Promise<void>((resolve) => host.after(5, resolve));
  await vfs.syncDir('/q');
  return order;
}

describe('one seed is one history', () => {
  test('the same seed gives the same calls at the same times, and the same bytes', async () => {
    for (let seed = 1; seed < 6; seed++) {
      const [a, b] = [new SimDisk({ seed }), new SimDisk({ seed })];
      // At once, so that one would disturb the other if they shared anything.
      expect(await workload(a)).toEqual(await workload(b));
      expect(a.toString()).toBe(b.toString());
      expect(a.hash()).toBe(b.hash());
      expect([...a.crashStates({ draws: 20 })].map(({ hash }) => hash)).toEqual(
        [...b.crashStates({ draws: 20 })].map(({ hash }) => hash),
      );
    }
  });

  test('different seeds finish concurrent calls in different orders', async () => {
    const orders = new Set<string>();
    const hashes = new Set<string>();
    for (let seed = 1; seed < 30; seed++) {
      const disk = new SimDisk({ seed });
      orders.add((await workload(disk)).join(''));
      hashes.add(disk.hash());
    }
    expect(orders.size).toBeGreaterThan(5);
    expect(hashes.size).toBe(29);
  });

  test('with steady timing calls take effect in their order', async () => {
    const disk = new SimDisk({ seed: 1, timing: 'steady' });
    expect(await workload(disk)).toEqual(['a', 'b', 'c', 'd']);
  });

  test('a write may be seen half done, and reads the buffer when it takes effect', async () => {
    const seen = new Set<string>();
    for (let seed = 1; seed < 40; seed++) {
      const disk = new SimDisk({ seed });
      disk.place('/f', new Uint8Array(2000));
      const file = await disk.vfs.open('/f', 'write');
      const source = new Uint8Array(2000).fill(1);
      disk.observe(() => {
        const ones = disk.read('/f')?.filter((byte) => byte === 1).length;
        seen.add(ones === 0 ? 'none' : ones === 2000 ? 'all' : 'part');
      });
      const write = file.writeAt(source, 0, 2000, 0);
      await Promise.resolve();
      await write;
      const reused = file.writeAt(source, 0, 2000, 0);
      source.fill(2);
      await reused;
      expect(disk.read('/f')?.[0]).toBe(2);
    }
    expect([...seen].sort()).toEqual(['all', 'none', 'part']);
  });
});

describe('cutting a history', () => {
  test('at every step it stops there, and nothing after the step was acknowledged', async () => {
    const whole = new SimDisk({ seed: 3 });
    await workload(whole);
    const hashes = new Set<string>();
    for (let step = 1; step <= whole.steps; step++) {
      const disk = new SimDisk({ seed: 3 });
      const died = disk.cutAfter(step);
      const { vfs, host } = disk;
      const finished = workload({ vfs, host }).then(() => 'finished');
      await Promise.race([died, finished]);
      expect(disk.steps).toBe(step);
      for (const call of disk.calls) {
        if (call.endedUs !== undefined) expect(call).toEqual(whole.calls[call.index - 1]);
      }
      hashes.add(disk.hash());
    }
    expect(hashes.size).toBeGreaterThan(20);
  });

  test('an observer sees each call, then its effects, then its acknowledgement, and may fork in between', async () => {
    const disk = new SimDisk({ seed: 1, timing: 'steady' });
    const phases: string[] = [];
    disk.observe(({ phase, step, call }) => {
      phases.push(`${step} ${phase} ${call.name} ${disk.fork().read('/f') === undefined ? 'absent' : 'present'}`);
    });
    const file = await disk.vfs.create('/f');
    await file.sync();
    expect(phases).toEqual([
      '0 call create absent',
      '1 effect create present',
      '2 ack create present',
      '2 call sync present',
      '3 effect sync present',
      '4 ack sync present',
    ]);
    expect(disk.toString()).toBe('#1 @0 p1 create /f: ok @30\n#2 @30 p1 sync /f: ok @230');
  });
});

describe('for people', () => {
  test('the tree shows what is not durable, and crash points what may be lost', async () => {
    const disk = new SimDisk({ seed: 1, timing: 'steady', fill: 'zeros' });
    disk.place('/d/old', new Uint8Array(10));
    const file = await disk.vfs.create('/d/new');
    await file.writeAt(new Uint8Array(600), 0, 600, 0);
    await disk.vfs.remove('/d/old');
    expect(disk.tree().split('\n')).toEqual([
      '/d/',
      '/d/new  600 B (durable 0), unsynced sectors: 0 1',
      'not durable: create /d/new',
      'not durable: remove /d/old',
    ]);
    expect(disk.crashPoints()).toEqual([
      { kind: 'name', subject: 'create /d/new', options: 2, lost: 1 },
      { kind: 'name', subject: 'remove /d/old', options: 2, lost: 1 },
      { kind: 'size', subject: '/d/new', options: 2, lost: 1 },
      { kind: 'sector', subject: '/d/new sector 0', options: 2, lost: 1 },
      { kind: 'sector', subject: '/d/new sector 1', options: 2, lost: 1 },
    ]);
  });

  test('the use of a closed file and a close under way are violations of the contract', async () => {
    const disk = new SimDisk({ seed: 1 });
    const file = await disk.vfs.create('/f');
    const sync = file.sync();
    await file.close();
    await sync;
    await expect(file.sync()).rejects.toMatchObject({ code: 'EBADF' });
    expect(disk.violations).toEqual(['close of /f with 1 calls under way', 'fdatasync of /f, which is closed']);
    expect(takeBroken()).toEqual(disk.violations);
  });

  test('so is a lock that is let go while a file in its folder is open for writing', async () => {
    const disk = new SimDisk({ seed: 1 });
    await disk.vfs.makeDir('/store');
    await disk.vfs.makeDir('/store-2');
    const locked = await disk.vfs.lock('/store/LOCK', '');
    const within = await disk.vfs.create('/store/f');
    const elsewhere = await disk.vfs.create('/store-2/f');
    if (locked.kind === 'locked') await locked.lock.release();
    expect(disk.violations).toEqual(['release of /store/LOCK while /store/f is open for writing']);
    expect(takeBroken()).toEqual(disk.violations);
    await Promise.all([within.close(), elsewhere.close()]);
  });
});
