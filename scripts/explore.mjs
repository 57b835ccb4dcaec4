// Explores crash states until so many distinct ones were checked, in several processes; goes on where it stopped:
// npm run explore [-- --states 1000000 --processes 2 --seed 1 --dir exploration --workloads "moves,words"]
import { fork } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { bundleOf, root } from './load-bundled.mjs';
import { count, scriptOptions, text, whole } from './script-options.mjs';

/** Nearly all that a state is made of dies young; and with a process for each processor there is none left to collect on the side. */
const YOUNG = ['--max-semi-space-size=64', '--single-threaded-gc'];

/** In a process of its own: carries units out, one after the other, as it is told. */
async function work(bundle) {
  const { EXPLORATION } = await import(pathToFileURL(bundle).href);
  const carryOut = async ({ workload, nth, seed }) => {
    const hashes = new Set();
    const cpu = process.cpuUsage();
    let error;
    try {
      await EXPLORATION[workload].run(nth, seed, (hash) => hashes.add(hash));
    } catch (found) {
      error = inspect(found);
    }
    const { user, system } = process.cpuUsage(cpu);
    const words = BigUint64Array.from([...hashes], (hash) => BigInt(`0x${hash}`));
    process.send({ workload, nth, words: Buffer.from(words.buffer), cpuMs: (user + system) / 1000, error });
  };
  process.on('message', (unit) => void carryOut(unit));
  // Nobody is there to be told any more.
  process.on('disconnect', () => process.exit());
  process.send('ready');
}

/** What is found is told, and the rest goes on: after so many that is enough. */
const FOUND_MAX = 20;

/** Numbers of 64 bits, far fewer than its slots. */
class Hashes {
  #slots = new BigUint64Array(2 ** 16);
  size = 0;

  /** False if it was there. */
  add(hash) {
    if (2 * this.size >= this.#slots.length) this.#grow();
    return this.#put(hash === 0n ? 1n : hash);
  }

  #put(hash) {
    const mask = this.#slots.length - 1;
    let at = Number(hash & BigInt(mask));
    while (this.#slots[at] !== 0n) {
      if (this.#slots[at] === hash) return false;
      at = (at + 1) & mask;
    }
    this.#slots[at] = hash;
    this.size++;
    return true;
  }

  #grow() {
    const before = this.#slots;
    this.#slots = new BigUint64Array(before.length * 2);
    this.size = 0;
    for (const hash of before) if (hash !== 0n) this.#put(hash);
  }
}

/** What there is of a run: `units.jsonl`, a line for each unit that is done, and `hashes`, theirs one after the other. */
class Record {
  #units;
  #hashes;
  #seen = new Hashes();
  #offset = 0;
  done = new Set();
  rows = new Map();
  wallMs = 0;

  constructor(dir, settings) {
    mkdirSync(dir, { recursive: true });
    this.#units = join(dir, 'units.jsonl');
    this.#hashes = join(dir, 'hashes');
    const head = join(dir, 'settings.json');
    if (existsSync(head) && readFileSync(head, 'utf8') !== settings)
      throw new Error(`${dir} is of a run with other settings: ${readFileSync(head, 'utf8')}`);
    writeFileSync(head, settings);
    for (const file of [this.#units, this.#hashes]) appendFileSync(file, '');
    const bytes = readFileSync(this.#hashes);
    let whole = 0;
    for (const line of readFileSync(this.#units, 'utf8').split('\n')) {
      let unit;
      try {
        unit = JSON.parse(line);
      } catch {
        // The last one may have been cut off.
        continue;
      }
      if (this.#offset + 8 * unit.states > bytes.length) break;
      this.#count(unit, bytes.subarray(this.#offset, this.#offset + 8 * unit.states));
      this.#offset += 8 * unit.states;
      whole += line.length + 1;
    }
    truncateSync(this.#units, whole);
    truncateSync(this.#hashes, this.#offset);
  }

  get states() {
    return this.#seen.size;
  }

  add(unit, bytes) {
    appendFileSync(this.#hashes, bytes);
    appendFileSync(this.#units, `${JSON.stringify(unit)}\n`);
    this.#offset += bytes.length;
    this.#count(unit, bytes);
  }

  #count(unit, bytes) {
    const { name, nth, states, cpuMs, wallMs } = unit;
    const row = this.rows.get(name) ?? { units: 0, states: 0, distinct: 0, cpuMs: 0 };
    this.rows.set(name, row);
    for (let at = 0; at < bytes.length; at += 8) if (this.#seen.add(bytes.readBigUInt64LE(at))) row.distinct++;
    row.units++;
    row.states += states;
    row.cpuMs += cpuMs;
    this.wallMs += wallMs;
    this.done.add(`${name} ${nth}`);
  }
}

const countText = (n) => Math.round(n).toLocaleString('en').replaceAll(',', ' ');

async function main() {
  const options = scriptOptions('explore -- [--states N] [--processes N] [--seed N] [--dir D] [--workloads A,B]', {
    states: count(1_000_000),
    processes: count(Math.min(2, availableParallelism())),
    seed: whole(1),
    dir: text(join(root, 'node_modules', '.cache', 'evaq', 'exploration')),
    workloads: text(undefined),
  });
  const { states: target, processes, seed: firstSeed } = options;
  const bundle = await bundleOf('test/property/support/exploration.ts');
  const { EXPLORATION } = await import(pathToFileURL(bundle).href);
  const wanted = options.workloads?.split(',');
  const chosen = [...EXPLORATION.entries()].filter(
    ([, { name }]) => wanted === undefined || wanted.some((text) => name.includes(text)),
  );
  if (chosen.length === 0) throw new Error('no workload has such a name');
  const record = new Record(
    resolve(options.dir),
    JSON.stringify({ seed: firstSeed, workloads: chosen.map(([, { name }]) => name) }),
  );
  if (record.states > 0) console.log(`going on from ${countText(record.states)} distinct states`);

  // Each workload once, and then again those of more weight: a run that is cut short has something of everything.
  const turns = Math.max(...chosen.map(([, { weight }]) => weight));
  function* units() {
    for (let round = 0; ; round++)
      for (let turn = 0; turn < turns; turn++)
        for (const [workload, { name, weight }] of chosen) {
          const nth = round * weight + turn;
          if (turn < weight && !record.done.has(`${name} ${nth}`)) yield { workload, nth, seed: firstSeed + nth };
        }
  }
  const rest = units();
  const before = record.wallMs;
  const started = Date.now();
  let told = started;
  const found = [];
  await Promise.all(
    Array.from({ length: processes }, () => {
      const child = fork(fileURLToPath(import.meta.url), ['--work', bundle], {
        serialization: 'advanced',
        execArgv: YOUNG,
      });
      return new Promise((end, fail) => {
        child.on('error', fail);
        child.on('exit', (code) => {
          if (code !== 0) process.exitCode = 1;
          end();
        });
        child.on('message', (message) => {
          if (message !== 'ready') {
            const { workload, nth, words, cpuMs, error } = message;
            const { name } = EXPLORATION[workload];
            if (error !== undefined) {
              found.push(`${name}, seed ${firstSeed + nth}`);
              process.exitCode = 1;
              console.error(`${name}, seed ${firstSeed + nth}:\n${error}`);
            } else {
              const bytes = Buffer.from(words);
              const wallMs = Date.now() - started - (record.wallMs - before);
              record.add({ name, nth, states: bytes.length / 8, cpuMs: Math.round(cpuMs), wallMs }, bytes);
            }
            if (Date.now() - told > 30_000) {
              told = Date.now();
              const rate = record.states / (record.wallMs / 1000);
              console.log(`${countText(record.states)} distinct states, ${countText(rate)} a second`);
            }
          }
          if (found.length >= FOUND_MAX || record.states >= target) child.disconnect();
          else child.send(rest.next().value);
        });
      });
    }),
  );
  console.log('\n| workload | mode | runs | states | distinct | of a second of a processor |');
  console.log('|---|---|---:|---:|---:|---:|');
  let cpuMs = 0;
  for (const [, { name, durability }] of chosen) {
    const row = record.rows.get(name) ?? { units: 0, states: 0, distinct: 0, cpuMs: 1 };
    cpuMs += row.cpuMs;
    const rate = countText(row.distinct / (row.cpuMs / 1000));
    console.log(
      `| ${name} | ${durability} | ${row.units} | ${countText(row.states)} | ${countText(row.distinct)} | ${rate} |`,
    );
  }
  const seconds = record.wallMs / 1000;
  console.log(
    `\n${countText(record.states)} distinct states in ${countText(seconds)} s on ${processes} processes (${countText(record.states / seconds)} a second), ` +
      `which had ${countText(cpuMs / 1000)} s of processors (${countText(record.states / (cpuMs / 1000))} for each); ${found.length === 0 ? 'nothing was found' : `found something in: ${found.join('; ')}`}`,
  );
}

if (process.argv[2] === '--work') await work(process.argv[3]);
else await main();
