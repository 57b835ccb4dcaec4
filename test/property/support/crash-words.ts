/**
 * A word is a few calls on a store that holds something of everything: live records, a dead segment, a sparse one, a dead letter. The last call
 * of the word is cut at every step (the ones before it are the last of a shorter word), and every state that is new is opened and compared with
 * the model.
 */
import { Evaq } from '../../../src/evaq.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { closeWhole } from './closed-store.js';
import { PromiseTally } from './promise-tally.js';
import { BrokenPromise, payloadOf, type QueueName, type Seen, StoreModel, type Token } from './store-model.js';
import { readQueue } from './store-run.js';

export const WORD_CALLS = ['push', 'pushMany', 'remove', 'deadLetter', 'redrive', 'compact', 'reopen'] as const;
export type WordCall = (typeof WORD_CALLS)[number];

const STORE = '/s';
const NAMES = ['wal', 'dead-letters'] as const;
/** Choices at a cut that are all tried; where there are more, the corners are. */
const EXHAUSTIVE_MAX = 16;

export interface WordOptions {
  readonly exhaustiveMax?: number;
  /** Random states of a cut, beside the corners. None if not given. */
  readonly draws?: number;
  readonly sectorBytes?: number;
  readonly seed?: number;
}

function open(disk: SimDisk): Promise<Evaq> {
  const ports = { vfs: disk.vfs, host: disk.host };
  return Evaq.open(STORE, { ports, segmentBytes: 65_536, recycleSegments: 1 });
}

/** One history: an open store, and what its callers were told. */
class Teller {
  readonly model: StoreModel;
  readonly disk: SimDisk;
  evaq: Evaq;

  constructor(model: StoreModel, disk: SimDisk, evaq: Evaq) {
    this.model = model;
    this.disk = disk;
    this.evaq = evaq;
  }

  async push(queue: QueueName, sizes: readonly number[]): Promise<void> {
    const tokens = this.model.push(queue, sizes);
    const payloads = tokens.map(({ number, bytes }) => payloadOf(number, bytes));
    const to = queue === 'wal' ? this.evaq.wal : this.evaq.deadLetters;
    const [first = Buffer.alloc(0)] = payloads;
    const firstId = payloads.length === 1 ? await to.push(first) : (await to.pushMany(payloads)).firstId;
    for (const [i, token] of tokens.entries()) this.model.arrived(token, queue, firstId + i, 'push');
  }

  async remove(found: readonly { readonly token: Token; readonly id: number }[]): Promise<void> {
    for (const { token } of found) token.removed = 'maybe';
    await this.evaq.wal.removeMany(found.map(({ id }) => id));
    for (const { token } of found) token.removed = 'yes';
  }

  async call(call: WordCall): Promise<void> {
    const { model } = this;
    switch (call) {
      case 'push':
        return this.push('wal', [100]);
      case 'pushMany':
        return this.push('wal', [3000, 3000]);
      case 'remove':
        return this.remove(model.candidates('wal').slice(0, 1));
      case 'deadLetter': {
        const [found] = model.candidates('wal');
        if (found === undefined) return;
        const { token, id } = found;
        token.moved = true;
        token.homes = [...token.homes, { queue: 'dead-letters', id: undefined, above: model.highest('dead-letters') }];
        model.arrived(token, 'dead-letters', await this.evaq.deadLetter(id, { reason: 'no' }), 'deadLetter');
        return;
      }
      case 'redrive': {
        const all = model.candidates('dead-letters');
        for (const { token } of all) {
          token.moved = true;
          token.homes = [...token.homes, { queue: 'wal', id: undefined, above: model.highest('wal') }];
        }
        const ids = await this.evaq.redrive(all.map(({ id }) => id));
        for (const [i, { token }] of all.entries()) model.arrived(token, 'wal', ids[i] ?? 0, 'redrive');
        return;
      }
      case 'compact':
        await this.evaq.wal.compact();
        return;
      case 'reopen':
        await closeWhole(this.evaq, this.disk);
        this.evaq = await open(this.disk);
        return;
    }
  }
}

export class WordExplorer {
  readonly tally: PromiseTally = new PromiseTally();
  cuts = 0;
  /** States with what had been told until then. */
  readonly #seen = new Set<string>();
  readonly #options: WordOptions;
  #start: { readonly disk: SimDisk; readonly model: StoreModel } | undefined;

  constructor(options: WordOptions = {}) {
    this.#options = options;
  }

  /** Throws a `BrokenPromise` that names word, cut and choice. */
  async explore(word: readonly WordCall[]): Promise<void> {
    this.#start ??= await prepared(this.tally, this.#options);
    const model = this.#start.model.clone();
    const disk = this.#start.disk.fork();
    const cuts: { readonly disk: SimDisk; readonly model: StoreModel; readonly after: string }[] = [];
    let watching = word.length === 0;
    const stop = disk.observe(({ phase, call }) => {
      if (phase === 'effect' && watching)
        cuts.push({ disk: disk.fork(), model: model.clone(), after: `${call.name} ${call.path}` });
    });
    const teller = new Teller(model, disk, await open(disk));
    for (const [i, call] of word.entries()) {
      watching = i === word.length - 1;
      await teller.call(call);
    }
    cuts.push({ disk: disk.fork(), model: model.clone(), after: 'the end' });
    stop();
    disk.kill();
    for (const cut of cuts) {
      this.cuts++;
      const collected = word.includes('compact');
      const { exhaustiveMax = EXHAUSTIVE_MAX, draws = 0 } = this.#options;
      for (const state of cut.disk.crashStates({ exhaustiveMax, draws })) {
        const key = `${state.hash} ${told(cut.model)}`;
        if (this.#seen.has(key)) continue;
        this.#seen.add(key);
        await this.#look(state.disk, cut.model.clone(), state.hash, collected).catch((error: unknown) => {
          if (error instanceof Error)
            error.message += ` [${word.join(' ') || 'open'}; cut after ${cut.after}; choice ${state.choice.join(' ')}]`;
          throw error;
        });
      }
    }
  }

  async #look(disk: SimDisk, model: StoreModel, hash: string, collected: boolean): Promise<void> {
    const { tally } = this;
    const evaq = await open(disk);
    const all = new Map<QueueName, Seen[]>();
    for (const name of NAMES) all.set(name, await readQueue(name === 'wal' ? evaq.wal : evaq.deadLetters, name));
    tally.begin();
    const [damage] = evaq.recovery.damage;
    if (damage !== undefined) throw new BrokenPromise('P9', `a crash was taken for damage: ${damage.what}`);
    if (!evaq.recovery.clean) tally.check('P9');
    model.view(all, 'open');
    for (const name of NAMES) {
      const { nextId } = (name === 'wal' ? evaq.wal : evaq.deadLetters).stats();
      tally.check('P8');
      if (nextId <= model.highest(name))
        throw new BrokenPromise('P8', `${name} would give out ${nextId}; ${model.highest(name)} was given out`);
    }
    if (collected) tally.check('P6');
    // P5: once more, after a power cut that takes all it may.
    disk.kill();
    const again = await open(disk.crash(disk.nothingSurvives()));
    tally.check('P5');
    for (const name of NAMES) {
      const seen = await readQueue(name === 'wal' ? again.wal : again.deadLetters, name);
      if (JSON.stringify(seen.map(({ id }) => id)) !== JSON.stringify(all.get(name)?.map(({ id }) => id)))
        throw new BrokenPromise('P5', `a second recovery shows other records in ${name}`);
    }
    tally.end(hash);
  }
}

/** What the callers had been told, as text. */
function told(model: StoreModel): string {
  return [...model.tokens.values()]
    .map(
      ({ pushed, removed, homes }) =>
        `${pushed}${removed}${homes.map(({ queue, id }) => `${queue}${id ?? ''}`).join('+')}`,
    )
    .join(' ');
}

async function prepared(
  tally: PromiseTally,
  { seed = 1, sectorBytes = 4096 }: WordOptions,
): Promise<{ readonly disk: SimDisk; readonly model: StoreModel }> {
  const disk = new SimDisk({ seed, timing: 'steady', sectorBytes });
  const model = new StoreModel(tally);
  const teller = new Teller(model, disk, await open(disk));
  // Each opening begins a segment.
  for (let i = 0; i < 3; i++) {
    await teller.push('wal', [150, 150, 150, 150]);
    await teller.call('reopen');
  }
  await teller.push('wal', [50, 60]);
  await teller.push('dead-letters', [40]);
  // The first segment is all dead, the second half.
  await teller.remove(model.candidates('wal').filter(({ id }) => id <= 4 || id === 6 || id === 7));
  await closeWhole(teller.evaq, disk);
  disk.kill();
  return { disk: disk.crash(disk.nothingSurvives()), model };
}
