/**
 * The application of the drill, in a process of its own that is killed now and then: it reads lines and pushes each to the WAL queue,
 * and delivers what is there in the background. Nothing of it knows about kills; all it does about them is to open the store
 * and go on.
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Evaq } from '../../evaq.js';
import { Deliverer } from './deliverer.js';
import { readLines } from './drill-input.js';
import { type ApplicationStart, type FromApplication, isToApplication } from './drill-message.js';
import { joinDrill } from './drill-parent.js';

/** Small segments, so that a run of seconds sees them come and go. */
const SEGMENT_BYTES = 256 * 1024;
const TICK_MS = 8;
/** Of the lines, in the checkpoint. */
const SOURCE = 'input';
/** Lines that are pushed together. */
const PUSHES_MAX = 1024;

type Say = (message: FromApplication) => void;

/** Runs until it is told to stop, or the drill is gone. */
export async function runApplication(): Promise<void> {
  const say: Say = joinDrill();
  const [start]: unknown[] = await once(process, 'message');
  if (!isToApplication(start) || start.kind !== 'start') throw new Error('the first message must say what to do');
  let stopped = false;
  process.on('message', () => {
    stopped = true;
  });
  say({ kind: 'opening' });
  const evaq = await Evaq.open(start.store, { segmentBytes: SEGMENT_BYTES });
  say({ kind: 'ready', recovery: evaq.recovery });

  const deliverer = new Deliverer(evaq, start.port, start.seed, say);
  const delivering = deliverer.run();
  // Whichever fails first ends the process.
  await Promise.race([delivering, produce(evaq, start, say)]);
  let drained = false;
  while (!stopped) {
    if (!drained && deliverer.isIdle && evaq.wal.size === 0 && evaq.deadLetters.size === 0) {
      drained = true;
      say({ kind: 'drained' });
    }
    await Promise.race([delivering, sleep(TICK_MS)]);
  }
  deliverer.stop();
  await delivering;
  await evaq.close();
  process.disconnect();
}

/**
 * Pushes line after line at the given rate. How far it has come is committed with the lines, so the next process goes on right behind them. A line
 * counts as acknowledged when its push has resolved, or a checkpoint says that it came in.
 */
async function produce(evaq: Evaq, start: ApplicationStart, say: Say): Promise<void> {
  const { lines, linesPerSecond } = start;
  const checkpoint = await evaq.wal.checkpoint(SOURCE);
  const done = typeof checkpoint === 'number' ? checkpoint : 0;
  if (done > 0) say({ kind: 'acknowledged', to: done });
  const began = performance.now();
  let pushed = 0;
  let line = 0;
  let batch: { readonly line: number; readonly text: string }[] = [];
  const flush = async (): Promise<void> => {
    const [first] = batch;
    if (first === undefined) return;
    say({ kind: 'pushing', from: first.line, to: line });
    await evaq.wal.pushMany(
      batch.map((record) => JSON.stringify(record)),
      { checkpoint: { source: SOURCE, position: line } },
    );
    say({ kind: 'acknowledged', to: line });
    pushed += batch.length;
    batch = [];
  };
  for await (const text of readLines(start.input)) {
    if (line === lines) break;
    line++;
    if (line <= done) continue;
    batch.push({ line, text });
    const allowed = Math.ceil(((performance.now() - began) / 1000) * linesPerSecond);
    if (batch.length < PUSHES_MAX && pushed + batch.length < allowed) continue;
    await flush();
    const dueMs = (pushed / linesPerSecond) * 1000 - (performance.now() - began);
    if (dueMs > 0 && line < lines) await sleep(Math.max(dueMs, TICK_MS));
  }
  await flush();
}
