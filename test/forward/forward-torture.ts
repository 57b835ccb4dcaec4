/**
 * What is asked of every destination with `evaq forward`: the forwarding process is killed again and again, its server is killed in the middle and started
 * again. All records arrive, byte for byte; what arrives twice has the same deliveryId, and where the destination drops that nothing does.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as passTime } from 'node:timers/promises';
import { Evaq } from '../../src/evaq.js';
import { ReadOnlyEvaq } from '../../src/raw.js';
import type { Ground } from './grounds.js';

export interface TortureOptions {
  /** The program. */
  readonly cli: string;
  readonly records: number;
  /** Of the forwarding process. */
  readonly kills: number;
  readonly batch: number;
  /** Records a second, so that a few are still on their way when the kill comes; as fast as can be, if not given. */
  readonly rate?: number;
}

export interface TortureOutcome {
  readonly arrived: number;
  /** How often one arrived that was there already. */
  readonly doubles: number;
  /** Kills that found records on their way, or waiting. */
  readonly kills: number;
}

const LOOK_MS = 10;
/** How long the server is away. */
const AWAY_MS = 300;

/** Binary, each another, and none of a whole number of words. */
function payloadOf(i: number): Buffer {
  return Buffer.concat([Buffer.from(`${i}/`), Buffer.alloc(i % 97, i)]);
}

export async function forwardTorture(ground: Ground, options: TortureOptions): Promise<TortureOutcome> {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-torture-'));
  const children = new Set<ChildProcess>();
  try {
    return await torture(ground, options, join(folder, 'store'), children);
  } finally {
    for (const child of children) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

async function torture(
  ground: Ground,
  { cli, records, kills, batch, rate }: TortureOptions,
  dir: string,
  children: Set<ChildProcess>,
): Promise<TortureOutcome> {
  const store = await Evaq.open(dir);
  const { storeId } = store;
  await store.wal.pushMany(Array.from({ length: records }, (_, i) => payloadOf(i)));
  await store.close();
  const start = (): ChildProcess => {
    const args = [cli, 'forward', dir, '--to', ground.url, '--batch', String(batch), '--lock-timeout', '5000'];
    if (rate !== undefined) args.push('--rate', String(rate));
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...ground.env },
    });
    children.add(child);
    return child;
  };
  let inTheMiddle = 0;
  for (let kill = 1; kill <= kills; kill++) {
    const child = start();
    const ended = once(child, 'exit');
    const target = Math.floor(records * (1 - kill / (kills + 1)));
    await untilLeft(dir, target, child);
    if (kill === Math.ceil(kills / 2)) {
      // With batches on their way.
      await ground.server.kill();
      await passTime(AWAY_MS);
      if (kill % 2 === 0) child.kill('SIGKILL');
      await ground.server.start();
    }
    child.kill('SIGKILL');
    await ended;
    if ((await leftIn(dir)) > 0) inTheMiddle++;
  }
  const last = start();
  let said = '';
  last.stderr?.on('data', (text: Buffer) => (said += text.toString()));
  const [code]: unknown[] = await once(last, 'close');
  assert.equal(code, 0, `it ended with ${String(code)}: ${said}`);
  assert.equal(await leftIn(dir), 0, 'left in the queue');
  return { ...judge(await ground.arrived(), storeId, records, ground.isOnce), kills: inTheMiddle };
}

function judge(
  arrived: readonly { readonly payload: Buffer; readonly deliveryId: string }[],
  storeId: string,
  records: number,
  isOnce: boolean,
): { readonly arrived: number; readonly doubles: number } {
  const known = new Set<number>();
  for (const { payload, deliveryId } of arrived) {
    const i = Number(payload.toString('latin1', 0, payload.indexOf('/')));
    assert.ok(
      Number.isSafeInteger(i) && i < records && payload.equals(payloadOf(i)),
      `not ours: ${payload.toString()}`,
    );
    assert.equal(deliveryId, `${storeId}:wal:${i + 1}`);
    known.add(i);
  }
  const lost = Array.from({ length: records }, (_, i) => i).filter((i) => !known.has(i));
  assert.deepEqual(lost.slice(0, 10), [], `${lost.length} lost`);
  const doubles = arrived.length - records;
  if (isOnce) assert.equal(doubles, 0, 'doubles');
  return { arrived: arrived.length, doubles };
}

/** Looks beside it, without a lock. */
async function leftIn(dir: string): Promise<number> {
  await using reader = await ReadOnlyEvaq.open(dir);
  return (await (await reader.queue('wal')).stats()).live;
}

/** Resolves as well when it has ended. */
async function untilLeft(dir: string, target: number, child: ChildProcess): Promise<void> {
  while (child.exitCode === null && (await leftIn(dir)) > target) await passTime(LOOK_MS);
}
