/**
 * What every sink is asked for, with its real server: records are forwarded, the server is killed on the way, more is pushed while it is down, and it
 * is started again. All of them arrive, byte for byte; what arrives twice has the same deliveryId.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as passTime } from 'node:timers/promises';
import { expect } from 'vitest';
import { Evaq } from '../../src/evaq.js';
import { type ForwardOptions, forward, type Sink } from '../../src/forward.js';
import type { Server } from './servers.js';

const RECORDS = 2000;

export interface Arrived {
  readonly payload: Buffer;
  readonly deliveryId: string;
}

export interface Outcome {
  /** In the order in which they arrived. */
  readonly arrived: readonly Arrived[];
  /** How often one arrived that was there already. */
  readonly doubles: number;
}

export interface Scenario {
  readonly sink: Sink;
  readonly server: Pick<Server, 'kill' | 'start'>;
  /** Once everything has been acknowledged. */
  arrived(): Promise<readonly Arrived[]>;
  readonly options?: ForwardOptions;
  readonly records?: number;
}

/** Binary, each another, and none of a whole number of words. */
function payloadOf(i: number): Buffer {
  return Buffer.concat([Buffer.from(`${i}/`), Buffer.alloc(i % 97, i)]);
}

/** Asserts what holds for every destination. */
export async function forwardThroughKill(scenario: Scenario): Promise<Outcome> {
  const { sink, server, options = {}, records = RECORDS } = scenario;
  return withStore(async (evaq) => {
    const half = records / 2;
    await evaq.wal.pushMany(Array.from({ length: half }, (_, i) => payloadOf(i)));
    const forwarding = forward(evaq.wal, sink, {
      concurrency: 2,
      batch: { maxRecords: 40 },
      breaker: { failures: 1, openMs: 20, maxOpenMs: 200 },
      // One that was on its way waits by itself, up to a minute, though the destination is back.
      retry: { backoff: { baseMs: 20, maxMs: 200 } },
      key: ({ id }) => `k${id % 7}`,
      ...options,
    });
    while (evaq.wal.size > half * 0.7) await passTime(0);
    await server.kill();
    expect(evaq.wal.size, 'killed in the middle').toBeGreaterThan(0);
    await evaq.wal.pushMany(Array.from({ length: half }, (_, i) => payloadOf(half + i)));
    await server.start();
    await forwarding.drained();
    await forwarding.stop();
    expect(evaq.wal.size).toBe(0);
    expect(evaq.deadLetters.size).toBe(0);
    const arrived = await scenario.arrived();
    const ids = new Map<string, Set<string>>();
    for (const { payload, deliveryId } of arrived) {
      const text = payload.toString('latin1');
      ids.set(text, (ids.get(text) ?? new Set()).add(deliveryId));
    }
    const missing = Array.from({ length: records }, (_, i) => i).filter(
      (i) => !ids.has(payloadOf(i).toString('latin1')),
    );
    expect(missing, 'lost').toEqual([]);
    expect(ids.size, 'invented').toBe(records);
    for (const [text, own] of ids) {
      expect([...own], text).toEqual([`${evaq.storeId}:wal:${Number(text.slice(0, text.indexOf('/'))) + 1}`]);
    }
    return { arrived, doubles: arrived.length - ids.size };
  });
}

export interface Letter {
  readonly reason: string;
  readonly payload: string;
  readonly cause: string | undefined;
}

/** Forwards what is given until the queue is empty; gives what became dead letters. */
export async function lettersOf(
  sink: Sink,
  payloads: readonly (string | Buffer)[],
  options: ForwardOptions = {},
): Promise<Letter[]> {
  return withStore(async (evaq) => {
    await evaq.wal.pushMany([...payloads]);
    const forwarding = forward(evaq.wal, sink, options);
    await forwarding.drained();
    await forwarding.stop();
    const letters: Letter[] = [];
    for await (const { reason, error, payload } of evaq.wal.deadLetters.list()) {
      letters.push({ reason: reason ?? '', payload: payload.toString().slice(0, 40), cause: error?.cause?.message });
    }
    return letters;
  });
}

async function withStore<T>(action: (evaq: Evaq) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-forward-'));
  const evaq = await Evaq.open(folder);
  try {
    return await action(evaq);
  } finally {
    await evaq.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
