/**
 * Two builds of the library, by turns, one turn of some milliseconds each, in one process: for a machine that is not quiet.
 *
 *     node bench/by-turns.mjs push 1024 before/dist/evaq.js dist/evaq.js
 *     node bench/by-turns.mjs frame 100 before/dist/evaq.js dist/evaq.js
 *
 * Prints what a record took at least, and in a tenth, a quarter and half of the turns. A turn in which nobody else had the processor is among the
 * least, so these say the most. Below a few percent the order of the builds matters: give the first one again at the end.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [kind = '', size = '100', ...files] = process.argv.slice(2);
const bytes = Number(size);
const ROUNDS = Number(process.env.ROUNDS ?? 600);
const WARM_ROUNDS = 40;
/** Records of a turn: about a MiB. */
const TURN = Number(process.env.TURN ?? Math.max(16, Math.min(1000, Math.floor(1e6 / bytes))));

const payloads = Array.from({ length: TURN }, () => randomBytes(bytes));

async function idsOf(queue) {
  const ids = [];
  for await (const { id } of queue.records()) ids.push(id);
  return ids;
}

/** Each does one turn and returns the milliseconds it took. */
const KINDS = {
  push: ({ queue }) => timed(() => Promise.all(payloads.map((payload) => queue.push(payload))), empty(queue)),
  many: ({ queue }) =>
    timed(async () => {
      for (let i = 0; i < TURN; i += 100) await queue.pushMany(payloads.slice(i, i + 100));
    }, empty(queue)),
  read: async ({ queue }) => {
    if (queue.size === 0) await queue.pushMany(payloads);
    return timed(() => idsOf(queue));
  },
  loop: ({ queue }) =>
    timed(async () => {
      await Promise.all(payloads.map((payload) => queue.push(payload)));
      await Promise.all((await idsOf(queue)).map((id) => queue.remove(id)));
    }),
  frame: ({ builder }) =>
    timed(async () => {
      builder.reset();
      for (const payload of payloads) builder.add(payload, undefined);
      builder.finish({ seed: 7, fileOffset: 4096, firstId: 9, timestamp: 1e12, durableOffset: 0, removalSeq: 0 }, 4096);
    }),
};

const turn = KINDS[kind];
if (turn === undefined || files.length === 0) {
  console.error(`node bench/by-turns.mjs ${Object.keys(KINDS).join('|')} BYTES EVAQ.JS EVAQ.JS...`);
  process.exit(2);
}

function empty(queue) {
  return async () => void (await queue.removeThrough(queue.stats().nextId - 1));
}

async function timed(work, after) {
  const started = performance.now();
  await work();
  const ms = performance.now() - started;
  await after?.();
  return ms;
}

const folders = [];
const contenders = [];
for (const file of files) {
  const load = (name) => import(pathToFileURL(join(dirname(resolve(file)), name)).href);
  const { Evaq } = await load('evaq.js');
  const { CommitBuilder } = await load('frame/commit-builder.js');
  const { useCrcKernel } = await load('checksum.js');
  await useCrcKernel?.();
  const dir = mkdtempSync(join(process.env.DIR ?? tmpdir(), 'evaq-by-turns-'));
  folders.push(dir);
  const store = await Evaq.open(dir, { durability: process.env.MODE ?? 'os' });
  contenders.push({ file, store, queue: store.wal, builder: new CommitBuilder('dense'), turns: [] });
}
for (let round = 0; round < WARM_ROUNDS + ROUNDS; round++) {
  for (const contender of contenders) {
    const ms = await turn(contender);
    if (round >= WARM_ROUNDS) contender.turns.push((ms * 1e6) / TURN);
  }
}
for (const { file, store, turns } of contenders) {
  turns.sort((a, b) => a - b);
  const at = (part) => turns[Math.floor(part * (turns.length - 1))].toFixed(0);
  console.log(
    `${kind} ${bytes} B: min ${at(0)}, p10 ${at(0.1)}, p25 ${at(0.25)}, median ${at(0.5)} ns a record  ${file}`,
  );
  await store.close();
}
for (const dir of folders) rmSync(dir, { recursive: true, force: true });
