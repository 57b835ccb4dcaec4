/** A program that is asked to end by a signal, in a process of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { closeOnSignal, Evaq } from '../../src/evaq.js';
import { bundle, projectRoot } from '../cli/support/bundle.js';
import { DeliveringProcess } from './delivering-process.js';

const scratch = mkdtempSync(join(tmpdir(), 'evaq-signal-'));
const living = new Set<DeliveringProcess>();
let program = '';

beforeAll(async () => {
  program = await bundle(join(projectRoot, 'test/delivery/signal-process.ts'));
});
afterEach(async () => {
  for (const one of living) await one.kill();
  living.clear();
});
afterAll(() => rmSync(scratch, { recursive: true }));

async function start(how: string): Promise<DeliveringProcess> {
  const child = new DeliveringProcess(program, [join(scratch, how), how]);
  living.add(child);
  await child.heard('began slow');
  return child;
}

async function leftIn(how: string): Promise<{ readonly clean: boolean; readonly payloads: readonly string[] }> {
  const evaq = await Evaq.open(join(scratch, how));
  const { clean } = evaq.recovery;
  const payloads = (await evaq.wal.read()).map(({ payload }) => payload.toString());
  await evaq.close();
  return { clean, payloads };
}

describe('closeOnSignal', () => {
  it('lets handlers end, closes the store, and ends by the signal', async () => {
    const child = await start('ends');
    child.send('SIGTERM');
    await child.ended;
    expect(child.said.map(({ event }) => event)).toEqual(['began slow', 'delivered', 'stopped']);
    expect(child.signal).toBe('SIGTERM');
    expect(child.stderr).toBe('');
    expect(await leftIn('ends')).toEqual({ clean: true, payloads: ['next'] });
  });

  it('ends at once at the second signal, and nothing is lost', async () => {
    const child = await start('hangs');
    child.send('SIGTERM');
    await child.heard('asked');
    child.send('SIGTERM');
    await child.ended;
    expect(child.signal).toBe('SIGTERM');
    expect(child.saidOf('stopped')).toBe(false);
    expect(await leftIn('hangs')).toEqual({ clean: false, payloads: ['slow', 'next'] });
  });

  it('leaves the end to others who listen', async () => {
    const child = await start('others');
    child.send('SIGTERM');
    await child.heard('stopped');
    expect(child.saidOf('another listener')).toBe(true);
    child.endInput();
    await child.ended;
    expect(child.exitCode).toBe(0);
    expect(await leftIn('others')).toEqual({ clean: true, payloads: ['next'] });
  });

  it('can be undone', async () => {
    const child = await start('undone');
    child.send('SIGINT');
    await child.ended;
    expect(child.signal).toBe('SIGINT');
    expect(child.saidOf('stopped')).toBe(false);
  });

  it('refuses what is no store, no delivery, no option', async () => {
    const evaq = await Evaq.open(join(scratch, 'arguments'));
    const listeners = process.listenerCount('SIGTERM');
    const call =
      (...given: readonly unknown[]) =>
      () =>
        Reflect.apply(closeOnSignal, undefined, given);
    expect(call()).toThrow(/evaq must be a store that is open, got undefined/);
    expect(call(evaq, [1])).toThrow(/deliveries must be deliveries, got 1/);
    expect(call(evaq, [], { grace: 1 })).toThrow(/did you mean 'graceMs'/);
    expect(call(evaq, undefined, { graceMs: -1 })).toThrow(RangeError);
    expect(process.listenerCount('SIGTERM')).toBe(listeners);
    closeOnSignal(evaq)();
    expect(process.listenerCount('SIGTERM')).toBe(listeners);
    await evaq.close();
  });
});
