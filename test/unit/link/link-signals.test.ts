/** Signals over a link, and how much of it may be under way. */
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { LINK_GREETING } from '../../../src/link/link-protocol.js';
import { rejection } from '../store/store-fixture.js';
import { linkedReal as linked } from './link-fixture.js';

describe('a signal', () => {
  test('that was aborted before: nothing is done, and the reason is the one that was given', async () => {
    const { evaq, link } = await linked();
    const reason = { mine: true };
    const signal = AbortSignal.abort(reason);
    for (const call of [
      () => link.wal.push('x', { signal }),
      () => link.wal.pushMany(['x'], { signal }),
      () => link.wal.get(1, { signal }),
      () => link.wal.pop(1, { signal }),
      () => link.wal.flush({ signal }),
      () => link.queue('other', { signal }),
      () => link.wal.records({ signal }).next(),
    ]) {
      await expect(call()).rejects.toBe(reason);
    }
    expect([evaq.wal.size, evaq.queueNames().includes('other')]).toEqual([0, false]);
  });

  test('that is aborted while the call waits: it is withdrawn where the store is', async () => {
    const { evaq, link } = await linked();
    await evaq.wal.push('a');
    let end: () => void = () => undefined;
    let begin: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const delivery = evaq.wal.process(() => {
      begin();
      return new Promise<void>((_, reject) => {
        end = () => reject(new Error('not now'));
      });
    });
    await begun;
    const controller = new AbortController();
    const popped = link.wal.pop(1, { signal: controller.signal });
    await link.queueNames();
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(popped).rejects.toBe(reason);
    const stopped = delivery.stop();
    end();
    await stopped;
    expect(evaq.wal.size).toBe(1);
  });

  test('that is aborted before the push was sent: it is not pushed, and those behind it are', async () => {
    const { evaq, link } = await linked();
    const controller = new AbortController();
    const pushed = link.wal.push('withdrawn', { signal: controller.signal });
    const next = link.wal.push('next');
    controller.abort();
    await expect(pushed).rejects.toMatchObject({ name: 'AbortError' });
    expect(await next).toBe(1);
    expect(evaq.wal.size).toBe(1);
  });

  test('ends an iteration that waits', async () => {
    const { link } = await linked();
    const controller = new AbortController();
    const next = link.wal.tail({ signal: controller.signal }).next();
    await link.queueNames();
    controller.abort();
    await expect(next).rejects.toMatchObject({ name: 'AbortError' });
    const tail = link.wal.tail();
    const waiting = tail.next();
    await tail.return();
    expect(await waiting).toEqual({ done: true, value: undefined });
  });
});

describe('the window', () => {
  test('no more is sent than fits, and the rest goes when that is answered', async () => {
    const { evaq, link } = await linked();
    const before = evaq.wal.stats().pendingBytes;
    const pushes = Array.from({ length: 100 }, (_, i) => link.wal.push(Buffer.alloc(100_000, i)));
    let most = 0;
    let isOver = false;
    const all = Promise.all(pushes).then((ids) => {
      isOver = true;
      return ids;
    });
    while (!isOver) {
      most = Math.max(most, evaq.wal.stats().pendingBytes - before);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await all).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThan(1.2 * 2 ** 20);
    const one = Buffer.alloc(3 * 2 ** 20, 7);
    expect((await evaq.wal.get(await link.wal.push(one)))?.payload.equals(one)).toBe(true);
  });

  test('a removal does not wait behind pushes that find no room', async () => {
    const { evaq, link } = await linked();
    const small = await link.queue('small', { maxPendingBytes: 1024 });
    const pushes = Array.from({ length: 50 }, () => small.push(Buffer.alloc(100_000)));
    expect(await small.remove(99)).toBe(false);
    await small.flush();
    expect((await evaq.queue('small')).size).toBe(50);
    await Promise.all(pushes);
  });
});

describe('another version of the link', () => {
  test('is refused by both sides', async () => {
    const { evaq } = await linked();
    const port = evaq.connect();
    receiveMessageOnPort(port);
    const answer = new Promise((resolve) => port.once('message', resolve));
    port.postMessage([{ kind: 'hello', version: 99 }]);
    expect(await answer).toMatchObject([{ kind: 'refused' }]);
    port.close();

    const { port1, port2 } = new MessageChannel();
    port1.postMessage(LINK_GREETING);
    port1.once('message', () => port1.postMessage([{ kind: 'refused', version: 99 }]));
    const refused = await rejection(Evaq.attach(port2), 'EVAQ_UNSUPPORTED_VERSION');
    expect(refused.message).toMatch(/version 99/);
    port1.close();
  });

  test('what is no message of a link ends it, and nothing else', async () => {
    const { evaq, link } = await linked();
    for (const message of [3, [{ kind: 'pack', queue: 77, pack: 1, lengths: [1], bytes: 0 }], [null]]) {
      const port = evaq.connect();
      const closed = new Promise((resolve) => port.once('close', resolve));
      port.on('message', () => undefined);
      port.postMessage(message);
      await closed;
    }
    expect(await link.wal.push('on')).toBe(1);
  });
});
