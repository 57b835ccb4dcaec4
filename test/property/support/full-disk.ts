/**
 * A history on a full disk: a store fills it, in some durability mode; a stranger takes whatever is given back, at once or now and then; and the store
 * is emptied, one record after the other, from the front, from the back or from anywhere, through closes, kills and power cuts. At the end it is empty,
 * and when the stranger has gone it can be pushed to.
 */

import { type Durability, Evaq, EvaqError } from '../../../src/evaq.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { chance } from './chance.js';
import { closeWhole } from './closed-store.js';
import { BrokenPromise } from './store-model.js';

const STORE = '/store';
const KIB = 1024;
const DURABILITIES: readonly Durability[] = ['sync', 'os', { intervalMs: 20 }];
/** Many small ones together, so that what is removed can fall into many ranges; or large ones, one by one. */
const PAYLOADS = [
  { bytesMax: 40, together: 20 },
  { bytesMax: 400, together: 1 },
  { bytesMax: 3000, together: 1 },
] as const;
const SEGMENT_BYTES = [64 * KIB, 256 * KIB, 64 * KIB * KIB] as const;

const ORDERS = ['first', 'last', 'every second', 'any'] as const;
type Order = (typeof ORDERS)[number];

class FullDisk {
  readonly #seed: number;
  readonly #below: (n: number) => number;
  readonly #durability: Durability;
  readonly #segmentBytes: number;
  /** Takes what is given back before anybody else does. */
  readonly #isGreedy: boolean;
  #disk: SimDisk;
  #evaq: Evaq | undefined;
  /** Ascending. */
  #live: number[] = [];
  readonly #payloads: (typeof PAYLOADS)[number];
  #steps = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.#below = chance(seed);
    this.#durability = this.#pick(DURABILITIES);
    this.#segmentBytes = this.#pick(SEGMENT_BYTES);
    this.#payloads = this.#pick(PAYLOADS);
    this.#isGreedy = this.#below(2) === 0;
    const timing = this.#below(3) === 0 ? 'wild' : 'steady';
    const capacityBytes = (180 + this.#below(this.#payloads.together === 1 ? 400 : 100)) * KIB;
    this.#disk = new SimDisk({ seed, timing, fill: 'zeros', capacityBytes });
  }

  async run(): Promise<void> {
    await this.#open();
    await this.#fill();
    this.#strike();
    // From anywhere: then what is removed falls into as many ranges as it can.
    const order = this.#pick(ORDERS);
    // In the weaker modes a power cut brings back what was removed last.
    do {
      await this.#empty(order);
      await this.#interrupt();
    } while (this.#live.length > 0);
    this.#expect(this.#store.wal.size === 0, 'it is empty');
    if (!this.#isGreedy) await this.#store.wal.compact();
    else this.#disk.limits.capacityBytes = Infinity;
    await this.#store.wal.push('again');
    await closeWhole(this.#store, this.#disk);
  }

  async #empty(order: Order): Promise<void> {
    let next = 0;
    while (this.#live.length > 0) {
      const ids = this.#live;
      next = next + 2 < ids.length ? next + 1 : 0;
      const at = { first: 0, last: ids.length - 1, 'every second': next, any: this.#below(ids.length) }[order];
      await this.#remove(ids[at] ?? 0);
      if (this.#isGreedy) this.#strike();
      if (this.#below(this.#payloads.together * 40) === 0) await this.#interrupt();
      // What is given back is pushed into, as far as that goes: not to the cost of what has to be removed next.
      if (!this.#isGreedy && this.#below(60) === 0 && this.#steps < 500) await this.#fill();
    }
  }

  get #store(): Evaq {
    if (this.#evaq === undefined) throw new Error('it is open');
    return this.#evaq;
  }

  #pick<T>(choices: readonly T[]): T {
    const choice = choices[this.#below(choices.length)];
    if (choice === undefined) throw new Error('there are choices');
    return choice;
  }

  #expect(holds: boolean, what: string): void {
    if (!holds) throw new BrokenPromise('full disk', `seed ${this.#seed}, step ${this.#steps}: not so: ${what}`);
  }

  async #attempt<T>(what: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof EvaqError)) throw error;
      throw new BrokenPromise('full disk', `seed ${this.#seed}, step ${this.#steps}: ${what}: ${error.message}`);
    }
  }

  /** The stranger takes what is left. */
  #strike(): void {
    this.#disk.limits.capacityBytes = this.#disk.usedBytes;
  }

  async #open(): Promise<void> {
    const ports = { vfs: this.#disk.vfs, host: this.#disk.host };
    const options = { durability: this.#durability, segmentBytes: this.#segmentBytes, ports };
    this.#evaq = await this.#attempt('opening', () => Evaq.open(STORE, options));
  }

  async #fill(): Promise<void> {
    for (let refusals = 0; refusals < 2; ) {
      const { bytesMax, together } = this.#payloads;
      const payload = Buffer.alloc(this.#below(refusals === 0 ? bytesMax : 40));
      try {
        const { firstId, lastId } = await this.#store.wal.pushMany(Array.from({ length: together }, () => payload));
        for (let id = firstId; id <= lastId; id++) this.#live.push(id);
      } catch (error) {
        if (!(error instanceof EvaqError && error.code === 'EVAQ_NO_SPACE')) throw error;
        refusals++;
      }
    }
  }

  async #remove(id: number): Promise<void> {
    this.#steps++;
    const { wal } = this.#store;
    if (this.#below(4) === 0) {
      const record = await this.#attempt(`popping ${id}`, () => wal.pop(id));
      this.#expect(record.id === id, `record ${id} is popped`);
    } else {
      this.#expect(await this.#attempt(`removing ${id}`, () => wal.remove(id)), `record ${id} is removed`);
    }
    this.#live.splice(this.#live.indexOf(id), 1);
  }

  /** The program ends in some way, and is started again; or it has a rest. */
  async #interrupt(): Promise<void> {
    const how = this.#pick(['rest', 'close', 'kill', 'power cut'] as const);
    if (how === 'rest') return await new Promise<void>((resolve) => this.#disk.host.after(5000, resolve));
    if (how === 'close') await this.#attempt('closing', () => this.#store.close());
    else if (how === 'kill') this.#disk.kill();
    else {
      const after = this.#disk.crash(this.#disk.drawCrash(this.#below(1_000_000)));
      this.#disk.kill();
      this.#disk = after;
    }
    // What the dead had open, and nobody else.
    if (this.#isGreedy) this.#strike();
    await this.#open();
    const found: number[] = [];
    for await (const { id } of this.#store.wal.records()) found.push(id);
    // In the weaker modes a power cut may take what was not synced, pushes and removals.
    if (how !== 'power cut' || this.#durability === 'sync') {
      const same = found.length === this.#live.length && found.every((id, i) => id === this.#live[i]);
      this.#expect(same, `after a ${how} there is what there was (${found.length} of ${this.#live.length} records)`);
    }
    this.#live = found;
  }
}

/** Rejects with a `BrokenPromise`. */
export function runFullDisk(seed: number): Promise<void> {
  return new FullDisk(seed).run();
}
