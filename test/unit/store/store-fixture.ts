/** Stores in temporary folders of the real disk, and on simulated ones. Everything is closed and removed after each test. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect } from 'vitest';
import {
  Evaq,
  EvaqError,
  type EvaqErrorCode,
  type EvaqErrorDetails,
  type EvaqOptions,
  type Queue,
} from '../../../src/evaq.js';
import { SimDisk, type SimDiskOptions } from '../../../src/sim/sim-disk.js';

const folders: string[] = [];
const opened: Evaq[] = [];

afterEach(async () => {
  for (const evaq of opened.splice(0)) await evaq.close().catch(() => undefined);
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A path for a store on the real disk, with nothing there yet. */
export function newPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-test-'));
  folders.push(folder);
  return join(folder, 'store');
}

/** A store on the real disk. */
export async function openReal(options: EvaqOptions = {}, path: string = newPath()): Promise<Evaq> {
  const evaq = await Evaq.open(path, options);
  opened.push(evaq);
  return evaq;
}

export const SIM_PATH = '/store';

export function newDisk(options: Partial<SimDiskOptions> = {}): SimDisk {
  return new SimDisk({ seed: 1, timing: 'steady', fill: 'zeros', ...options });
}

/** The store on a simulated disk. Not closed after the test: the process on it may be dead by then. */
export function openSim(disk: SimDisk, options: EvaqOptions = {}): Promise<Evaq> {
  return Evaq.open(SIM_PATH, { ...options, ports: { vfs: disk.vfs, host: disk.host } });
}

/** Passes simulated time, in which everything that is under way goes on. */
export function passTime(disk: SimDisk, ms: number): Promise<void> {
  return new Promise((resolve) => disk.host.after(ms, resolve));
}

/** All live records, as texts by ID. */
export async function contentOf(queue: Queue): Promise<Record<number, string>> {
  const content: Record<number, string> = {};
  for await (const { id, payload } of queue.records()) content[id] = payload.toString();
  return content;
}

export async function idsOf(queue: Queue): Promise<number[]> {
  const ids: number[] = [];
  for await (const { id } of queue.records()) ids.push(id);
  return ids;
}

/** Resolves with the `EvaqError` of that code that `call` rejects with. */
export async function rejection(
  call: Promise<unknown>,
  code: EvaqErrorCode,
  details: EvaqErrorDetails = {},
): Promise<EvaqError> {
  const error: unknown = await call.then(
    () => new Error('it was not rejected'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof EvaqError)) throw error;
  expect(error).toMatchObject({ code, details });
  return error;
}

/** How many syncs of data files there were. */
export function countOf(disk: SimDisk, name: string, path: RegExp): number {
  return disk.calls.filter((call) => call.name === name && path.test(call.path)).length;
}

/** As a caller from JavaScript, whom no types stop. */
export async function callUntyped(target: object, method: string, ...args: readonly unknown[]): Promise<unknown> {
  const found: unknown = Reflect.get(target, method);
  if (typeof found !== 'function') throw new Error(`there is no ${method}`);
  return Reflect.apply(found, target, args);
}
