/**
 * A drill whose application says that every line is acknowledged and stores nothing but the first: what the drill is there to find.
 */
import { once } from 'node:events';
import { runDestination } from '../../../src/cli/demo/destination.js';
import { isToApplication } from '../../../src/cli/demo/drill-message.js';
import { joinDrill } from '../../../src/cli/demo/drill-parent.js';
import { Evaq } from '../../../src/evaq.js';

async function lie(): Promise<void> {
  const say = joinDrill();
  const [start]: unknown[] = await once(process, 'message');
  if (!isToApplication(start) || start.kind !== 'start') throw new Error('not a start');
  const evaq = await Evaq.open(start.store);
  say({ kind: 'ready', recovery: evaq.recovery });
  say({ kind: 'pushing', from: 1, to: start.lines });
  await evaq.pushWal('the one record that is stored, and left there');
  say({ kind: 'acknowledged', to: start.lines });
  say({ kind: 'drained' });
  await once(process, 'message');
  await evaq.close();
  process.disconnect();
}

await (process.argv.at(-1) === 'destination' ? runDestination() : lie());
