import { describe, expect, it } from 'vitest';
import { contentOf, idsOf, newDisk, openSim, passTime, rejection } from '../store/store-fixture.js';

const KIB = 1024;
const SMALL = { segmentBytes: 64 * KIB };

async function codesOf(calls: readonly Promise<unknown>[]): Promise<string[]> {
  const outcomes = await Promise.allSettled(calls);
  return outcomes.map((one) => (one.status === 'fulfilled' ? 'ok' : String(one.reason.code)));
}

describe('group commit', () => {
  it('P1: pushes of one turn share one write and one sync', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.pushWal('first');
    const before = evaq.wal.stats().sync.count;
    const ids = await Promise.all(Array.from({ length: 1000 }, (_, i) => evaq.pushWal(`record ${i}`)));
    expect(evaq.wal.stats().sync.count - before).toBe(1);
    expect(ids).toEqual(Array.from({ length: 1000 }, (_, i) => i + 2));
    await evaq.close();
  });

  it('what is pushed during a sync forms the next commit, and no more than one is in flight', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.pushWal('first');
    const { count } = evaq.wal.stats().sync;
    const order: number[] = [];
    const later: Promise<void>[] = [];
    let underWay = 0;
    let most = 0;
    const stop = disk.observe(({ phase, call }) => {
      if (call.name !== 'sync' || !call.path.includes('wal/')) return;
      if (phase === 'call') most = Math.max(most, ++underWay);
      if (phase === 'ack') underWay--;
      if (phase === 'call' && later.length < 90) {
        for (let i = 0; i < 30; i++) later.push(evaq.pushWal('later').then((id) => void order.push(id)));
      }
    });
    await evaq.pushWal('second');
    while (later.length < 90) await evaq.wal.flush();
    await Promise.all(later);
    stop();
    expect(most).toBe(1);
    expect(evaq.wal.stats().sync.count - count).toBe(4);
    expect(order).toEqual(Array.from({ length: 90 }, (_, i) => i + 3));
    await evaq.close();
  });

  it('a small maxPendingBytes makes pushes wait: all settle, in order, and no more is pending', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { ...SMALL, maxPendingBytes: 1000 });
    const order: number[] = [];
    let most = 0;
    const payloads = Array.from({ length: 300 }, (_, i) => Buffer.alloc(i % 50 === 0 ? 3000 : 90, i));
    const pushes = payloads.map((payload) =>
      evaq.pushWal(payload).then((id) => {
        order.push(id);
        most = Math.max(most, evaq.wal.stats().pendingBytes);
      }),
    );
    // What waits is copied too.
    for (const payload of payloads) payload.fill(0);
    const many = evaq.wal.pushMany(['x', 'y']);
    await Promise.all(pushes);
    expect(await many).toEqual({ firstId: 301, lastId: 302 });
    expect(order).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
    expect(most).toBeLessThanOrEqual(3008);
    expect(evaq.wal.stats().pendingBytes).toBe(0);
    for await (const { id, payload } of evaq.wal.records({ to: 300 }))
      expect(payload.every((byte) => byte === ((id - 1) & 255))).toBe(true);
    await evaq.close();
  });
});

describe('pushSync', () => {
  it('P1: is durable on return, with all that was pushed before it, in order', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, SMALL);
    const ids: Promise<number>[] = [];
    const pushed: Promise<unknown>[] = [];
    for (let i = 0; i < 100; i++) {
      const before = evaq.pushWal(Buffer.alloc(900, `a${i}`));
      pushed.push(before, evaq.wal.pushMany([`b${i}`, `c${i}`]));
      if (i % 3 === 0) await Promise.resolve();
      if (i % 7 === 0) await passTime(disk, 0.2);
      ids.push(before, Promise.resolve(evaq.wal.pushSync(`d${i}`)));
      const after = disk.crash(disk.nothingSurvives());
      if (i % 20 === 0) {
        const again = await openSim(after);
        expect(again.wal.size).toBe(4 * (i + 1));
        await again.close();
      }
    }
    await Promise.all(pushed);
    const all = await Promise.all(ids);
    expect([...all].sort((a, b) => a - b)).toEqual(all);
    const content = Object.values(await contentOf(evaq.wal)).map((text) => text.slice(0, 1));
    expect(content.join('')).toBe('abcd'.repeat(100));
    await evaq.close();
    expect(disk.violations).toEqual([]);
  });

  it('works while the queue goes over to the next segment, whatever is slow', async () => {
    for (let seed = 0; seed < 15; seed++) {
      const disk = newDisk({ seed, timing: 'wild' });
      const evaq = await openSim(disk, SMALL);
      const results: Promise<number>[] = [];
      const expected: string[] = [];
      for (let i = 0; i < 40; i++) {
        results.push(evaq.pushWal(Buffer.alloc(10_000, i)));
        expected.push(String.fromCharCode(i));
        if (i % 4 === seed % 4) await passTime(disk, (seed % 5) * 0.3);
        results.push(Promise.resolve(evaq.wal.pushSync(Buffer.alloc(3000, i + 64))));
        expected.push(String.fromCharCode(i + 64));
      }
      expect(await Promise.all(results)).toEqual(expected.map((_, i) => i + 1));
      const seen: string[] = [];
      for await (const { payload } of evaq.wal.records()) seen.push(String.fromCharCode(payload[0] ?? 0));
      expect(seen).toEqual(expected);
      // The next one may still be in the making.
      await passTime(disk, 100);
      expect(evaq.wal.stats().segments).toBeGreaterThan(1);
      await evaq.close();
      const again = await openSim(disk);
      expect(again.recovery.clean).toBe(true);
      expect(again.wal.size).toBe(80);
      await again.close();
      expect(disk.violations).toEqual([]);
    }
  });

  it('P7: whose sync fails throws, stops the store, and settles every waiter', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.pushWal('kept');
    const waiting = [evaq.pushWal('a'), evaq.wal.pushMany(['b', 'c'])];
    disk.fault({ on: 'sync', path: 'wal/' });
    expect(() => evaq.wal.pushSync('d')).toThrow(/the store has stopped/);
    expect(await codesOf([...waiting, evaq.pushWal('e'), evaq.pushRetryItem('f'), evaq.wal.remove(1)])).toEqual(
      Array(5).fill('EVAQ_FAILED'),
    );
    await rejection(evaq.close(), 'EVAQ_FAILED');
  });
});

describe('a write that fails', () => {
  it.each<[string, 'ENOSPC' | 'EDQUOT' | 'EIO', string]>([
    ['a full disk', 'ENOSPC', 'EVAQ_NO_SPACE'],
    ['a used up share of the disk', 'EDQUOT', 'EVAQ_NO_SPACE'],
    ['an error of the disk', 'EIO', 'EVAQ_IO'],
  ])('P4: rejects exactly the pushes of its commit, and the store goes on: %s', async (_what, error, code) => {
    for (const afterBytes of [0, 20, 48, 70, 100_000]) {
      const disk = newDisk();
      const evaq = await openSim(disk);
      await evaq.pushWal('kept');
      disk.fault({ on: 'write', path: 'wal/', error, afterBytes });
      const failing = [evaq.pushWal('x'), evaq.wal.pushMany(['y', 'z'])];
      const elsewhere = evaq.pushRetryItem('fine');
      await Promise.resolve();
      expect(await codesOf([...failing, elsewhere])).toEqual([code, code, 'ok']);
      expect(evaq.wal.stats()).toMatchObject({ health: 'ok', pendingBytes: 0, live: 1 });
      const at = await openSim(disk.crash());
      expect(await contentOf(at.wal)).toEqual({ 1: 'kept' });
      await at.close();
      expect(await evaq.pushWal('next')).toBe(2);
      // Nothing of what failed comes back, ever.
      const after = await openSim(disk.crash(disk.nothingSurvives()));
      expect(await contentOf(after.wal)).toEqual({ 1: 'kept', 2: 'next' });
      expect(after.recovery.damage).toEqual([]);
      await evaq.close();
      await after.close();
    }
  });

  it('P4: what is pushed behind a failing commit goes through on its own', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, SMALL);
    await evaq.pushWal('kept');
    disk.fault({ on: 'write', path: 'wal/', error: 'ENOSPC', afterBytes: 10 });
    const failing = evaq.pushWal('x');
    await passTime(disk, 0.001);
    const behind = evaq.pushWal('behind');
    expect(await codesOf([failing, behind])).toEqual(['EVAQ_NO_SPACE', 'ok']);
    expect(await contentOf(evaq.wal)).toEqual({ 1: 'kept', 2: 'behind' });
    await evaq.close();
  });

  it('P7: that cannot be cut away stops the store', async () => {
    for (const on of ['truncate', 'sync'] as const) {
      const disk = newDisk();
      const evaq = await openSim(disk);
      await evaq.pushWal('kept');
      disk.fault({ on: 'write', path: 'wal/', afterBytes: 30 });
      disk.fault({ on, path: 'wal/', times: Infinity });
      expect(await codesOf([evaq.pushWal('x')])).toEqual(['EVAQ_FAILED']);
      expect(await codesOf([evaq.pushWal('y')])).toEqual(['EVAQ_FAILED']);
      expect(await contentOf(evaq.wal)).toEqual({ 1: 'kept' });
      await evaq.close().catch(() => undefined);
      disk.kill();
      const again = await openSim(disk.crash());
      expect((await contentOf(again.wal))[1]).toBe('kept');
      await again.close();
    }
  });

  it('a segment that cannot be made rejects with its code; when there is room the queue goes on', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { ...SMALL, recycleSegments: 0 });
    const cancel = disk.fault({ on: 'create', path: 'wal/', error: 'ENOSPC', times: Infinity });
    let id = 0;
    const failures: string[] = [];
    for (let i = 0; i < 10 && failures.length < 3; i++) {
      const [code = ''] = await codesOf([evaq.pushWal(Buffer.alloc(20_000)).then((given) => (id = given))]);
      if (code !== 'ok') failures.push(code);
    }
    expect(failures).toEqual(Array(3).fill('EVAQ_NO_SPACE'));
    cancel();
    expect(await evaq.pushWal('again')).toBe(id + 1);
    await evaq.close();
  });
});

describe('a failed sync', () => {
  it('P7: nothing is acknowledged any more, every waiter is settled, reads go on, a reopening works', async () => {
    for (let seed = 0; seed < 10; seed++) {
      const disk = newDisk({ seed, timing: 'wild' });
      const evaq = await openSim(disk, { ...SMALL, maxPendingBytes: 500 });
      await evaq.wal.pushMany(['a', 'b', 'c']);
      disk.fault({ on: 'sync', path: /wal\/.*seg/ });
      const waiting: Promise<unknown>[] = [];
      for (let i = 0; i < 20; i++) waiting.push(evaq.pushWal(Buffer.alloc(100, i)));
      waiting.push(evaq.wal.pushMany(['x', 'y']), evaq.wal.flush());
      expect(await codesOf(waiting)).toEqual(Array(22).fill('EVAQ_FAILED'));
      expect(evaq.wal.stats()).toMatchObject({ health: 'failed', pendingBytes: 0 });
      expect(await contentOf(evaq.wal)).toEqual({ 1: 'a', 2: 'b', 3: 'c' });
      expect((await evaq.wal.get(2))?.payload.toString()).toBe('b');
      const refused = [
        evaq.pushWal('z'),
        evaq.wal.remove(1),
        evaq.popWal(1),
        evaq.deadLetter(1, { reason: 'x' }),
        evaq.pushRetryItem('z'),
        evaq.queue('new'),
        evaq.wal.compact(),
      ];
      for (const code of (await codesOf(refused)).slice(0, 6)) expect(code).toBe('EVAQ_FAILED');
      expect(() => evaq.wal.pushSync('z')).toThrow(/stopped/);
      await evaq.close().catch(() => undefined);
      const again = await openSim(disk);
      const content = await contentOf(again.wal);
      expect(content).toMatchObject({ 2: 'b', 3: 'c' });
      expect(await again.pushWal('on')).toBeGreaterThan(3);
      await again.close();
    }
  });

  it('P7: of the removals stops the store, too', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await evaq.wal.pushMany(['a', 'b']);
    disk.fault({ on: 'sync', path: '.tomb' });
    expect(await codesOf([evaq.wal.remove(1), evaq.wal.removeMany([2])])).toEqual(['EVAQ_FAILED', 'EVAQ_FAILED']);
    expect(await codesOf([evaq.pushWal('c')])).toEqual(['EVAQ_FAILED']);
    await evaq.close().catch(() => undefined);
    const again = await openSim(disk.crash());
    expect(again.recovery.damage).toEqual([]);
    await again.close();
  });
});

describe('durability', () => {
  it("P1: 'sync' survives a power cut at once, the weaker modes a kill at once and a power cut after flush", async () => {
    for (const durability of ['sync', 'os', { intervalMs: 1000 }] as const) {
      const disk = newDisk();
      const evaq = await openSim(disk, { durability });
      await evaq.wal.pushMany(['a', 'b']);
      await evaq.wal.remove(1);
      const cut = await openSim(disk.crash(disk.nothingSurvives()));
      expect(await contentOf(cut.wal)).toEqual(durability === 'sync' ? { 2: 'b' } : {});
      expect(cut.recovery.damage).toEqual([]);
      // P8: what was told and lost does not come again.
      expect(await cut.pushWal('new')).toBeGreaterThan(2);
      const killed = await openSim(disk.fork());
      expect(await contentOf(killed.wal)).toEqual({ 2: 'b' });
      await evaq.wal.flush();
      const flushed = await openSim(disk.crash(disk.nothingSurvives()));
      expect(await contentOf(flushed.wal)).toEqual({ 2: 'b' });
      for (const one of [evaq, cut, killed, flushed]) await one.close();
    }
  });

  it('{ intervalMs } syncs at least that often', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { durability: { intervalMs: 50 } });
    await evaq.pushWal('x');
    await evaq.pushWal('y');
    expect(evaq.wal.stats().sync.count).toBe(0);
    await passTime(disk, 60);
    expect(evaq.wal.stats().sync.count).toBe(1);
    const after = await openSim(disk.crash(disk.nothingSurvives()));
    expect(await idsOf(after.wal)).toEqual([1, 2]);
    await evaq.close();
    await after.close();
  });

  it("pushSync is durable in 'os' mode as well", async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { durability: 'os', ...SMALL });
    for (let i = 0; i < 20; i++) await evaq.pushWal(Buffer.alloc(10_000));
    const id = evaq.wal.pushSync('last words');
    const after = await openSim(disk.crash(disk.nothingSurvives()));
    expect((await after.wal.get(id))?.payload.toString()).toBe('last words');
    await after.close();
    await evaq.close();
  });
});

describe('a full disk', () => {
  it('pushSync takes records as long as there is room for them: what is written ahead for speed takes none of it', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    const record = Buffer.alloc(3000, 'x');
    evaq.wal.pushSync(record);
    disk.limits.capacityBytes = disk.usedBytes + 64 * KIB;
    let bytes = 0;
    const pushing = (): void => {
      for (;;) {
        evaq.wal.pushSync(record);
        bytes += record.length;
      }
    };
    expect(pushing).toThrow(/no space|ENOSPC/i);
    expect(bytes).toBeGreaterThan(60_000);
  });

  it('a clean store with files kept for reuse opens on it', async () => {
    for (let seed = 20; seed <= 60; seed++) {
      const disk = newDisk({ seed, timing: 'wild' });
      const options = { ...SMALL, recycleSegments: 2 };
      const evaq = await openSim(disk, options);
      for (const queue of [evaq.wal, evaq.deadLetters]) {
        for (let i = 0; i < 6; i++) await queue.pushMany(Array.from({ length: 60 }, () => Buffer.alloc(900, 'a')));
        await queue.removeThrough(300);
        await queue.compact();
      }
      await evaq.close();
      disk.limits.capacityBytes = disk.usedBytes + 256;
      const again = await openSim(disk, options);
      expect(again.wal.size + again.deadLetters.size, `seed ${seed}`).toBe(120);
      await again.close();
    }
  });

  it('P2: can be emptied: removals work, their space comes back, and pushes with it', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { ...SMALL, recycleSegments: 0 });
    disk.limits.capacityBytes = disk.usedBytes + 600 * KIB;
    let pushed = 0;
    for (; pushed < 100; pushed++) {
      const [code] = await codesOf([evaq.pushWal(Buffer.alloc(9000, pushed))]);
      if (code !== 'ok') break;
    }
    expect(pushed).toBeGreaterThan(40);
    expect(pushed).toBeLessThan(100);
    for (let id = 1; id <= pushed; id++) expect(await evaq.wal.remove(id)).toBe(true);
    await evaq.wal.compact();
    expect(await codesOf([evaq.pushWal(Buffer.alloc(9000))])).toEqual(['ok']);
    expect(evaq.wal.stats()).toMatchObject({ live: 1, owedRemovals: 0, health: 'ok' });
    await evaq.close();
  });

  it('P2: a removal that finds no space is owed, not delivered again, and made good when there is some', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { ...SMALL, recycleSegments: 0 });
    await evaq.wal.pushMany(Array.from({ length: 500 }, (_, i) => `${i}`));
    disk.limits.capacityBytes = disk.usedBytes;
    // The folder cannot grow either: so the log cannot be written anew.
    const cancel = disk.fault({ on: 'rename', path: '.tomb', error: 'ENOSPC', times: Infinity });
    const rejected: number[] = [];
    for (let id = 1; id <= 499; id += 2) {
      const [code] = await codesOf([evaq.wal.remove(id)]);
      if (code !== 'ok') {
        expect(code).toBe('EVAQ_NO_SPACE');
        rejected.push(id);
      }
    }
    expect(rejected.length).toBeGreaterThan(50);
    expect(evaq.wal.stats().owedRemovals).toBeGreaterThan(0);
    expect((await idsOf(evaq.wal)).filter((id) => id % 2 === 1)).toEqual([]);
    await rejection(evaq.wal.remove(rejected[0] ?? 0), 'EVAQ_NO_SPACE');
    await rejection(evaq.wal.removeMany([rejected[0] ?? 0]), 'EVAQ_NO_SPACE');
    // Nothing is live up to there, but what was asked for is not done.
    await evaq.wal.removeThrough(0);
    const below = Math.max(...rejected);
    await rejection(evaq.wal.removeThrough(below), 'EVAQ_NO_SPACE');
    await rejection(evaq.wal.removeThrough(below), 'EVAQ_NO_SPACE');
    disk.limits.capacityBytes = Infinity;
    cancel();
    expect(await evaq.wal.remove(rejected[0] ?? 0)).toBe(true);
    expect(evaq.wal.stats().owedRemovals).toBe(0);
    expect(await evaq.wal.remove(rejected[1] ?? 0)).toBe(false);
    const after = await openSim(disk.crash(disk.nothingSurvives()));
    expect(await idsOf(after.wal)).toEqual(await idsOf(evaq.wal));
    expect(await idsOf(after.wal)).not.toContain(1);
    await after.close();
    await evaq.close();
  });

  it('P1: a record that a failed pop gave back is there after a power cut, though the round was written', async () => {
    for (let seed = 1; seed <= 3; seed++) {
      const disk = newDisk({ seed });
      const evaq = await openSim(disk);
      await evaq.wal.push('precious');
      disk.fault({ on: ['write', 'writeBlocking'], path: '.tomb', alsoDone: true, error: 'EIO' });
      await rejection(evaq.wal.pop(1), 'EVAQ_IO');
      expect(await idsOf(evaq.wal)).toEqual([1]);
      for (const { disk: after } of disk.crashStates({ draws: 10 })) {
        const again = await openSim(after);
        expect(await idsOf(again.wal)).toEqual([1]);
        await again.close();
      }
      disk.kill();
    }
  });
});
