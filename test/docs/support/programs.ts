/** Programs in the project where evaq is installed, and what they talk to. */
import { type ChildProcessWithoutNullStreams, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished } from 'vitest';
import type { Installed } from './installed.js';
import { listingsOf } from './listings.js';

const run = promisify(execFile);
/** Only to end what would hang. */
const TIMEOUT_MS = 60_000;

/** A folder in the project, with these files. */
export function folderWith({ project }: Installed, name: string, files: Readonly<Record<string, string>> = {}): string {
  const folder = join(project, name);
  mkdirSync(folder, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
  return folder;
}

/** The listings of a page that are whole files, in a folder of their own; `replaced` has what is put in place of what. */
export function filesOf(installed: Installed, page: string, replaced: Readonly<Record<string, string>> = {}): string {
  const files: Record<string, string> = {};
  for (const { file, code } of listingsOf(page)) if (file !== undefined) files[file] = code;
  for (const [what, by] of Object.entries(replaced)) {
    expect(
      Object.values(files).some((code) => code.includes(what)),
      what,
    ).toBe(true);
    for (const [file, code] of Object.entries(files)) files[file] = code.replace(what, () => by);
  }
  return folderWith(installed, page.replaceAll(/\W/g, '-'), files);
}

/** Runs `file` to its end, and gives what it printed. */
export async function output(cwd: string, file: string, ...args: string[]): Promise<string> {
  const { stdout, stderr } = await run(process.execPath, [file, ...args], { cwd, timeout: TIMEOUT_MS });
  expect(stderr).toBe('');
  return stdout;
}

/** Starts a program that does not end by itself. */
export function start(cwd: string, ...args: string[]): ChildProcessWithoutNullStreams {
  const child = spawn(process.execPath, args, { cwd });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

/** Waits until it has printed so many lines that match; throws where it ends before. */
export async function printed(child: ChildProcessWithoutNullStreams, line: RegExp, count: number): Promise<string[]> {
  let text = '';
  let errors = '';
  child.stderr.on('data', (data) => (errors += String(data)));
  for await (const data of child.stdout.iterator({ destroyOnReturn: false })) {
    text += String(data);
    const lines = text.split('\n').filter((one) => line.test(one));
    if (lines.length >= count) return lines;
  }
  throw new Error(`it ended early: ${text}${errors}`);
}

/** An HTTP server that notes what comes, and answers what `status` says of the count, from 1. */
export async function serverOf(
  status: (count: number) => number,
): Promise<{ url: string; keys: string[]; bodies: string[] }> {
  const keys: string[] = [];
  const bodies: string[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (part) => {
      body += String(part);
    });
    request.on('end', () => {
      keys.push(String(request.headers['idempotency-key']));
      bodies.push(body);
      response.writeHead(status(keys.length)).end();
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { url: `http://127.0.0.1:${address.port}/orders`, keys, bodies };
}
