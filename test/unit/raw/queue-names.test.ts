/** What stands in the folder of the queues: links, and things that are no folder. */
import { cpSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Evaq } from '../../../src/evaq.js';
import { surveyRepair } from '../../../src/raw/repair-survey.js';
import { verifyStore } from '../../../src/raw.js';
import { newPath, openReal, rejection } from '../store/store-fixture.js';

function queuesOf(path: string): string {
  return join(path, 'queues');
}

/** A store as a power cut left it in a move from `queue`: the copy is durable, the tombstone is not. */
async function cutInMove(): Promise<string> {
  const evaq = await openReal();
  await evaq.wal.pushMany(['a', 'b', 'c']);
  const before = newPath();
  cpSync(evaq.path, before, { recursive: true });
  await evaq.deadLetter(1, { reason: 'poison' });
  const crashed = newPath();
  cpSync(evaq.path, crashed, { recursive: true });
  const wal = join(queuesOf(crashed), 'wal');
  for (const name of readdirSync(wal).filter((one) => one.endsWith('.tomb'))) {
    cpSync(join(queuesOf(before), 'wal', name), join(wal, name));
  }
  return crashed;
}

/** Puts a folder of the store elsewhere, and a link in its place. */
function linkAway(path: string, queue: string): string {
  const elsewhere = newPath();
  renameSync(join(queuesOf(path), queue), elsewhere);
  symlinkSync(elsewhere, join(queuesOf(path), queue));
  return elsewhere;
}

describe('the folder of the queues', () => {
  it('P10: a queue behind a link is recovered like any other', async () => {
    const path = await cutInMove();
    linkAway(path, 'wal');
    const evaq = await openReal({}, path);
    expect(evaq.recovery.movesCompleted).toBe(1);
    expect((await evaq.wal.read()).map(({ id }) => id)).toEqual([2, 3]);
    expect(await evaq.wal.push('d')).toBe(4);
    await evaq.close();
    await using reader = await Evaq.openReadOnly(path);
    expect(await reader.queueNames()).toEqual(['dead-letters', 'wal']);
    expect((await reader.wal.read()).map(({ id }) => id)).toEqual([2, 3, 4]);
    expect((await verifyStore(path)).damage).toEqual([]);
  });

  it('P9: damage behind a link is not passed over', async () => {
    const evaq = await openReal();
    await (await evaq.queue('far')).push('x');
    await evaq.close();
    const elsewhere = linkAway(evaq.path, 'far');
    for (const name of readdirSync(elsewhere).filter((one) => one.endsWith('.tomb'))) {
      writeFileSync(join(elsewhere, name), Buffer.alloc(4096, 0xff));
    }
    await rejection(Evaq.open(evaq.path), 'EVAQ_CORRUPT');
    expect((await verifyStore(evaq.path)).queues.map(({ queue }) => queue)).toEqual(['dead-letters', 'far', 'wal']);
  });

  it.each(['wal', 'far'])(
    'P9: a link of the queue %s that leads nowhere is refused by name, and nothing is written',
    async (queue) => {
      const evaq = await openReal();
      await (await evaq.queue('far')).push('x');
      await evaq.wal.push('x');
      await evaq.close();
      const link = join(queuesOf(evaq.path), queue);
      const elsewhere = linkAway(evaq.path, queue);
      renameSync(elsewhere, `${elsewhere}-away`);
      for (const onCorruption of ['fail', 'quarantine'] as const) {
        await rejection(Evaq.open(evaq.path, { onCorruption }), 'EVAQ_CORRUPT', { queue, path: link });
      }
      const { damage } = await verifyStore(evaq.path);
      expect(damage).toMatchObject([{ queue, file: link, lossless: false }]);
      expect((await surveyRepair(evaq.path)).plan.steps).toMatchObject([{ action: 'by-hand', file: link }]);
      await using reader = await Evaq.openReadOnly(evaq.path);
      if (queue === 'wal') await rejection(reader.wal.read(), 'EVAQ_CORRUPT', { path: link });
      else await rejection(reader.queue(queue), 'EVAQ_CORRUPT', { path: link });
      renameSync(`${elsewhere}-away`, elsewhere);
      const again = await openReal({}, evaq.path);
      expect((await again.wal.read()).length + (await (await again.queue('far')).read()).length).toBe(2);
    },
  );

  it('a file with the name of a queue is told of and left alone; in the place of the wal it is refused', async () => {
    const evaq = await openReal();
    await evaq.close();
    const file = join(queuesOf(evaq.path), 'notes');
    writeFileSync(file, 'mine');
    const again = await openReal({}, evaq.path);
    expect(again.recovery.damage).toMatchObject([{ queue: 'notes', file, lossless: true }]);
    expect(again.queueNames()).toEqual(['dead-letters', 'wal']);
    await again.close();
    expect((await verifyStore(evaq.path)).damage).toMatchObject([{ file, lossless: true }]);
    expect((await surveyRepair(evaq.path)).plan.steps).toEqual([]);
    rmSync(file);
    const wal = join(queuesOf(evaq.path), 'wal');
    rmSync(wal, { recursive: true });
    writeFileSync(wal, '');
    await rejection(Evaq.open(evaq.path), 'EVAQ_CORRUPT', { path: wal });
    rmSync(wal);
    mkdirSync(wal);
  });
});
