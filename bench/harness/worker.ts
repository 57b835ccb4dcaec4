/**
 * A child process that does as it is told, one order at a time.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { UnavailableError } from '../contenders/contender.js';
import type { Order, Reply } from './worker-protocol.js';

/** Longer than the longest order: filling ten million records of a slow peer. */
const ORDER_MS_MAX = 15 * 60_000;

/** Who carries out orders, wherever it is. */
export interface OrderTaker {
  ask<T>(order: Order): Promise<T | undefined>;
  close(): Promise<void>;
}

export interface WorkerOptions {
  /** Where a CPU profile of the child is to be left. */
  readonly cpuProfDir?: string | undefined;
}

export class Worker implements OrderTaker {
  readonly #child: ChildProcess;
  #settle: ((reply: Reply<unknown> | undefined) => void) | undefined;
  #exited = false;
  readonly #exit: Promise<void>;

  constructor(options: WorkerOptions = {}) {
    const { cpuProfDir } = options;
    this.#child = fork(fileURLToPath(new URL('child.mjs', import.meta.url)), [], {
      execArgv: ['--expose-gc', ...(cpuProfDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${cpuProfDir}`])],
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child.on('message', (reply: Reply<unknown>) => this.#finish(reply));
    this.#exit = new Promise((resolve) => {
      this.#child.on('exit', () => {
        this.#exited = true;
        this.#finish(undefined);
        resolve();
      });
    });
  }

  /** The value that the child answers with; `undefined` if it died of the order. `T` is what the order is known to give. */
  async ask<T>(order: Order): Promise<T | undefined> {
    if (this.#exited) throw new Error('the child process is gone');
    const reply = await new Promise<Reply<unknown> | undefined>((resolve) => {
      const timer = setTimeout(() => this.#child.kill('SIGKILL'), ORDER_MS_MAX);
      this.#settle = (settled) => {
        clearTimeout(timer);
        resolve(settled);
      };
      this.#child.send(order);
    });
    if (reply === undefined) return undefined;
    if (reply.reply === 'unavailable') throw new UnavailableError(reply.reason);
    if (reply.reply === 'failed') throw new Error(reply.reason);
    // Both ends are ours: the child answers each order with its type.
    return reply.value as T;
  }

  /** Lets the child end by itself, so that a profile is written; kills it if it does not. */
  async close(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    await this.#exit;
    clearTimeout(timer);
  }

  #finish(reply: Reply<unknown> | undefined): void {
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.(reply);
  }
}
