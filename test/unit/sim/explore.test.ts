import { expect, test } from 'vitest';
import { type ExploreMachine, explore, type RecoveryMachine } from '../../../src/sim/explore.js';

const DIR = '/log';

/** A log of one file for each entry, written under a temporary name: `sync` of the folder is what may be forgotten. */
async function append(
  machine: ExploreMachine<string>,
  entries: readonly string[],
  forget: 'nothing' | 'syncDir' | 'sync',
): Promise<void> {
  const { vfs, acknowledge } = machine;
  if (await vfs.makeDir(DIR)) await vfs.syncDir('/');
  for (const entry of entries) {
    const file = await vfs.create(`${DIR}/${entry}.tmp`);
    await file.writeAt(Buffer.from(entry), 0, entry.length, 0);
    if (forget !== 'sync') await file.sync();
    await file.close();
    await vfs.rename(`${DIR}/${entry}.tmp`, `${DIR}/${entry}`);
    if (forget !== 'syncDir') await vfs.syncDir(DIR);
    acknowledge(entry);
  }
}

async function recover({ vfs }: RecoveryMachine, facts: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  if ((await vfs.stat(DIR)) !== undefined) {
    for (const { name } of await vfs.list(DIR)) {
      if (name.endsWith('.tmp')) {
        await vfs.remove(`${DIR}/${name}`);
        continue;
      }
      const file = await vfs.open(`${DIR}/${name}`, 'read');
      const bytes = Buffer.alloc(100);
      const text = bytes.toString('utf8', 0, await file.readAt(bytes, 0, 100, 0));
      await file.close();
      if (text !== name) throw new Error(`${name} holds ${JSON.stringify(text)}`);
      found.push(name);
    }
    // What is shown from here on has to stay.
    await vfs.syncDir(DIR);
    await vfs.syncDir('/');
  }
  for (const fact of facts) if (!found.includes(fact)) throw new Error(`${fact} was acknowledged and is gone`);
  return found.sort();
}

const ENTRIES = ['one', 'two', 'three'];

test('P1: a log that syncs what it should passes in every state, and in crashes of its recovery', async () => {
  const report = await explore({ ops: ENTRIES, run: (machine, ops) => append(machine, ops, 'nothing') }, recover, {
    depth: 2,
  });
  expect(report.failure?.script).toBeUndefined();
  expect(report.finished).toBe(true);
  expect(report.states).toBeGreaterThan(50);
});

test('each state is told of before it is checked, with the hash of its disk', async () => {
  const told: number[] = [];
  const hashes = new Set<string>();
  let checks = 0;
  const report = await explore<string, string>(
    { ops: ENTRIES, run: (machine, ops) => append(machine, ops, 'nothing') },
    (machine, facts) => {
      checks++;
      return recover(machine, facts);
    },
    {
      onState: (hash, depth) => {
        if (depth === 0) expect(checks).toBe(told[0] ?? 0);
        told[depth] = (told[depth] ?? 0) + 1;
        hashes.add(hash);
      },
    },
  );
  expect(told).toEqual(report.statesByDepth);
  expect(hashes.size).toBeGreaterThan(10);
  expect(hashes.size).toBeLessThanOrEqual(report.states);
  for (const hash of hashes) expect(hash).toMatch(/^[0-9a-f]{16}$/);
});

test('P1: a forgotten directory sync is found and told as a script of one operation', async () => {
  const report = await explore({ ops: ENTRIES, run: (machine, ops) => append(machine, ops, 'syncDir') }, recover);
  expect(report.failure?.script).toContain('workload: one');
  expect(report.failure?.script).not.toContain('two');
  expect(report.failure?.script).toMatch(/power cut after .*\n {2}lost: .*/);
  expect(report.failure?.script).toContain('one was acknowledged and is gone');
  expect(report.failure?.script).toContain('seed: 1');
});

test('P3: a forgotten data sync is found', async () => {
  const report = await explore({ ops: ENTRIES, run: (machine, ops) => append(machine, ops, 'sync') }, recover, {
    seed: 3,
  });
  expect(report.failure?.script).toMatch(/one holds|one was acknowledged/);
});

test('P5: a recovery that shows what the next power cut takes is found one crash deeper', async () => {
  const careless = async ({ vfs }: RecoveryMachine): Promise<string[]> => {
    const names = (await vfs.stat(DIR)) === undefined ? [] : await vfs.list(DIR);
    return names.map(({ name }) => name).sort();
  };
  const workload = {
    ops: ['one'],
    run: (machine: ExploreMachine<string>, ops: readonly string[]) => append(machine, ops, 'nothing'),
  };
  expect((await explore(workload, careless, { depth: 0 })).failure).toBeUndefined();
  const report = await explore(workload, careless, { depth: 1 });
  expect(report.failure?.crashes).toHaveLength(2);
  expect(report.failure?.script).toContain('during recovery');
  expect(report.failure?.script).toContain('before the last crash');
});

test('a check that never ends is a failure, and a workload that fails by itself is one', async () => {
  const workload = {
    ops: ['one'],
    run: (machine: ExploreMachine<string>, ops: readonly string[]) => append(machine, ops, 'nothing'),
  };
  const hanging = await explore(workload, () => new Promise(() => undefined), { hangMs: 20, depth: 0 });
  expect(hanging.failure?.script).toContain('nothing came to an end');
  const failing = await explore({ ops: [], run: () => Promise.reject(new Error('no')) }, () => Promise.resolve());
  expect(failing.failure?.script).toContain('then: no');
});

test('equal seeds explore equal states', async () => {
  const run = (): ReturnType<typeof explore> =>
    explore({ ops: ENTRIES, run: (machine, ops) => append(machine, ops, 'nothing') }, recover, { seed: 9, depth: 1 });
  expect(await run()).toEqual(await run());
});
