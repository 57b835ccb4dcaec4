/**
 * The modes that do not wait for the disk: a kill takes nothing of what was acknowledged, a power cut may take anything that was not flushed,
 * but never more: no damage, nothing invented, no commit in part, no ID twice, and what was flushed is there.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Evaq, type EvaqOptions } from '../../src/evaq.js';
import { SimDisk } from '../../src/sim/sim-disk.js';

const { EVAQ_RUNS, EVAQ_SEED } = process.env;
const RUNS = Number(EVAQ_RUNS ?? 120);
/** Only to end a test that would hang: a slow machine does as many runs. */
const TIMEOUT_MS = 3_600_000;
const SEED = EVAQ_SEED === undefined ? {} : { seed: Number(EVAQ_SEED) };

type Step =
  | { readonly op: 'push'; readonly bytes: number }
  | { readonly op: 'pushMany'; readonly count: number; readonly bytes: number }
  | { readonly op: 'remove'; readonly share: number }
  | { readonly op: 'flush' | 'compact' | 'reopen' | 'kill' }
  | { readonly op: 'idle'; readonly ms: number }
  | { readonly op: 'powerCut'; readonly draw: number; readonly beside: boolean };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ op: fc.constant('push' as const), bytes: fc.constantFrom(3, 600, 9000, 30_000) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      op: fc.constant('pushMany' as const),
      count: fc.integer({ min: 2, max: 60 }),
      bytes: fc.constantFrom(10, 1500, 4000),
    }),
  },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('remove' as const), share: fc.constantFrom(0.1, 0.5, 0.9, 1) }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom({ op: 'flush' as const }, { op: 'compact' as const }, { op: 'reopen' as const }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('idle' as const), ms: fc.constantFrom(1, 300, 3000) }) },
  { weight: 2, arbitrary: fc.constant({ op: 'kill' as const }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('powerCut' as const), draw: fc.nat(), beside: fc.boolean() }) },
);

interface Known {
  readonly payload: Buffer;
  /** Records of one `pushMany` share a batch. */
  readonly batch: number;
  /** Flushed: no crash takes it. */
  durable: boolean;
  removed: 'no' | 'yes' | 'durably';
}

class Run {
  readonly #disk: SimDisk;
  readonly #options: EvaqOptions;
  #evaq: Evaq | undefined;
  #now: SimDisk;
  readonly #known = new Map<number, Known>();
  readonly #random: () => number;
  #batches = 0;
  /** Batches of which a removal was asked for. 0: what nobody was told of. */
  readonly #touched = new Set<number>([0]);
  #toldMax = 0;
  lost = 0;

  constructor(seed: number, durability: NonNullable<EvaqOptions['durability']>, timing: 'wild' | 'steady') {
    this.#disk = new SimDisk({ seed, timing, names: seed % 2 === 0 ? 'adversarial' : 'ordered' });
    this.#now = this.#disk;
    this.#options = { durability, segmentBytes: 64 * 1024, recycleSegments: seed % 3 };
    let state = seed + 1;
    this.#random = () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state / 2 ** 32;
    };
  }

  async open(): Promise<Evaq> {
    const { vfs, host } = this.#now;
    return Evaq.open('/store', { ...this.#options, ports: { vfs, host } });
  }

  async run(steps: readonly Step[]): Promise<void> {
    this.#evaq = await this.open();
    for (const one of steps) {
      await this.#take(one);
    }
    await this.#take({ op: 'kill' });
    await this.#take({ op: 'reopen' });
    this.#now.kill();
  }

  async #take(one: Step): Promise<void> {
    const evaq = this.#evaq;
    if (evaq === undefined) throw new Error('no store');
    const { wal } = evaq;
    switch (one.op) {
      case 'push': {
        const payload = this.#payload(one.bytes);
        this.#told(await wal.push(payload), [payload]);
        return;
      }
      case 'pushMany': {
        const payloads = Array.from({ length: one.count }, () => this.#payload(one.bytes));
        this.#told((await wal.pushMany(payloads)).firstId, payloads);
        return;
      }
      case 'remove': {
        const ids = [...this.#known]
          .filter(([, { removed }]) => removed === 'no' && this.#random() < one.share)
          .map(([id]) => id);
        await wal.removeMany(ids);
        for (const id of ids) {
          const known = this.#of(id);
          known.removed = 'yes';
          this.#touched.add(known.batch);
        }
        return;
      }
      case 'flush':
        await wal.flush();
        return this.#flushed();
      case 'compact':
        await wal.compact();
        return;
      case 'idle':
        await new Promise<void>((resolve) => this.#now.host.after(one.ms, resolve));
        return;
      case 'reopen':
        await evaq.close();
        this.#flushed();
        return this.#reopened(false);
      case 'kill':
        this.#now.kill();
        return this.#reopened(false);
      case 'powerCut': {
        // Now and then in the middle of something.
        if (one.beside) {
          void wal.pushMany([this.#payload(2000), this.#payload(2000)]).catch(() => undefined);
          void wal.removeThrough(this.#toldMax).catch(() => undefined);
          await this.#now.host.yield();
          for (const known of this.#known.values()) {
            if (known.removed === 'no') known.removed = 'yes';
            this.#touched.add(known.batch);
          }
        }
        const choice = one.draw % 3 === 0 ? this.#now.nothingSurvives() : this.#now.drawCrash(one.draw);
        const after = this.#now.crash(choice);
        this.#now.kill();
        this.#now = after;
        return this.#reopened(true);
      }
    }
  }

  #payload(bytes: number): Buffer {
    return Buffer.alloc(bytes, `${Math.floor(this.#random() * 1e9)};`);
  }

  #told(firstId: number, payloads: readonly Buffer[]): void {
    expect(firstId, 'P8: an ID was given out twice').toBeGreaterThan(this.#toldMax);
    this.#batches++;
    for (const [i, payload] of payloads.entries()) {
      this.#known.set(firstId + i, { payload, batch: this.#batches, durable: false, removed: 'no' });
    }
    this.#toldMax = firstId + payloads.length - 1;
  }

  #of(id: number): Known {
    const known = this.#known.get(id);
    if (known === undefined) throw new Error(`P3: record ${id} was never pushed`);
    return known;
  }

  #flushed(): void {
    for (const known of this.#known.values()) {
      known.durable = true;
      if (known.removed === 'yes') known.removed = 'durably';
    }
  }

  async #reopened(powerCut: boolean): Promise<void> {
    const evaq = await this.open();
    this.#evaq = evaq;
    expect(evaq.recovery.damage, 'P9: a crash is no damage').toEqual([]);
    const seen = new Set<number>();
    for await (const { id, payload } of evaq.wal.records()) {
      // What was under way and told nobody may be there; it is known from now on.
      if (!this.#known.has(id) && id > this.#toldMax) {
        this.#known.set(id, { payload: Buffer.from(payload), batch: 0, durable: true, removed: 'no' });
      }
      expect(payload.equals(this.#of(id).payload), `P3: payload of ${id}`).toBe(true);
      seen.add(id);
    }
    this.#checkWhole(seen);
    for (const id of seen) this.#toldMax = Math.max(this.#toldMax, id);
    for (const [id, known] of this.#known) {
      const { durable, removed } = known;
      const there = seen.has(id);
      if (!there && removed === 'no' && (durable || !powerCut)) expect.fail(`P1: record ${id} is lost`);
      if (there && (removed === 'durably' || (removed === 'yes' && !powerCut))) expect.fail(`P2: record ${id} is back`);
      if (there) {
        known.removed = 'no';
        // Shown once: no crash takes it any more.
        known.durable = true;
        continue;
      }
      if (removed === 'no') this.lost++;
      this.#known.delete(id);
    }
  }

  /** P4: of a batch of which no removal was asked for all is there, or nothing. */
  #checkWhole(seen: ReadonlySet<number>): void {
    const counts = new Map<number, { there: number; gone: number }>();
    for (const [id, { batch }] of this.#known) {
      if (this.#touched.has(batch)) continue;
      const count = counts.get(batch) ?? { there: 0, gone: 0 };
      if (seen.has(id)) count.there++;
      else count.gone++;
      counts.set(batch, count);
    }
    for (const [batch, { there, gone }] of counts) {
      if (there > 0 && gone > 0) expect.fail(`P4: ${there} records of batch ${batch} are there, ${gone} are not`);
    }
  }
}

describe('durability that does not wait for the disk', () => {
  for (const durability of ['os', { intervalMs: 1000 }] as const) {
    test(`P1-P4, P8, P9: kills take nothing, power cuts only what was not flushed: ${JSON.stringify(durability)}`, {
      timeout: TIMEOUT_MS,
    }, async () => {
      let lost = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.nat(1_000_000),
          fc.constantFrom('wild' as const, 'steady' as const),
          fc.array(step, { minLength: 1, maxLength: 40, size: 'max' }),
          async (seed, timing, steps) => {
            const run = new Run(seed, durability, timing);
            await run.run(steps);
            lost += run.lost;
          },
        ),
        { numRuns: RUNS, ...SEED },
      );
      expect(lost, 'power cuts took something').toBeGreaterThan(0);
    });
  }
});
