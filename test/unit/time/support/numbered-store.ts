/** Simulated stores whose next numbers are wherever a test wants them: files with such names do it. */
import { Evaq, type EvaqOptions } from '../../../../src/evaq.js';
import type { SimDisk } from '../../../../src/sim/sim-disk.js';
import { newDisk, openSim, SIM_PATH } from '../../store/store-fixture.js';

export const MAX: number = Number.MAX_SAFE_INTEGER;

export function segmentFile(baseId: number, segmentId: number): string {
  return `${String(baseId).padStart(20, '0')}-${hex(segmentId)}.seg`;
}

export function hex(value: number): string {
  return value.toString(16).padStart(16, '0');
}

/** A file in the folder of a queue. */
export function placeIn(disk: SimDisk, name: string, bytes: Uint8Array = Buffer.alloc(0), queue = 'wal'): void {
  disk.place(`${SIM_PATH}/queues/${queue}/${name}`, bytes);
}

/** A store that was closed, and holds one record: 'first' (ID 1). */
export async function storeOfOne(options: EvaqOptions = {}, queue = 'wal'): Promise<SimDisk> {
  const disk = newDisk();
  const evaq = await openSim(disk, options);
  await (await evaq.queue(queue)).push('first');
  await evaq.close();
  return disk;
}

/** The same, and the next ID is `nextId`: a segment was begun there that never came to hold anything. */
export async function storeAt(nextId: number, options: EvaqOptions = {}, queue = 'wal'): Promise<SimDisk> {
  const disk = await storeOfOne(options, queue);
  placeIn(disk, segmentFile(nextId, 0xff), undefined, queue);
  return disk;
}

/** The same store as another process finds it. */
export function reopen(disk: SimDisk, options: EvaqOptions = {}): Promise<Evaq> {
  const { vfs, host } = disk.restart();
  return Evaq.open(SIM_PATH, { ...options, ports: { vfs, host } });
}
