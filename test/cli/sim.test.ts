import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { evaq } from './support/evaq-cli.js';

let dir: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'evaq-sim-'));
});

afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** A program that saves entries, with or without the sync of the folder that makes their names durable. */
function program(lastStep: string): string {
  return `
    export const workload = {
      ops: ['apple', 'pear'],
      async run({ vfs, acknowledge }, entries) {
        await vfs.makeDir('/log');
        await vfs.syncDir('/');
        for (const entry of entries) {
          const file = await vfs.create('/log/' + entry);
          await file.writeAt(Buffer.from(entry), 0, entry.length, 0);
          await file.sync();
          await file.close();
          ${lastStep}
          acknowledge(entry);
        }
      },
    };
    export async function check({ vfs }, saved) {
      const names = (await vfs.stat('/log')) === undefined ? [] : (await vfs.list('/log')).map(({ name }) => name);
      for (const entry of saved) if (!names.includes(entry)) throw new Error(entry + ' was saved and is gone');
    }
  `;
}

describe('evaq sim', () => {
  test('P1-P10: finds nothing in a few calls on a store', { timeout: 300_000 }, async () => {
    const { code, stdout } = await evaq(['sim', '--seed', '3', '--ops', '4', '--states', '200']);
    expect(stdout.toString()).toMatch(/^nothing found: \d+ distinct states at \d+ cuts/);
    expect(code).toBe(0);
  });

  test('tells the shortest story of a program that forgets to sync its folder, and finds nothing when it does not', async () => {
    const wrong = join(dir, 'wrong.mjs');
    writeFileSync(wrong, program(''));
    const found = await evaq(['sim', '--seed', '1', '--workload', wrong]);
    expect(found.code).toBe(1);
    expect(found.stdout.toString()).toContain('was saved and is gone');
    expect(found.stdout.toString()).toContain('seed: 1');

    const right = join(dir, 'right.mjs');
    writeFileSync(right, program("await vfs.syncDir('/log');"));
    expect((await evaq(['sim', '--seed', '1', '--workload', right])).code).toBe(0);
  });

  test.each([
    ['a seed that is no number', ['--seed', 'x'], 2],
    ['a module that is not there', ['--workload', '/nowhere.mjs'], 2],
  ])('refuses %s', async (_what, args, exitCode) => {
    const { code, stderr } = await evaq(['sim', ...args]);
    expect(code).toBe(exitCode);
    expect(stderr).toMatch(/whole number|cannot be loaded/);
  });
});
