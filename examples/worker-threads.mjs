// Four threads push and deliver; one store, which the main thread has open. What a thread had when it died is delivered by another one.
// Run it with: node examples/worker-threads.mjs
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Evaq } from 'evaq';

const THREADS = 4;
const ORDERS = 250;

/** Stands for work that keeps a thread busy. */
async function compute(record, thread) {
  await sleep(1);
  parentPort.postMessage({ order: record.payload.toString(), thread });
}

if (isMainThread) {
  const folder = await mkdtemp(join(tmpdir(), 'evaq-example-'));
  const evaq = await Evaq.open(join(folder, 'orders'));
  const done = new Map();
  const workers = Array.from({ length: THREADS }, (_, thread) => {
    const port = evaq.connect();
    const worker = new Worker(new URL(import.meta.url), { workerData: { port, thread }, transferList: [port] });
    return worker.on('message', ({ order, thread }) => done.set(order, thread));
  });
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve))));
  console.log(`delivered: ${done.size}, by ${new Set(done.values()).size} threads`);
  console.log(`left: ${evaq.wal.size} records, ${evaq.deadLetters.size} dead letters`);
  await evaq.close();
  await rm(folder, { recursive: true });
} else {
  // The program.
  const { port, thread } = workerData;
  const evaq = await Evaq.attach(port);
  const delivery = evaq.evacuate((record) => compute(record, thread));
  const orders = Array.from({ length: ORDERS }, (_, i) => `order ${thread}.${i}`);
  await Promise.all(orders.map((order) => evaq.wal.push(order)));
  await delivery.drained();
  await evaq.close();
  // The end of the program.
}
