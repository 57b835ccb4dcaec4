/**
 * A small real file system is filled to the last byte, by the store and then by a stranger. The store goes on as far as it can, can be
 * emptied, and can be opened again, with no manual step.
 */
import * as fs from 'node:fs';
import { expect, test } from 'vitest';
import { Evaq, EvaqError } from '../../src/evaq.js';
import { bundle, projectRoot } from '../cli/support/bundle.js';
import { keyOf, payloadOf } from './crash-record.js';
import { RealChild } from './support/real-child.js';
import { mountNew, whyNoMount } from './support/real-tools.js';

const OPTIONS = { segmentBytes: 1024 * 1024 };

/** Pushes until nothing fits any more, not even a small record; resolves with the keys by ID. */
async function fill(evaq: Evaq, firstKey: number): Promise<Map<number, number>> {
  const keys = new Map<number, number>();
  let key = firstKey;
  for (const together of [200, 8, 1]) {
    for (let refusals = 0; refusals < 2; ) {
      const pushes = Array.from({ length: together }, async () => {
        const mine = key++;
        try {
          keys.set(await evaq.pushWal(payloadOf(mine)), mine);
          return undefined;
        } catch (error) {
          return error instanceof EvaqError ? error.code : String(error);
        }
      });
      const refused = (await Promise.all(pushes)).filter((code) => code !== undefined);
      expect(new Set(refused).size === 0 || refused.every((code) => code === 'EVAQ_NO_SPACE'), String(refused[0])).toBe(
        true,
      );
      if (refused.length > 0) refusals++;
    }
  }
  return keys;
}

/** Takes what is left of the file system. */
function fillRest(dir: string): void {
  for (const bytes of [65_536, 4096, 512]) {
    const fd = fs.openSync(`${dir}/stranger-${bytes}`, 'w');
    try {
      for (;;) fs.writeSync(fd, Buffer.alloc(bytes));
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
    } finally {
      fs.closeSync(fd);
    }
  }
}

function freeBytes(dir: string): number {
  const { bavail, bsize } = fs.statfsSync(dir);
  return bavail * bsize;
}

async function expectHeld(evaq: Evaq, keys: ReadonlyMap<number, number>): Promise<void> {
  const found = new Map<number, number>();
  for await (const { id, payload } of evaq.wal.records()) found.set(id, keyOf(payload));
  for (const [id, key] of keys) expect(found.get(id), `P1: ID ${id}`).toBe(key);
  expect(found.size, 'P2, P3: and nothing else').toBe(keys.size);
}

/** Removes every record of `ids` by itself, each waited for. */
async function removeEach(evaq: Evaq, ids: readonly number[], keys: Map<number, number>): Promise<void> {
  for (const id of ids) {
    expect(await evaq.wal.remove(id)).toBe(true);
    keys.delete(id);
  }
}

for (const kind of ['ext4', 'tmpfs'] as const) {
  const missing = await whyNoMount(kind);
  const why = missing === undefined ? '' : ` [skipped: ${missing}]`;
  const real = test.skipIf(missing !== undefined);

  real(
    `P1, P2: on a full ${kind} nothing acknowledged is lost, records can be removed, and pushing works again${why}`,
    { timeout: 300_000 },
    async () => {
      const mount = await mountNew(kind, 12);
      try {
        let evaq = await Evaq.open(`${mount.dir}/store`, OPTIONS);
        const keys = await fill(evaq, 0);
        fillRest(mount.dir);
        expect(freeBytes(mount.dir)).toBeLessThan(4096);
        expect(evaq.wal.stats().health).toBe('ok');
        await expectHeld(evaq, keys);

        const ids = [...keys.keys()];
        // One at a time; then every second one; then some from anywhere.
        await removeEach(evaq, ids.slice(0, 60), keys);
        await removeEach(
          evaq,
          ids.slice(60, 180).filter((_, i) => i % 2 === 0),
          keys,
        );
        await removeEach(
          evaq,
          ids.slice(1400).filter((id) => (id * 2_654_435_761) % 7 < 2),
          keys,
        );
        const before = evaq.wal.stats().bytes;
        const { reclaimedBytes } = await evaq.wal.compact();
        expect(reclaimedBytes + evaq.wal.stats().gc.reclaimedBytes).toBeGreaterThan(0);
        expect(evaq.wal.stats().gc.lastError).toBeUndefined();
        expect(evaq.wal.stats().bytes).toBeLessThan(before);
        keys.set(await evaq.pushWal(payloadOf(9_000_000)), 9_000_000);
        await expectHeld(evaq, keys);
        await evaq.close();
        evaq = await Evaq.open(`${mount.dir}/store`, OPTIONS);
        await expectHeld(evaq, keys);
        await evaq.close();
      } finally {
        await mount.unmount();
      }
    },
  );

  for (const end of ['killed', 'closed'] as const) {
    for (const mib of [3, 8]) {
      real(
        `P1: a store that was ${end} on a full ${kind} of ${mib} MiB can be opened, emptied and used again${why}`,
        { timeout: 300_000 },
        async () => {
          const mount = await mountNew(kind, mib);
          const store = `${mount.dir}/store`;
          try {
            const keys = new Map<number, number>();
            if (end === 'closed') {
              const first = await Evaq.open(store, OPTIONS);
              for (const [id, key] of await fill(first, 0)) keys.set(id, key);
              fillRest(mount.dir);
              await first.close();
            } else {
              const program = await bundle(`${projectRoot}/test/crash/support/real-filler.ts`);
              const child = new RealChild(program, [store]);
              try {
                child.begin();
                await child.heard((events) => events.some(({ event }) => event === 'end'));
                fillRest(mount.dir);
              } finally {
                await child.kill();
              }
              for (const event of child.events) {
                if (event.event === 'pushed')
                  for (const [i, key] of event.keys.entries()) keys.set(event.firstId + i, key);
              }
            }
            fillRest(mount.dir);
            expect(freeBytes(mount.dir)).toBeLessThan(4096);
            expect(keys.size).toBeGreaterThan(100);

            for (let again = 0; again < 2; again++) {
              const evaq = await Evaq.open(store, OPTIONS);
              try {
                const found = new Set<number>();
                for await (const { id, payload } of evaq.wal.records()) {
                  const key = keyOf(payload);
                  if (keys.has(id)) expect(key).toBe(keys.get(id));
                  found.add(id);
                }
                for (const id of keys.keys()) expect(found.has(id), `P1: ID ${id}`).toBe(true);
                await removeEach(evaq, [...keys.keys()].slice(0, 20), keys);
              } finally {
                await evaq.close();
              }
              fillRest(mount.dir);
            }
            const evaq = await Evaq.open(store, OPTIONS);
            await evaq.wal.removeThrough(Number.MAX_SAFE_INTEGER);
            await evaq.wal.compact();
            await evaq.pushWal(payloadOf(1));
            expect(evaq.wal.size).toBe(1);
            await evaq.close();
          } finally {
            await mount.unmount();
          }
        },
      );
    }
  }
}
