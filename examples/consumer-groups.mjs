// Two groups that each get every order, and whose members share them: a group is a queue. Of one customer the orders are billed one at a time, in their
// order, however many are billed at once.
// Run it with: node examples/consumer-groups.mjs
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Evaq } from 'evaq';

const folder = await mkdtemp(join(tmpdir(), 'evaq-example-'));
const billed = new Map();
const shipped = { one: 0, two: 0 };
const customerOf = ({ payload }) => JSON.parse(payload).customer;

async function bill(record) {
  const { customer, order } = JSON.parse(record.payload);
  await sleep(Math.random() * 3);
  billed.set(customer, [...(billed.get(customer) ?? []), order]);
}

// The program.
const evaq = await Evaq.open(join(folder, 'store'));
const groups = [await evaq.queue('billing'), await evaq.queue('shipping')];
const publish = (order) => Promise.all(groups.map((queue) => queue.push(JSON.stringify(order))));
const [billing, shipping] = groups;
const deliveries = [
  billing.process(bill, { order: customerOf, concurrency: 8 }),
  shipping.process(() => shipped.one++, { concurrency: 1 }),
  shipping.process(() => shipped.two++, { concurrency: 1 }),
];
await Promise.all(Array.from({ length: 200 }, (_, n) => publish({ order: n, customer: `c${n % 5}` })));
await Promise.all(deliveries.map((delivery) => delivery.drained()));
// The end of the program.

const inOrder = [...billed.values()].every((orders) => orders.every((order, i) => i === 0 || order > orders[i - 1]));
console.log(`billed: ${[...billed.values()].flat().length}, of each customer in order: ${inOrder}`);
console.log(`shipped: ${shipped.one + shipped.two}, by both: ${shipped.one > 0 && shipped.two > 0}`);
await evaq.close();
await rm(folder, { recursive: true });
