/**
 * The power is cut under a real file system: the file behind a loop device is copied while a process is at work, which is what a disk
 * would have held at that moment (or a little later, in part), and the copy is mounted, so that ext4 replays its journal.
 *
 * What was acknowledged before the copying began must be in it; what came later may be.
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
  const evaq = await Evaq.open(store, { segmentBytes: 64 * 1024 });
  try {
    expect(evaq.recovery.damage, 'P9: a power cut damages nothing').toEqual([]);
    const found = new Map<number, number>();
    for await (const { id, payload } of evaq.wal.records()) found.set(id, keyOf(payload));
    for (const [id, key] of due) expect(found.get(id), `P1: ID ${id}`).toBe(key);
    for (const id of gone) expect(found.has(id), `P2: ID ${id} was removed and is back`).toBe(false);
    for (const key of found.values()) expect(known.has(key), `P3: key ${key} was never pushed`).toBe(true);
  } finally {
    await evaq.close();
  }
}

test.skipIf(missing !== undefined)(
  `P1, P2, P3: what was acknowledged before the power was cut is there after the journal of ext4 was replayed${why}`,
  {
    timeout: 60_000,
  },
  async () => {
    const program = await bundle(`${projectRoot}/test/crash/support/real-process.ts`);
    const mount = await mountNew('ext4', 48);
    const image = mount.image ?? '';
    const child = new RealChild(program, [`${mount.dir}/store`, '1000000', '0']);
    let acknowledged = 0;
    try {
      child.begin();
      for (let cut = 1; cut <= CUTS; cut++) {
        const enough = acknowledged + 60 + 17 * cut;
        const more = await child.heard((events) => events.filter(({ event }) => event === 'pushed').length >= enough);
        expect(more, child.stderr).toBe(true);
        const before = [...child.events];
        acknowledged = before.filter(({ event }) => event === 'pushed').length;
        const copy = `${image}.${cut}`;
        await run('cp', ['--reflink=never', '--sparse=always', image, copy]);
        // What is in the copy was asked for by now, and heard a moment later.
        await new Promise<void>((resolve) => setImmediate(resolve));
        const count = child.events.length;
        await child.heard((events) => events.length > count);
        const after = await mountImage(copy);
        try {
          await verify(`${after.dir}/store`, before, child.events);
        } finally {
          await after.unmount();
        }
      }
      console.log(`${CUTS} power cuts, ${acknowledged} pushes acknowledged before the last`);
    } finally {
      await child.kill();
      await mount.unmount();
      fs.rmSync(image, { force: true });
    }
  },
);
