/** A process that pushes until its disk is full, says so, and waits to be killed. Its first line of input starts it. */
import { writeSync } from 'node:fs';
import { Evaq } from '../../../src/evaq.js';
import { payloadOf } from '../crash-record.js';
import type { RealEvent } from './real-event.js';

function say(event: RealEvent): void {
  const line = Buffer.from(`${JSON.stringify(event)}\n`);
  for (let done = 0; done < line.length; ) done += writeSync(3, line, done);
}

async function run(path: string): Promise<void> {
  const evaq = await Evaq.open(path, { segmentBytes: 1024 * 1024 });
  let key = 0;
  for (const together of [100, 1]) {
    for (let refusals = 0; refusals < 2; ) {
      const pushes = Array.from({ length: together }, async () => {
        const mine = key++;
        const firstId = await evaq.pushWal(payloadOf(mine));
        say({ event: 'pushed', keys: [mine], firstId });
      });
      const outcomes = await Promise.allSettled(pushes);
      if (outcomes.some(({ status }) => status === 'rejected')) refusals++;
    }
  }
  say({ event: 'end' });
}

process.stdin.on('end', () => process.exit(0));
process.stdin.once('data', () => {
  run(process.argv[2] ?? '').catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
});
