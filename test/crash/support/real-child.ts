/** A child process that speaks lines of JSON on descriptor 3, heard as events. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import type { RealEvent } from './real-event.js';

export class RealChild {
  readonly events: RealEvent[] = [];
  readonly closed: Promise<unknown>;
  readonly #child: ChildProcess;
  readonly #listeners = new Set<() => void>();
  #ended = false;
  stderr = '';

  constructor(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const child = spawn(process.execPath, [program, ...args], {
      stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#child = child;
    const said = child.stdio[3];
    if (!(said instanceof Readable)) throw new Error('no pipe from the process');
    const lines = createInterface({ input: said });
    lines.on('line', (line) => {
      try {
        this.events.push(JSON.parse(line));
      } catch {
        return; // cut in the middle by a kill
      }
      for (const listener of this.#listeners) listener();
    });
    child.stderr?.on('data', (chunk) => (this.stderr += String(chunk)));
    child.stdin?.on('error', () => undefined);
    this.closed = Promise.all([once(child, 'close'), once(lines, 'close')]).then(() => {
      this.#ended = true;
      for (const listener of this.#listeners) listener();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  begin(): void {
    this.#child.stdin?.write('go\n');
  }

  /** Resolves when all its threads stand still. A system call under way is finished before. */
  async stop(): Promise<void> {
    this.#child.kill('SIGSTOP');
    const tasks = `/proc/${this.pid}/task`;
    const stands = (task: string): boolean => /\) [TtZX] /.test(readFileSync(`${tasks}/${task}/stat`, 'utf8'));
    for (let looks = 0; !readdirSync(tasks).every(stands); looks++) {
      // Only to end a test that would hang.
      if (looks > 200_000) throw new Error('the process does not stop');
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  goOn(): void {
    this.#child.kill('SIGCONT');
  }

  kill(): Promise<unknown> {
    this.#child.kill('SIGKILL');
    return this.closed;
  }

  /** Resolves when `enough` says so of what was heard, or the process is gone: with whether it was enough. */
  heard(enough: (events: readonly RealEvent[]) => boolean): Promise<boolean> {
    return new Promise((resolve) => {
      const look = (): void => {
        const done = enough(this.events);
        if (!done && !this.#ended) return;
        this.#listeners.delete(look);
        resolve(done);
      };
      this.#listeners.add(look);
      look();
    });
  }
}
