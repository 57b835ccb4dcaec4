/**
 * Carries out orders: one contender in one case of a row, or one task. It stands at the far end of a `Worker`, or, in a smoke run, in
 * the same process.
 */
import { mkdirSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { rowNamed } from '../rows/all-rows.js';
import { TASKS } from '../rows/tasks.js';
import { collectGarbage } from './collect-garbage.js';
import { loadEngine } from './engine.js';
import type { Running } from './row.js';
import { SCALES } from './scale.js';
import { Worker } from './worker.js';
import type { Order } from './worker-protocol.js';

export class Contestant {
  #running: Running | undefined;

  async carryOut(order: Order): Promise<unknown> {
    switch (order.order) {
      case 'start':
        this.#running = await start(order);
        return undefined;
      case 'round':
        if (this.#running === undefined) throw new Error('not started');
        return this.#running.round();
      case 'memory':
        return collectGarbage();
      case 'end':
        await this.#running?.end?.();
        return undefined;
      case 'task': {
        const task = TASKS[order.task];
        if (task === undefined) throw new RangeError(`no task is called '${order.task}'`);
        return task(await loadEngine(order.engine), order.params);
      }
    }
  }
}

async function start(order: Extract<Order, { order: 'start' }>): Promise<Running> {
  const scale = SCALES[order.scale];
  const row = rowNamed(order.row);
  const one = row.cases(scale)[order.caseIndex];
  if (one === undefined) throw new RangeError('no such case');
  mkdirSync(order.dir, { recursive: true });
  const engine = await loadEngine(order.engine);
  return row.start({
    contender: order.contender,
    params: one.params,
    scale,
    engine,
    scratch: () => mkdtempSync(join(order.dir, 's-')),
    async task(name, params) {
      const dies = params['end'] === 'kill';
      const task = TASKS[name];
      // Nothing is gained by a process of its own where the figures mean nothing.
      if (scale.ownProcesses === false && !dies && task !== undefined) return task(engine, params);
      const worker = new Worker();
      try {
        return await worker.ask<Record<string, number>>({ order: 'task', task: name, engine: order.engine, params });
      } finally {
        await worker.close();
      }
    },
  });
}
