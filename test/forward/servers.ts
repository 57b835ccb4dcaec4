/**
 * Real servers for the tests of sinks: each on a free port of the loopback and in a folder of its own, started, killed and started again by the test.
 * Where a binary or a client is missing, `whyNot` says so, and the test is skipped with that in its title.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, chownSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, delimiter, isAbsolute, join } from 'node:path';
import { setTimeout as passTime } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** Only to end a start that would hang. */
const UP_MS = 60_000;
const require = createRequire(import.meta.url);
/**
 * Debian keeps servers where the path of a user does not lead; its rabbitmq-server in the path is a script that asks for a user of its own. The first folder is
 * that of `scripts/newer-nats.sh`.
 */
const NEWER = fileURLToPath(new URL('../../node_modules/.cache/evaq', import.meta.url));
const FOLDERS = [NEWER, '/usr/lib/rabbitmq/bin', ...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin'];

/** Why a test cannot be: what is not installed. */
export function whyNot(binary: string, client?: string): string | undefined {
  if (pathOf(binary) === undefined) return `no ${binary}`;
  try {
    if (client !== undefined) require.resolve(client);
    return undefined;
  } catch {
    return `no ${client}`;
  }
}

/** A path as it is, or a name that is looked for. */
export function pathOf(binary: string): string | undefined {
  const paths = isAbsolute(binary) ? [binary] : FOLDERS.map((folder) => join(folder, binary));
  return paths.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** Who runs what refuses to be run by root; `undefined`: we are not root. */
export function otherThanRoot(name: string): User | undefined {
  if (process.getuid?.() !== 0) return undefined;
  return { uid: Number(outputOf('id', ['-u', name])), gid: Number(outputOf('id', ['-g', name])) };
}

export interface ServerSpec {
  readonly binary: string;
  readonly args: (port: number, folder: string) => readonly string[];
  readonly env?: (port: number, folder: string) => Readonly<Record<string, string>>;
  /** Rejects while it is not ready. Default: it takes a connection. */
  readonly ready?: (port: number, folder: string, said: string) => Promise<void>;
  /** Runs it as somebody else, whose the folder is then. */
  readonly user?: User | undefined;
  /** Further processes that a kill must end, by their IDs. */
  readonly pids?: (folder: string) => readonly number[];
}

export class Server {
  readonly port: number;
  readonly folder: string;
  readonly #spec: ServerSpec;
  #child: ChildProcess | undefined;
  #said = '';

  private constructor(spec: ServerSpec, port: number) {
    this.#spec = spec;
    this.port = port;
    this.folder = mkdtempSync(join(tmpdir(), `evaq-${basename(spec.binary)}-`));
  }

  static async start(spec: ServerSpec): Promise<Server> {
    const server = new Server(spec, await freePort());
    await server.start();
    return server;
  }

  /** On the same port, with the same data. */
  async start(): Promise<void> {
    const { binary, ready = takesConnection } = this.#spec;
    let child = this.#spawn();
    const deadline = Date.now() + UP_MS;
    for (;;) {
      try {
        await ready(this.port, this.folder, this.#said);
        return;
      } catch (cause) {
        if (Date.now() > deadline) throw new Error(`${binary} does not come up:\n${this.#said}`, { cause });
        await passTime(20);
        // Something of the one that was killed is still there: a child of it, a port.
        if (child.exitCode !== null) child = this.#spawn();
      }
    }
  }

  #spawn(): ChildProcess {
    const { binary, args, env, user } = this.#spec;
    if (user !== undefined) chownSync(this.folder, user.uid, user.gid);
    const child = spawn(pathOf(binary) ?? binary, args(this.port, this.folder), {
      ...user,
      cwd: this.folder,
      env: { ...process.env, ...env?.(this.port, this.folder) },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child = child;
    child.stdout.on('data', (text: Buffer) => this.#hear(text));
    child.stderr.on('data', (text: Buffer) => this.#hear(text));
    child.on('error', (error) => this.#hear(Buffer.from(error.message)));
    return child;
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    for (const pid of this.#spec.pids?.(this.folder) ?? []) endProcess(pid);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /** It is there, and does nothing, until `resume`. */
  hold(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** For good: nothing is left. */
  async end(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }

  /** What it has printed, for one that says there where it is. */
  get said(): string {
    return this.#said;
  }

  #hear(text: Buffer): void {
    this.#said = (this.#said + text.toString()).slice(-20_000);
  }
}

export function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new TypeError('no port');
  return address.port;
}

export async function takesConnection(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
  } finally {
    socket.destroy();
  }
}

/** Runs a program to its end, and gives what it prints. */
export function outputOf(binary: string, args: readonly string[], user?: User): string {
  return execFileSync(pathOf(binary) ?? binary, args, { ...user, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
