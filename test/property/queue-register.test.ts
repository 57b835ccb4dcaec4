/** Every crash state of making a store and its queues opens, and none of them is taken for a queue that was taken away. */
import { expect, test } from 'vitest';
import { Evaq } from '../../src/evaq.js';
import { type ExploreMachine, explore, type RecoveryMachine } from '../../src/sim/explore.js';

const STORE = '/store';

interface Fact {
  readonly queue: string;
  readonly id: number;
}

/** 'reopen', or the name of a queue to push to; 'idle' is made and not pushed to. */
const OPS = ['wal', 'jobs', 'reopen', 'idle', 'jobs', 'reopen'];

const open = ({ vfs, host }: RecoveryMachine): Promise<Evaq> =>
  Evaq.open(STORE, { ports: { vfs, host }, recycleSegments: 0 });

async function run(machine: ExploreMachine<Fact>, ops: readonly string[]): Promise<void> {
  let evaq = await open(machine);
  for (const op of ops) {
    if (op === 'reopen') {
      await evaq.close();
      evaq = await open(machine);
      continue;
    }
    const queue = await evaq.queue(op);
    if (op !== 'idle') machine.acknowledge({ queue: op, id: await queue.push(op) });
  }
  await evaq.close();
}

async function check(machine: RecoveryMachine, facts: readonly Fact[]): Promise<unknown> {
  const evaq = await open(machine);
  if (evaq.recovery.damage.length > 0) throw new Error(`damage: ${JSON.stringify(evaq.recovery.damage)}`);
  const content: Record<string, number[]> = {};
  for (const name of evaq.queueNames()) {
    const ids: number[] = [];
    for await (const { id } of (await evaq.queue(name)).records()) ids.push(id);
    if (ids.length > 0) content[name] = ids;
  }
  for (const { queue, id } of facts)
    if (content[queue]?.includes(id) !== true) throw new Error(`record ${id} of ${queue} is gone`);
  await evaq.close();
  return content;
}

test('P5, P8: making a store and its queues, and opening them again, survives a crash at every call, and one within the recovery', {
  timeout: 300_000,
}, async () => {
  const { failure, states } = await explore({ ops: OPS, run }, check, {
    seed: 11,
    exhaustiveMax: 8,
    draws: 1,
    depth: 1,
    statesMax: 3_000,
  });
  expect(failure?.script).toBeUndefined();
  expect(states).toBeGreaterThan(500);
});
