/**
 * A row about other threads: pushes of two workers to a store that the main thread has, beside those of the main thread itself.
 */
import { Worker } from 'node:worker_threads';
import type { Mode } from '../contenders/contender.js';
import { removeAndSettle } from '../harness/disk.js';
import { above, atLeast } from '../harness/goal.js';
import { type Case, RATE, type Row, type Run, type Running, textParam } from '../harness/row.js';

const SIZE = 100;
const CALLERS = 512;
const WORKERS = 2;
const OURS = 'evaq';
const LINKED = 'evaq 2 workers';

/** Callers that each await their push before they make the next, until the time is over; resolves with how many pushes that were. */
const PUSHING = `
  async function pushing(queue, ms) {
    const payload = Buffer.alloc(${SIZE}, 7);
    const until = performance.now() + ms;
    let pushes = 0;
    const caller = async () => {
      do {
        await queue.push(payload);
        pushes++;
      } while (performance.now() < until);
    };
    await Promise.all(Array.from({ length: ${CALLERS} }, caller));
    return pushes;
  }
`;

const THREAD = `
  ${PUSHING}
  const { parentPort, workerData } = require('node:worker_threads');
  import(workerData.url).then(async ({ Evaq }) => {
    const evaq = await Evaq.attach(workerData.port);
    parentPort.on('message', async (ms) => parentPort.postMessage(await pushing(evaq.wal, ms)));
    parentPort.postMessage(0);
  });
`;

async function ask(worker: Worker, ms: number | undefined): Promise<number> {
  const answer = new Promise<unknown>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  if (ms !== undefined) worker.postMessage(ms);
  const pushes = await answer;
  worker.removeAllListeners('error');
  if (typeof pushes !== 'number') throw new TypeError('a worker gave no count');
  return pushes;
}

/** The same code as in the threads. */
async function pushingHere(queue: object, ms: number): Promise<number> {
  const make: unknown = Reflect.construct(Function, [`${PUSHING} return pushing;`]);
  const pushing: unknown = typeof make === 'function' ? Reflect.apply(make, undefined, []) : undefined;
  const pushes: unknown =
    typeof pushing === 'function' ? await Reflect.apply(pushing, undefined, [queue, ms]) : undefined;
  if (typeof pushes !== 'number') throw new TypeError('no count');
  return pushes;
}

/** One store and its threads for all rounds: a thread that has just begun is slow. */
async function start(run: Run, mode: Mode): Promise<Running> {
  const { contender, engine, scale } = run;
  const dir = run.scratch();
  const store = await engine.Evaq.open(dir, { durability: mode });
  const workers: Worker[] = [];
  if (contender === LINKED) {
    for (let i = 0; i < WORKERS; i++) {
      const port = store.connect();
      const workerData = { port, url: engine.url };
      workers.push(new Worker(THREAD, { eval: true, workerData, transferList: [port] }));
    }
    await Promise.all(workers.map((worker) => ask(worker, undefined)));
  }
  return {
    async round() {
      const cpuBefore = process.cpuUsage();
      const started = performance.now();
      const counts =
        workers.length === 0
          ? [await pushingHere(store.wal, scale.roundMs)]
          : await Promise.all(workers.map((worker) => ask(worker, scale.roundMs)));
      const seconds = (performance.now() - started) / 1000;
      const { user, system } = process.cpuUsage(cpuBefore);
      const ops = counts.reduce((sum, count) => sum + count, 0);
      const there = store.wal.size;
      if (there !== ops) throw new Error(`${ops} pushes were acknowledged, ${there} records are there`);
      const last = store.wal.stats().nextId - 1;
      await store.wal.removeThrough(last);
      await store.wal.flush();
      return { ops, seconds, bytes: ops * SIZE, cpuUs: user + system };
    },
    async end() {
      await Promise.all(workers.map((worker) => worker.terminate()));
      await store.close();
      removeAndSettle(dir);
    },
  };
}

const pushWorkers: Row = {
  name: 'push-workers',
  title: `Pushes (${SIZE} B) of two worker threads, ${CALLERS} callers each, beside those of the main thread alone`,
  unit: 'records/s',
  primary: RATE,
  cases: () =>
    (['os', 'sync'] as const).map(
      (mode): Case => ({
        label: `mode '${mode}'`,
        params: { mode },
        contenders: [OURS, LINKED],
        goals: [
          above({ of: LINKED, metric: 'rate', limit: 200_000, unit: 'records/s' }),
          atLeast({ of: LINKED, against: OURS, factor: 0.8 }),
        ],
      }),
    ),
  start: (run) => start(run, textParam(run.params, 'mode') === 'sync' ? 'sync' : 'os'),
};

export const WORKER_ROWS: readonly Row[] = [pushWorkers];
