/** The command line as a child process: the one in dist/ where that is newer than the sources, else one that is bundled for the tests. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { bundle, projectRoot } from './bundle.js';

let binary: Promise<string> | undefined;

/** Where the command line is. */
export function cliPath(): Promise<string> {
  binary ??= find();
  return binary;
}

async function find(): Promise<string> {
  const built = join(projectRoot, 'dist/cli/main.js');
  const builtMs = statSync(built, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const src = join(projectRoot, 'src');
  const names = readdirSync(src, { recursive: true, encoding: 'utf8' });
  const stale = names.some((name) => statSync(join(src, name)).mtimeMs > builtMs);
  return stale ? bundle(join(src, 'cli/main.ts')) : built;
}

export interface CliResult {
  /** Exit code, or the signal that ended it. */
  readonly code: number | string;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs a command to its end. */
export async function evaq(args: readonly string[], input: string | Buffer = ''): Promise<CliResult> {
  const child = await startEvaq(args);
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input);
  return finished(child);
}

/** Starts a command; it is killed with the test at the latest. */
export async function startEvaq(args: readonly string[], options: SpawnOptions = {}): Promise<ChildProcess> {
  const child = spawn(process.execPath, [await cliPath(), ...args], {
    stdio: 'pipe',
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined },
    ...options,
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  return child;
}

export async function finished(child: ChildProcess): Promise<CliResult> {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
  const [code, signal]: (number | string | null)[] = await once(child, 'close');
  return { code: code ?? signal ?? 'unknown', stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() };
}
