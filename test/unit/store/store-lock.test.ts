/** The note in LOCK, on a system that says nothing of itself. */
import { readFileSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { openReal } from './store-fixture.js';

vi.mock('node:os', async (original) => {
  const refuse = (): never => {
    throw new Error('EPERM: operation not permitted');
  };
  return { ...(await original<typeof import('node:os')>()), hostname: refuse, uptime: refuse };
});

test('P17: a store opens where the system does not tell its name, nor when it was started', async () => {
  const evaq = await openReal();
  expect(JSON.parse(readFileSync(`${evaq.path}/LOCK`, 'utf8'))).toMatchObject({
    pid: process.pid,
    host: '',
    bootId: '',
  });
});
