/**
 * A process that the drill has started: found by its pid alone, and gone when the drill goes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

export interface ChildEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The end of what it said on standard error. */
  readonly stderr: string;
}

const STDERR_CHARS_MAX = 4_000;

export class DrillChild {
  /** Resolves when the process is gone and all that it had sent was received. */
  readonly ended: Promise<ChildEnd>;
  readonly #process: ChildProcess;
  #stderr = '';

  /** `program` and `args`: a script for this Node, and its arguments. */
  constructor(program: string, args: readonly string[], hear: (message: unknown) => void) {
    const child = spawn(process.execPath, [...process.execArgv, program, ...args], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#process = child;
    child.on('message', hear);
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString()).slice(-STDERR_CHARS_MAX);
    });
    this.ended = this.#watch(child);
    // Looked at by whoever waits for something of this child.
    this.ended.catch(() => undefined);
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  send(message: object): void {
    // A child that is gone misses nothing.
    if (this.#process.connected) this.#process.send(message, () => undefined);
  }

  /** SIGKILL: the process has no say in it. */
  kill(): void {
    this.#process.kill('SIGKILL');
  }

  async #watch(child: ChildProcess): Promise<ChildEnd> {
    // 'close' comes after the channel is closed too; 'exit' may come before the last messages.
    await once(child, 'close');
    return { code: child.exitCode, signal: child.signalCode, stderr: this.#stderr };
  }
}
