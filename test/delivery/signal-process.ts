/** A process that delivers until it is told to end by a signal. Says on descriptor 3 what it does. */
import { writeSync } from 'node:fs';
import { closeOnSignal, Evaq } from '../../src/evaq.js';

function say(event: string): void {
  writeSync(3, `${JSON.stringify({ event })}\n`);
}

const [path = '', how = ''] = process.argv.slice(2);
const evaq = await Evaq.open(path);
await evaq.wal.pushMany(['slow', 'next']);
const delivery = evaq.evacuate(
  async (record, { signal }) => {
    say(`began ${record.payload.toString()}`);
    if (how === 'hangs') await new Promise(() => undefined);
    // Ends by itself, a while after the signal came.
    await new Promise<void>((resolve) => process.once('SIGTERM', () => setTimeout(resolve, 100)));
    say(signal.aborted ? 'aborted' : 'delivered');
  },
  { order: 'fifo' },
);
if (how === 'hangs') process.once('SIGTERM', () => say('asked'));
if (how === 'others') process.on('SIGTERM', () => say('another listener'));
const undo = closeOnSignal(evaq, delivery, { graceMs: how === 'hangs' ? 60_000 : 5000 });
if (how === 'undone') undo();
delivery.done.then(() => say('stopped')).catch(() => undefined);
if (how === 'others') process.stdin.resume();
process.stdin.on('end', () => void evaq.close().finally(() => process.exit(0)));
