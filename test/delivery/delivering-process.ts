/** A child process that delivers, heard by the lines of JSON that it writes to descriptor 3. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';

export interface Said {
  readonly event: string;
  readonly payload?: string;
  readonly deadLetters?: number;
}

export class DeliveringProcess {
  readonly said: Said[] = [];
  readonly ended: Promise<unknown>;
  hasEnded = false;
  stderr = '';
  readonly #child: ChildProcess;

  constructor(program: string, args: readonly string[]) {
    const child = spawn(process.execPath, [program, ...args], { stdio: ['pipe', 'ignore', 'pipe', 'pipe'] });
    this.#child = child;
    const words = child.stdio[3];
    if (!(words instanceof Readable)) throw new Error('no pipe from the process');
    const lines = createInterface({ input: words });
    lines.on('line', (line) => {
      try {
        this.said.push(JSON.parse(line));
      } catch {
        // Cut in the middle by a kill: that acknowledgement was never heard.
      }
    });
    child.stderr?.on('data', (chunk) => (this.stderr += String(chunk)));
    child.stdin?.on('error', () => undefined);
    this.ended = Promise.all([once(child, 'close'), once(lines, 'close')]).then(() => {
      this.hasEnded = true;
    });
  }

  begin(): void {
    this.#child.stdin?.write('go\n');
  }

  saidOf(event: string): boolean {
    return this.said.some((one) => one.event === event);
  }

  /** The signal that it ended by. */
  get signal(): NodeJS.Signals | null {
    return this.#child.signalCode;
  }

  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  send(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  endInput(): void {
    this.#child.stdin?.end();
  }

  /** Resolves when it has said that; rejects where it ends before. */
  async heard(event: string): Promise<void> {
    while (!this.saidOf(event)) {
      if (this.hasEnded) throw new Error(`it ended and did not say '${event}': ${this.stderr}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended;
  }
}
