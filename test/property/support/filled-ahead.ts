/**
 * A store in mode 'sync' whose commits are large enough for zeros to be added ahead of them by the pool: pushes by many callers, batches, blocking
 * pushes that overtake the zeros under way, segments that are left, faults of the disk; through closes, kills and power cuts. What was acknowledged
 * is there, byte for byte, and a store that was closed has all its footers.
 */
import { Evaq, EvaqError } from '../../../src/evaq.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { chance } from './chance.js';
import { closeWhole } from './closed-store.js';
import { BrokenPromise } from './store-model.js';

export const FILLED_STORE = '/s';
const KIB = 1024;
const LIVES = 2;
const STEPS = 14;
const SIZES = [100, 3 * KIB, 20 * KIB, 40 * KIB] as const;
const SEGMENT_BYTES = [256 * KIB, 640 * KIB] as const;

class FilledAhead {
  readonly #seed: number;
  readonly #below: (n: number) => number;
  readonly #segmentBytes: number;
  /** What was acknowledged: the byte that a record is full of, and its size. */
  #acknowledged = new Map<number, readonly [byte: number, bytes: number]>();
  #byte = 0;
  disk: SimDisk;
  extensions = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.#below = chance(seed);
    this.#segmentBytes = this.#pick(SEGMENT_BYTES);
    this.disk = new SimDisk({ seed, timing: 'wild', sectorBytes: 4096 });
  }

  async run(): Promise<void> {
    for (let life = 1; life <= LIVES; life++) {
      const evaq = await this.#open();
      if (this.#below(3) === 0) this.disk.fault({ on: 'extend', error: 'ENOSPC', nth: 1 + this.#below(3) });
      for (let step = 0; step < STEPS; step++) await this.#step(evaq);
      this.extensions += this.disk.calls.filter(({ name }) => name === 'extend').length;
      const how = this.#pick(['close', 'kill', 'power cut'] as const);
      if (how === 'close') await closeWhole(evaq, this.disk);
      else {
        // In the middle of something that nobody is told of.
        evaq.wal.pushMany(this.#payloads(3).map(({ payload }) => payload)).catch(() => undefined);
        for (let turns = this.#below(6); turns > 0; turns--) await this.disk.host.yield();
        const after = how === 'kill' ? undefined : this.disk.crash(this.disk.drawCrash(this.#below(1_000_000)));
        this.disk.kill();
        this.disk = after ?? this.disk;
      }
      this.#expect(this.disk.violations.length === 0, this.disk.violations.join('; '));
      await this.#check(how === 'close');
    }
  }

  async #open(): Promise<Evaq> {
    const ports = { vfs: this.disk.vfs, host: this.disk.host };
    return Evaq.open(FILLED_STORE, { ports, segmentBytes: this.#segmentBytes, gc: false });
  }

  async #step({ wal }: Evaq): Promise<void> {
    const pushes = this.#payloads(1 + this.#below(6)).map((one) =>
      wal.push(one.payload).then((id) => this.#acknowledged.set(id, one.is)),
    );
    if (this.#below(2) === 0) {
      for (let turns = this.#below(4); turns > 0; turns--) await this.disk.host.yield();
      for (const { payload, is } of this.#payloads(1 + this.#below(8))) {
        try {
          this.#acknowledged.set(wal.pushSync(payload), is);
        } catch (error) {
          // A commit that is being cut is in its way, for a moment.
          if (!(error instanceof EvaqError)) throw error;
        }
      }
    }
    await Promise.all(pushes);
  }

  #payloads(count: number): { readonly payload: Buffer; readonly is: readonly [number, number] }[] {
    return Array.from({ length: count }, () => {
      // Never zero: that is what would be left of it.
      this.#byte = (this.#byte % 255) + 1;
      const bytes = this.#pick(SIZES);
      return { payload: Buffer.alloc(bytes, this.#byte), is: [this.#byte, bytes] };
    });
  }

  /** In a copy: the next life begins with what this one left. */
  async #check(wasClosed: boolean): Promise<void> {
    const copy = this.disk.crash();
    const { vfs, host } = copy;
    const evaq = await Evaq.open(FILLED_STORE, { ports: { vfs, host }, gc: false });
    const { recovery } = evaq;
    this.#expect(recovery.damage.length === 0, `no damage: ${recovery.damage[0]?.what}`);
    if (wasClosed) for (const path of await this.#endInZeros()) this.#expect(false, `${path} ends in its footer`);
    for (const [id, [byte, bytes]] of this.#acknowledged) {
      const payload = await evaq.wal.get(id).then(
        (record) => record?.payload,
        () => undefined,
      );
      this.#expect(payload?.equals(Buffer.alloc(bytes, byte)) === true, `record ${id} is there as it was pushed`);
    }
    await closeWhole(evaq, copy);
  }

  /** Segments whose last bytes are none of a footer. */
  async #endInZeros(): Promise<string[]> {
    const dir = `${FILLED_STORE}/queues/wal`;
    const paths = (await this.disk.vfs.list(dir)).map(({ name }) => `${dir}/${name}`);
    return paths.filter(
      (path) =>
        path.endsWith('.seg') &&
        this.disk
          .read(path)
          ?.subarray(-8)
          .every((byte) => byte === 0),
    );
  }

  #pick<T>(choices: readonly T[]): T {
    const choice = choices[this.#below(choices.length)];
    if (choice === undefined) throw new Error('there are choices');
    return choice;
  }

  #expect(holds: boolean, what: string): void {
    if (!holds) throw new BrokenPromise('zeros ahead', `seed ${this.#seed}: not so: ${what}`);
  }
}

/** Rejects with a `BrokenPromise`. How often zeros were added by the pool, and the disk as it was left. */
export async function runFilledAhead(seed: number): Promise<{ readonly extensions: number; readonly disk: SimDisk }> {
  const run = new FilledAhead(seed);
  await run.run();
  return { extensions: run.extensions, disk: run.disk };
}
