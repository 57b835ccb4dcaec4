/**
 * The power is cut under a real file system: a process is stopped in the middle of its work, the file behind the loop device is copied,
 * which is what a disk would have held at that moment, and the copy is mounted, so that ext4 replays its journal. What the process had written
 * and not synced is in the page cache of the mount and not in the copy.
 *
 * It has to be stopped: a copy that is made while it goes on holds later blocks beside earlier ones, which no power cut leaves.
 */
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { Evaq } from '../../src/evaq.js';
import { bundle, projectRoot } from '../cli/support/bundle.js';
import { keyOf } from './crash-record.js';
import { RealChild } from './support/real-child.js';
import type { RealEvent } from './support/real-event.js';
import { mountImage, mountNew, whyNoMount } from './support/real-tools.js';

const CUTS = Number(process.env['EVAQ_POWER_CUTS'] ?? 6);
const missing = await whyNoMount('ext4');
const why = missing === undefined ? '' : ` [skipped: ${missing}]`;
const run = promisify(execFile);

/** Against what was said before the copy began. `later` is all that was said. */
async function verify(store: string, before: readonly RealEvent[], later: readonly RealEvent[]): Promise<void> {
  const due = new Map<number, number>();
  const known = new Set<number>();
  const gone = new Set<number>();
  for (const event of before) {
    if (event.event === 'pushed') for (const [i, key] of event.keys.entries()) due.set(event.firstId + i, key);
    if (event.event === 'removed') for (const id of event.ids) gone.add(id);
  }
  // A removal that was only asked for may have happened.
  for (const event of later) {
    if (event.event === 'remove') for (const id of event.ids) due.delete(id);
    if (event.event === 'push') for (const key of event.keys) known.add(key);
  }
  // Damage is looked at last: which records are lost says more.
  const evaq = await Evaq.open(store, { segmentBytes: 64 * 1024, onCorruption: 'quarantine' });
  try {
    const found = new Map<number, number>();
    for await (const { id, payload } of evaq.wal.records()) found.set(id, keyOf(payload));
    for (const [id, key] of due) expect(found.get(id), `P1: ID ${id}`).toBe(key);
    for (const id of gone) expect(found.has(id), `P2: ID ${id} was removed and is back`).toBe(false);
    for (const key of found.values()) expect(known.has(key), `P3: key ${key} was never pushed`).toBe(true);
    expect(evaq.recovery.damage, 'P9: a power cut damages nothing').toEqual([]);
  } finally {
    await evaq.close();
  }
}

/** What came of some power cuts. */
interface CutsReport {
  readonly cuts: number;
  /** Pushes acknowledged before the last of them. */
  readonly acknowledged: number;
  /** The first promise that was found broken: the cuts end there. */
  readonly broken: unknown;
}

async function cutPower(program: string, cuts: number): Promise<CutsReport> {
  const mount = await mountNew('ext4', 48);
  const image = mount.image ?? '';
  const child = new RealChild(program, [`${mount.dir}/store`, '1000000', '0']);
  let acknowledged = 0;
  try {
    child.begin();
    for (let cut = 1; cut <= cuts; cut++) {
      const enough = acknowledged + 60 + 17 * cut;
      const more = await child.heard((events) => events.filter(({ event }) => event === 'pushed').length >= enough);
      expect(more, child.stderr).toBe(true);
      const before = [...child.events];
      acknowledged = before.filter(({ event }) => event === 'pushed').length;
      const copy = `${image}.${cut}`;
      await child.stop();
      await run('cp', ['--reflink=never', '--sparse=always', image, copy]);
      // Nothing new was said meanwhile, and what had been said is heard by now.
      const later = [...child.events];
      child.goOn();
      const after = await mountImage(copy);
      try {
        await verify(`${after.dir}/store`, before, later);
      } catch (broken) {
        return { cuts: cut, acknowledged, broken };
      } finally {
        await after.unmount();
      }
    }
    return { cuts, acknowledged, broken: undefined };
  } finally {
    await child.kill();
    await mount.unmount();
    fs.rmSync(image, { force: true });
  }
}

test.skipIf(missing !== undefined)(
  `P1, P2, P3: what was acknowledged before the power was cut is there after the journal of ext4 was replayed${why}`,
  {
    timeout: 300_000,
  },
  async () => {
    const program = await bundle(`${projectRoot}/test/crash/support/real-process.ts`);
    const { cuts, acknowledged, broken } = await cutPower(program, CUTS);
    if (broken !== undefined) throw broken;
    console.log(`${cuts} power cuts, ${acknowledged} pushes acknowledged before the last`);
  },
);

test.skipIf(missing !== undefined)(
  `P1: a process that forgets to sync its segments is found out by a power cut${why}`,
  {
    timeout: 300_000,
  },
  async () => {
    const program = await bundle(`${projectRoot}/test/crash/support/real-process.ts`, {
      name: 'unsynced',
      file: '/src/vfs/node-vfs.ts',
      find: 'return this.#change((over) => fs.fdatasync(this.#fd, over));',
      put: "return this.#change((over) => this.path.endsWith('.seg') ? void setImmediate(over, null) : fs.fdatasync(this.#fd, over));",
    });
    const { cuts, broken } = await cutPower(program, 3 * CUTS);
    console.log(
      `without data syncs: ${broken instanceof Error ? broken.message.split('\n')[0] : 'nothing'}, at cut ${cuts}`,
    );
    expect(broken, `nothing was lost in ${cuts} power cuts`).toBeInstanceOf(Error);
    expect(String(broken)).toMatch(/P1: ID \d+/);
  },
);
