/** A read that goes on where the last one stopped, beside a removal of all that it takes, which comes `turns` promises later. */
import { Evaq } from '../../../src/evaq.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { BrokenPromise } from './store-model.js';

export async function readBesideRemoval(turns: number): Promise<void> {
  const disk = new SimDisk({ seed: 1, timing: 'steady' });
  const evaq = await Evaq.open('/srv/store', { ports: { vfs: disk.vfs, host: disk.host } });
  await evaq.wal.pushMany(Array.from({ length: 1000 }, (_, i) => `record ${i}`));
  await evaq.wal.read({ maxRecords: 10 });
  const reading = evaq.wal.read({ from: 11, maxRecords: 10 });
  for (let i = 0; i < turns; i++) await Promise.resolve();
  const removing = evaq.wal.removeThrough(20);
  const { length } = await reading;
  await removing;
  await evaq.close();
  if (length === 0)
    throw new BrokenPromise('P13', `a read was empty beside 980 live records, ${turns} turns before a removal`);
}
