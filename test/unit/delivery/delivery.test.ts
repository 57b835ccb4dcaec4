/** Delivery on the simulated machine: what becomes of each record, over failures, restarts, deaths and outages. */
import { describe, expect, it } from 'vitest';
import { DeadLetterError, type Evaq, type QueueRecord, RetryLater } from '../../../src/evaq.js';
import type { SimDisk } from '../../../src/sim.js';
import { contentOf, newDisk, openReal, openSim, passTime } from '../store/store-fixture.js';

const FAST = { backoff: { baseMs: 10, maxMs: 100 } };
const FAILURE = new Error('it does not work');

async function filled(evaq: Evaq, count: number): Promise<void> {
  await evaq.wal.pushMany(Array.from({ length: count }, (_, i) => `r${i + 1}`));
}

function textOf({ payload }: QueueRecord): string {
  return payload.toString();
}

/** Waits, in simulated time, until it is so. */
async function until(disk: SimDisk, isSo: () => boolean, what: string, stepMs: number = 5): Promise<void> {
  for (let step = 0; step < 20_000; step++) {
    if (isSo()) return;
    await passTime(disk, stepMs);
  }
  throw new Error(`it never came to be: ${what}`);
}

describe('success and failure', () => {
  it('P2: success removes, durably; each record is handed out once', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await filled(evaq, 100);
    const seen: string[] = [];
    const delivery = evaq.evacuate(async (record) => {
      seen.push(textOf(record));
      await passTime(disk, 1);
    });
    await delivery.drained();
    expect(seen).toHaveLength(100);
    expect(new Set(seen).size).toBe(100);
    expect(delivery.stats()).toMatchObject({
      delivered: 100,
      failed: 0,
      inFlight: 0,
      breaker: 'closed',
      state: 'running',
    });
    const after = await openSim(disk.crash(disk.nothingSurvives()));
    expect(after.wal.size).toBe(0);
    await delivery.stop();
    expect(await delivery.done).toMatchObject({ delivered: 100 });
  });

  it('P10: after maxAttempts a record moves to the dead letters, once, with all that is known', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await filled(evaq, 3);
    const attempts: number[] = [];
    const delivery = evaq.evacuate(
      (record, { attempt, deliveryId }) => {
        expect(deliveryId).toBe(`${evaq.storeId}:wal:${record.id}`);
        if (textOf(record) !== 'r2') return;
        attempts.push(attempt);
        throw FAILURE;
      },
      { retry: { maxAttempts: 4, ...FAST } },
    );
    await delivery.drained();
    expect(attempts).toEqual([1, 2, 3, 4]);
    const [dead, ...others] = await evaq.deadLetters.read();
    expect(others).toEqual([]);
    expect(dead).toMatchObject({
      attempts: 4,
      reason: 'attempts',
      error: { message: FAILURE.message },
      origin: { queue: 'wal', id: 2 },
      identity: { queue: 'wal', id: 2 },
    });
    expect(dead?.failedMs?.[1]).toBeGreaterThanOrEqual(dead?.failedMs?.[0] ?? Infinity);
    expect(delivery.stats()).toMatchObject({ delivered: 2, failed: 4, retried: 3, deadLettered: 1 });
    await evaq.close();
  });

  it('attempts add up through dead letters and redrives, and the ID of the delivery stays', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await filled(evaq, 1);
    const seen: [number, string][] = [];
    const delivery = evaq.evacuate(
      (_record, { attempt, deliveryId }) => {
        seen.push([attempt, deliveryId]);
        throw FAILURE;
      },
      { retry: { maxAttempts: 2, ...FAST } },
    );
    await delivery.drained();
    await evaq.redrive([1]);
    await delivery.drained();
    expect(seen.map(([attempt]) => attempt)).toEqual([1, 2, 3, 4]);
    expect(new Set(seen.map(([, id]) => id))).toEqual(new Set([`${evaq.storeId}:wal:1`]));
    expect((await evaq.deadLetters.read())[0]).toMatchObject({
      attempts: 4,
      redrives: 1,
      identity: { queue: 'wal', id: 1 },
    });
    await evaq.close();
  });

  it('what the handler says itself comes first: dead, later, not counted', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await filled(evaq, 4);
    const tries: string[] = [];
    const delivery = evaq.evacuate(
      (record, { attempt }) => {
        const text = textOf(record);
        const isFirst = !tries.includes(text);
        tries.push(text);
        if (text === 'r1') throw new DeadLetterError('no such customer');
        if (text === 'r2' && isFirst) throw new RetryLater({ delayMs: 1000 });
        if (text === 'r3' && isFirst) throw new RetryLater({ delayMs: 10, countAttempt: true });
        if (text === 'r2') expect(attempt).toBe(1);
        if (text === 'r3') expect(attempt).toBe(2);
      },
      { retry: { classify: () => 'drop' } },
    );
    const started = disk.host.elapsed();
    await delivery.drained();
    expect(disk.host.elapsed() - started).toBeGreaterThanOrEqual(1000);
    expect(tries.sort()).toEqual(['r1', 'r2', 'r2', 'r3', 'r3', 'r4']);
    expect((await evaq.deadLetters.read()).map(({ reason }) => reason)).toEqual(['no such customer']);
    await evaq.close();
  });

  it('classified as dead it goes at once; as not wanted it is removed; whatever is thrown', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await filled(evaq, 3);
    const delivery = evaq.evacuate(
      (record) => {
        if (textOf(record) !== 'r3') throw { kind: textOf(record) };
      },
      { retry: { classify: (error) => (JSON.stringify(error).includes('r1') ? 'dead' : 'drop') } },
    );
    await delivery.drained();
    expect(delivery.stats()).toMatchObject({ delivered: 1, dropped: 1, deadLettered: 1, failed: 1 });
    expect((await evaq.deadLetters.read()).map(({ reason, attempts }) => [reason, attempts])).toEqual([['dead', 1]]);
    await evaq.close();
  });

  it('a handler past its time is told, has failed, and keeps its record until it ends', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await filled(evaq, 1);
    let running = 0;
    let most = 0;
    const delivery = evaq.evacuate(
      async (_record, { signal }) => {
        most = Math.max(most, ++running);
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
        expect(delivery.stats().overdue).toBe(1);
        await passTime(disk, 500);
        running--;
      },
      { timeoutMs: 50, retry: { maxAttempts: 2, ...FAST } },
    );
    await delivery.drained();
    expect(most).toBe(1);
    expect((await evaq.deadLetters.read()).map(({ reason, attempts }) => [reason, attempts])).toEqual([['timeout', 2]]);
    await evaq.close();
  });
});

describe('over restarts and deaths', () => {
  it('attempts and due times survive a restart, and a power cut in mode sync', async () => {
    for (const how of ['close', 'power'] as const) {
      const disk = newDisk();
      const evaq = await openSim(disk);
      await filled(evaq, 2);
      const delivery = evaq.evacuate(() => Promise.reject(FAILURE), {
        retry: { maxAttempts: 9, backoff: { baseMs: 100_000, jitter: 'none' } },
      });
      await until(disk, () => delivery.stats().retried === 2, 'both have failed');
      await passTime(disk, 50);
      if (how === 'close') await evaq.close();
      const next = how === 'close' ? disk : disk.crash(disk.nothingSurvives());
      const again = await openSim(next);
      const tries: [number, number][] = [];
      const started = next.host.elapsed();
      const second = again.evacuate((_record, { attempt }) => {
        tries.push([attempt, next.host.elapsed() - started]);
      });
      await second.drained();
      expect(tries.map(([attempt]) => attempt)).toEqual([2, 2]);
      for (const [, waited] of tries) expect(waited).toBeGreaterThan(55_000);
      expect(second.stats().stateLost).toBe(false);
    }
  });

  it('a record that kills the process costs an attempt and is found out; its neighbours are not parked with it', async () => {
    let disk = newDisk();
    let evaq = await openSim(disk);
    await filled(evaq, 40);
    const delivered = new Set<string>();
    let deaths = 0;
    for (let life = 0; life < 10; life++) {
      let died = false;
      const delivery = evaq.evacuate(
        async (record) => {
          await passTime(disk, 1);
          if (died) return new Promise<never>(() => undefined);
          if (textOf(record) === 'r7') {
            died = true;
            deaths++;
            return new Promise<never>(() => undefined);
          }
          await passTime(disk, 5);
          delivered.add(textOf(record));
          return undefined;
        },
        { concurrency: 8, retry: { maxCrashes: 3 } },
      );
      const here = disk;
      await until(here, () => died || evaq.wal.size === 0, 'it dies or is done', 1);
      if (!died) {
        await delivery.drained();
        break;
      }
      disk = disk.fork();
      evaq = await openSim(disk);
    }
    expect(deaths).toBeLessThanOrEqual(3);
    expect(delivered.size).toBe(39);
    const dead = await evaq.deadLetters.read();
    expect(dead.map((record) => [textOf(record), record.reason])).toEqual([['r7', 'crashed']]);
    expect(evaq.wal.size).toBe(0);
  });

  it('a delivery log that is damaged, or gone, costs counts and nothing else', async () => {
    for (const harm of ['gone', 'zeroed'] as const) {
      const disk = newDisk();
      const evaq = await openSim(disk);
      await filled(evaq, 3);
      const delivery = evaq.evacuate(() => Promise.reject(FAILURE), {
        retry: { backoff: { baseMs: 1000, jitter: 'none' } },
      });
      await until(disk, () => delivery.stats().retried === 3, 'all have failed');
      await evaq.close();
      const path = '/store/queues/wal/0000000000000001.dlv';
      if (harm === 'gone') disk.remove(path);
      else disk.place(path, Buffer.alloc(disk.read(path)?.length ?? 0));
      const again = await openSim(disk);
      const attempts: number[] = [];
      const second = again.evacuate((_record, { attempt }) => {
        attempts.push(attempt);
      });
      await second.drained();
      expect(attempts).toEqual([1, 1, 1]);
      expect(second.stats().stateLost).toBe(harm !== 'gone');
    }
  });

  it('faults of the delivery log lose no record, and stop nothing', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await filled(evaq, 20);
    const cancel = disk.fault({ on: 'write', path: /\.dlv/, error: 'EIO', times: Infinity });
    const cancelSync = disk.fault({ on: 'sync', path: /\.dlv/, error: 'EIO', times: Infinity });
    const failed = new Set<number>();
    const delivery = evaq.evacuate(
      ({ id }) => {
        if (!failed.has(id)) {
          failed.add(id);
          throw FAILURE;
        }
      },
      { retry: FAST, breaker: false },
    );
    await delivery.drained();
    expect(delivery.stats()).toMatchObject({ delivered: 20, stateLost: true });
    cancel();
    cancelSync();
    await evaq.close();
  });
});

describe('a destination that is down', () => {
  it('costs nobody an attempt, and delivery goes on by itself', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await filled(evaq, 60);
    let up = false;
    let calls = 0;
    const delivery = evaq.evacuate(
      () => {
        calls++;
        if (!up) throw FAILURE;
      },
      { concurrency: 4, retry: { maxAttempts: 3, ...FAST }, breaker: { openMs: 100 } },
    );
    await passTime(disk, 10_000);
    expect(delivery.stats().breaker).not.toBe('closed');
    expect(calls).toBeLessThan(60);
    up = true;
    await delivery.drained();
    expect(evaq.deadLetters.size).toBe(0);
    expect(delivery.stats()).toMatchObject({ delivered: 60, deadLettered: 0, breaker: 'closed' });
    await evaq.close();
  });

  it('of a destination that came back the next delivery does not think that it is down, also after a kill', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await filled(evaq, 4);
    let isDown = true;
    const delivery = evaq.evacuate(
      () => {
        if (isDown) throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
      },
      { concurrency: 1, breaker: { failures: 2, openMs: 20 }, retry: FAST },
    );
    await until(disk, () => delivery.stats().breaker === 'open', 'the breaker opens');
    isDown = false;
    await delivery.drained();
    await passTime(disk, 20);
    const image = disk.fork();
    disk.kill();
    const again = await openSim(image);
    await filled(again, 2);
    const breakers: string[] = [];
    const next = again.evacuate(() => {
      breakers.push(next.stats().breaker);
    });
    await next.drained();
    expect(breakers).toEqual(['closed', 'closed']);
    await again.close();
  });

  it('a lone poison record opens nothing; one that is down from the start is asked by the probe', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await filled(evaq, 30);
    let probes = 0;
    const delivery = evaq.evacuate(
      (record) => {
        if (textOf(record) === 'r3') throw FAILURE;
        if (probes < 3) throw Object.assign(new Error('nobody there'), { code: 'ECONNREFUSED' });
      },
      {
        retry: { maxAttempts: 3, ...FAST },
        breaker: {
          openMs: 50,
          probe: async () => {
            if (++probes < 3) throw FAILURE;
          },
        },
      },
    );
    await delivery.drained();
    expect(probes).toBe(3);
    expect(delivery.stats()).toMatchObject({ delivered: 29, deadLettered: 1 });
    await evaq.close();
  });

  it('is still thought to be down after a restart: one delivery is tried first', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await filled(evaq, 50);
    const delivery = evaq.evacuate(() => Promise.reject(FAILURE), { concurrency: 8, retry: FAST });
    await until(disk, () => delivery.stats().breaker === 'open', 'the breaker opens');
    await passTime(disk, 20);
    await evaq.close();
    const again = await openSim(disk);
    let running = 0;
    let firstDone = false;
    const second = again.evacuate(
      async () => {
        running++;
        if (!firstDone) {
          await passTime(disk, 100);
          expect(running).toBe(1);
          firstDone = true;
        }
        running--;
      },
      { concurrency: 8 },
    );
    await second.drained();
    await again.close();
  });
});

describe('order', () => {
  it.each(['fifo', 'key'] as const)(
    '%s: one at a time, in ID order, also over failures and restarts',
    async (order) => {
      let disk = newDisk();
      let evaq = await openSim(disk);
      await filled(evaq, 60);
      const keyOf = order === 'fifo' ? 'fifo' : (record: QueueRecord): string => String(record.id % 4);
      const done = new Map<string, number[]>();
      const running = new Set<string>();
      for (let life = 0; life < 3; life++) {
        let count = 0;
        const delivery = evaq.evacuate(
          async ({ id }, { attempt }) => {
            const key = order === 'fifo' ? '' : String(id % 4);
            expect(running.has(key), `two of ${key} at a time`).toBe(false);
            running.add(key);
            await passTime(disk, (id * 7) % 5);
            running.delete(key);
            count++;
            if (id % 5 === 0 && attempt < 3) throw FAILURE;
            const line = done.get(key) ?? [];
            expect(id).toBeGreaterThan(line.at(-1) ?? 0);
            done.set(key, [...line, id]);
          },
          { order: keyOf, retry: FAST, breaker: false },
        );
        await until(disk, () => count > 30 || evaq.wal.size === 0, 'half is done', 1);
        await delivery.stop();
        await evaq.close();
        disk = disk.fork();
        evaq = await openSim(disk);
      }
      const rest = evaq.evacuate(
        ({ id }) => {
          const key = order === 'fifo' ? '' : String(id % 4);
          done.set(key, [...(done.get(key) ?? []), id]);
        },
        { order: keyOf },
      );
      await rest.drained();
      for (const line of done.values()) expect(line).toEqual([...line].sort((a, b) => a - b));
      expect([...done.values()].flat()).toHaveLength(60);
    },
  );

  it('of a thousand keys one that is blocked holds up itself alone', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk, { durability: 'os' });
    await filled(evaq, 5000);
    const orders = new Map<number, number[]>();
    const delivery = evaq.evacuate(
      ({ id }) => {
        const key = id % 1000;
        if (key === 7) throw FAILURE;
        orders.set(key, [...(orders.get(key) ?? []), id]);
      },
      {
        order: ({ id }) => String(id % 1000),
        concurrency: 50,
        retry: { maxAttempts: 100, backoff: { baseMs: 10_000 } },
      },
    );
    await until(disk, () => evaq.wal.size === 5, 'all but one key are done', 20);
    expect(orders.size).toBe(999);
    for (const line of orders.values()) expect(line).toEqual([...line].sort((a, b) => a - b));
    await delivery.stop();
  });

  it('a second delivery of an ordered queue is refused; of another one it shares the records', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await filled(evaq, 50);
    const ordered = evaq.evacuate(() => undefined, { order: 'fifo' });
    expect(() => evaq.evacuate(() => undefined)).toThrow(/being delivered in order/);
    await ordered.stop();
    await filled(evaq, 50);
    const seen: number[] = [];
    const handler = async ({ id }: QueueRecord): Promise<void> => {
      seen.push(id);
      await passTime(disk, 1);
    };
    const one = evaq.evacuate(handler, { concurrency: 3 });
    const two = evaq.evacuate(handler, { concurrency: 3 });
    await Promise.all([one.drained(), two.drained()]);
    expect(new Set(seen).size).toBe(seen.length);
    expect(one.stats().delivered).toBeGreaterThan(0);
    expect(two.stats().delivered).toBeGreaterThan(0);
    await evaq.close();
  });
});

describe('batches', () => {
  it('what is not named as failed has arrived', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await filled(evaq, 30);
    const delivery = evaq.wal.processBatch(
      (records, { ack, fail }) => {
        if (records.length > 1) ack(records[0]?.id ?? 0);
        const poison = records.find((record) => textOf(record) === 'r9');
        const other = records.find((record) => textOf(record) === 'r12');
        if (other !== undefined) fail(other.id, FAILURE);
        return poison === undefined ? undefined : { failed: [{ id: poison.id, error: FAILURE }] };
      },
      { batch: { maxRecords: 10 }, retry: { maxAttempts: 2, ...FAST } },
    );
    await delivery.drained();
    expect((await evaq.deadLetters.read()).map(textOf).sort()).toEqual(['r12', 'r9']);
    expect(delivery.stats()).toMatchObject({ delivered: 28, failed: 4, deadLettered: 2 });
    await evaq.close();
  });

  it('one that throws is halved: one dead letter, no attempt of the others, few calls more', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await filled(evaq, 1500);
    let calls = 0;
    const arrived: string[] = [];
    const delivery = evaq.wal.processBatch(
      (records, { attempt }) => {
        calls++;
        for (const { id } of records) if (records.length > 1) expect(attempt(id)).toBe(1);
        if (records.some((record) => textOf(record) === 'r777')) throw FAILURE;
        arrived.push(...records.map(textOf));
      },
      { batch: { maxRecords: 500 }, concurrency: 1, retry: { maxAttempts: 1 } },
    );
    await delivery.drained();
    expect((await evaq.deadLetters.read()).map(textOf)).toEqual(['r777']);
    expect(arrived).toHaveLength(1499);
    expect(calls).toBeLessThanOrEqual(3 + 12);
    await evaq.close();
  });

  it('waits for a full one as long as it may', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    const sizes: number[] = [];
    const delivery = evaq.wal.processBatch((records) => void sizes.push(records.length), {
      batch: { maxRecords: 10, maxWaitMs: 1000 },
    });
    for (let i = 0; i < 15; i++) {
      await evaq.wal.push('x');
      await passTime(disk, 20);
    }
    const started = disk.host.elapsed();
    await delivery.drained();
    expect(sizes).toEqual([10, 5]);
    expect(disk.host.elapsed() - started).toBeGreaterThan(500);
    await evaq.close();
  });

  it('a name that is not in the batch is a mistake, and fails the batch', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await filled(evaq, 2);
    const delivery = evaq.wal.processBatch(() => ({ failed: [{ id: 99, error: 'x' }] }), { retry: { maxAttempts: 1 } });
    await delivery.drained();
    expect((await evaq.deadLetters.read()).map(({ error }) => error?.message)).toEqual(
      Array.from({ length: 2 }, () => 'a batch handler named a record that is not in its batch: 99'),
    );
    await evaq.close();
  });
});

describe('beside others', () => {
  it('P16: a record in a handler is nobody else’s: pops and moves wait for it, removals do not', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await filled(evaq, 3);
    let letGo: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const delivery = evaq.evacuate(async (record) => {
      await gate;
      if (textOf(record) === 'r2') throw new RetryLater({ delayMs: 100_000 });
    });
    await until(disk, () => delivery.stats().inFlight === 3, 'all are in handlers');
    const popped = evaq.wal.pop(1).catch((error: { code: string }) => error.code);
    const moved = evaq.deadLetter(2, { reason: 'by hand' });
    expect(await evaq.wal.remove(3)).toBe(true);
    expect((await evaq.wal.read()).map(({ id }) => id)).toEqual([1, 2]);
    letGo();
    expect(await popped).toBe('EVAQ_RECORD_NOT_FOUND');
    expect(await moved).toBe(1);
    expect(evaq.wal.size).toBe(0);
    await evaq.close();
  });

  it('a handler may pop and move its own record', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await filled(evaq, 2);
    const delivery = evaq.evacuate(async ({ id }) => {
      if (id === 1) await evaq.wal.pop(id);
      else await evaq.deadLetter(id, { reason: 'mine' });
    });
    await delivery.drained();
    expect((await evaq.deadLetters.read()).map(({ reason }) => reason)).toEqual(['mine']);
    await evaq.close();
  });

  it('a pop that is given back is delivered after all', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await filled(evaq, 1);
    const controller = new AbortController();
    const popped = evaq.wal.pop(1, { signal: controller.signal }).catch(() => 'given back');
    const delivery = evaq.evacuate(() => undefined);
    controller.abort();
    expect(await popped).toBe('given back');
    await delivery.drained();
    expect(delivery.stats().delivered).toBe(1);
    await evaq.close();
  });

  it('records that come while it waits are delivered; drained means those of the call', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    const delivery = evaq.evacuate(() => undefined);
    await delivery.drained();
    for (let i = 0; i < 20; i++) {
      await evaq.wal.push(`${i}`);
      if (i % 3 === 0) await passTime(disk, 1);
    }
    await delivery.drained();
    expect(delivery.stats().delivered).toBe(20);
    await evaq.close();
    await expect(delivery.drained()).rejects.toMatchObject({ code: 'EVAQ_CLOSED' });
  });
});

describe('time', () => {
  it('a delayed record is not delivered before, nor much later, whatever the clock says meanwhile', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    const at: [string, number][] = [];
    const started = disk.host.elapsed();
    await evaq.wal.push('later', { delayMs: 5000 });
    await evaq.wal.push('date', { deliverAt: new Date(disk.host.now() + 2000) });
    await evaq.wal.push('now');
    const delivery = evaq.evacuate((record) => void at.push([textOf(record), disk.host.elapsed() - started]));
    expect((await evaq.wal.read()).map(({ dueMs }) => dueMs === undefined)).toEqual([false, false, true]);
    await delivery.drained();
    expect(at.map(([text]) => text)).toEqual(['now', 'date', 'later']);
    for (const [text, ms] of at) {
      const wanted = text === 'now' ? 0 : text === 'date' ? 2000 : 5000;
      expect(ms).toBeGreaterThanOrEqual(wanted);
      expect(ms).toBeLessThan(wanted + 50);
    }
    await expect(evaq.wal.push('x', { delayMs: 1, deliverAt: 1 })).rejects.toThrow(TypeError);
    await evaq.close();
  });

  it('no more than the rate allows', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await filled(evaq, 120);
    const started = disk.host.elapsed();
    const delivery = evaq.evacuate(() => undefined, { rate: { limit: 100, perMs: 1000, burst: 20 } });
    await delivery.drained();
    const took = disk.host.elapsed() - started;
    expect(took).toBeGreaterThanOrEqual(1000);
    expect(took).toBeLessThan(1200);
    await evaq.close();
  });

  it('paused it hands out nothing; a stop lets handlers finish, then aborts them, and counts nothing', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    await filled(evaq, 10);
    const seen: string[] = [];
    const delivery = evaq.evacuate(
      async (record, { signal }) => {
        seen.push(textOf(record));
        if (textOf(record) === 'r1') return passTime(disk, 100);
        await new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
        );
        return undefined;
      },
      { concurrency: 3 },
    );
    await until(disk, () => seen.length === 3, 'three are in handlers', 1);
    delivery.pause();
    await passTime(disk, 1000);
    expect(seen).toHaveLength(3);
    await delivery.stop({ graceMs: 200 });
    expect(await delivery.done).toMatchObject({ delivered: 1, failed: 0, released: 2 });
    expect(Object.keys(await contentOf(evaq.wal))).toHaveLength(9);
    const second = evaq.evacuate((_record, { attempt }) => expect(attempt).toBe(1));
    await second.drained();
    await evaq.close();
  });

  it('a close of the store stops its deliveries; a signal does the same', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    const controller = new AbortController();
    const one = evaq.evacuate(() => undefined, { signal: controller.signal });
    const two = evaq.deadLetters.process(() => undefined);
    controller.abort();
    expect(await one.done).toMatchObject({ delivered: 0 });
    await evaq.close();
    expect(await two.done).toMatchObject({ delivered: 0 });
    expect(() => evaq.evacuate(() => undefined)).toThrow(/is closed/);
  });
});

it('dead letters are tried again by the same handler, slowly, if that is wanted', async () => {
  const disk = newDisk();
  const evaq = await openSim(disk);
  await filled(evaq, 2);
  let broken = true;
  const delivery = evaq.evacuate(
    (record) => {
      if (textOf(record) === 'r2' && broken) throw FAILURE;
    },
    { retry: { maxAttempts: 1 }, deadLetters: { retry: { maxAttempts: 50, backoff: { baseMs: 1000, maxMs: 2000 } } } },
  );
  await delivery.drained();
  await passTime(disk, 5000);
  expect(evaq.deadLetters.size).toBe(1);
  broken = false;
  await until(disk, () => evaq.deadLetters.size === 0, 'it is delivered');
  await evaq.close();
});

it('wrong options are told before anything is delivered', async () => {
  const { wal } = await openReal();
  const process = (...args: unknown[]): unknown => Reflect.apply(Reflect.get(wal, 'process'), wal, args);
  const handler = (): void => undefined;
  expect(() => process()).toThrow(TypeError);
  expect(() => process(handler, { concurency: 3 })).toThrow(/did you mean 'concurrency'/);
  expect(() => process(handler, { concurrency: 0 })).toThrow(RangeError);
  expect(() => process(handler, { order: 'lifo' })).toThrow(/order must be/);
  expect(() => process(handler, { retry: { backoff: { jitter: 'half' } } })).toThrow(/retry.backoff.jitter/);
  expect(() => process(handler, { batch: {} })).toThrow(/there is no option 'batch'/);
  expect(() => process(handler, {}, 1)).toThrow(TypeError);
});
