import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Mid, PositionIndex } from '../../src/index/position-index.js';

interface Position {
  readonly slot: number;
  readonly offset: number;
  readonly mid: Mid;
}

/** Searched from end to end. */
type Model = Map<number, Position>;

type Command = fc.Command<Model, PositionIndex>;

function command(name: string, run: (model: Model, index: PositionIndex) => void): Command {
  return {
    check: () => true,
    run: (model, index) => {
      run(model, index);
      agree(model, index);
    },
    toString: () => name,
  };
}

function found(index: PositionIndex, isFound: boolean): unknown {
  return isFound ? [index.key, { slot: index.slot, offset: index.offset, mid: index.mid }] : undefined;
}

function agree(model: Model, index: PositionIndex): void {
  index.check();
  expect(index.size).toBe(model.size);
  const entries: unknown[] = [];
  for (let isFound = index.next(-1); isFound; isFound = index.next(index.key)) entries.push(found(index, true));
  expect(entries).toEqual([...model].sort(([a], [b]) => a - b));
}

const id = fc.oneof(fc.nat(200), fc.integer({ min: 2 ** 40, max: 2 ** 40 + 50 }), fc.constant(Number.MAX_SAFE_INTEGER));
const position = fc.record({
  slot: fc.oneof(fc.nat(3), fc.constant(2 ** 20 - 1)),
  offset: fc.oneof(fc.nat(4096), fc.constantFrom(2 ** 31, 2 ** 32 - 1)),
  mid: fc.constantFrom<Mid>(0, 1),
});

const steps = [
  fc.tuple(id, position).map(([key, at]) =>
    command(`Set(${key} -> ${at.slot}:${at.offset}:${at.mid})`, (model, index) => {
      index.set(key, at.slot, at.offset, at.mid);
      model.set(key, at);
    }),
  ),
  // Long enough, at times, for the bulk path; mostly above what there is, at times across it.
  fc
    .tuple(id, fc.oneof(fc.nat(20), fc.integer({ min: 1020, max: 1100 })), fc.nat(3), fc.boolean())
    .map(([key, entries, slot, isAbove]) =>
      command(`Load(${entries} from ${isAbove ? 'above' : key} -> ${slot})`, (model, index) => {
        let first = isAbove ? Math.max(0, ...model.keys()) + 1 : key;
        if (first + 3 * entries > Number.MAX_SAFE_INTEGER) first = 0;
        const ids = Float64Array.from({ length: entries }, (_, i) => first + 3 * i);
        const offsets = ids.map((_, i) => 4096 * i);
        const mids = Uint8Array.from({ length: entries }, (_, i) => i % 2);
        index.load(slot, ids, offsets, mids);
        for (let i = 0; i < entries; i++)
          model.set(first + 3 * i, { slot, offset: 4096 * i, mid: i % 2 === 0 ? 0 : 1 });
      }),
    ),
  fc.tuple(id, fc.oneof(fc.nat(10), fc.nat(4000), fc.constant(2 ** 41))).map(([first, ids]) =>
    command(`DeleteRange(${first} ${ids} IDs)`, (model, index) => {
      const keys = [...model.keys()].filter((key) => key >= first && key < first + ids);
      expect(index.deleteRange(first, first + ids - 1)).toBe(keys.length);
      for (const key of keys) model.delete(key);
    }),
  ),
  id.map((key) =>
    command(`Look(${key})`, (model, index) => {
      const below = [...model.keys()].filter((other) => other <= key).reduce((a, b) => Math.max(a, b), -1);
      const above = [...model.keys()].filter((other) => other > key).reduce((a, b) => Math.min(a, b), Infinity);
      const at = (other: number): unknown => (model.has(other) ? [other, model.get(other)] : undefined);
      expect(found(index, index.floor(key))).toEqual(at(below));
      expect(found(index, index.next(key))).toEqual(at(above));
    }),
  ),
];

function scripts(build: () => PositionIndex): fc.IProperty<unknown> {
  return fc.property(fc.commands(steps, { maxCommands: 30 }), (commands) => {
    fc.modelRun(() => ({ model: new Map<number, Position>(), real: build() }), commands);
  });
}

class KeepsTheLastEntry extends PositionIndex {
  override deleteRange(firstId: number, lastId: number): number {
    return super.deleteRange(firstId, lastId - 1);
  }
}

class FindsOnlyLowerKeys extends PositionIndex {
  override floor(id: number): boolean {
    return super.floor(id - 1);
  }
}

const planted: readonly (readonly [string, new (nodeItemsMax: number) => PositionIndex])[] = [
  ['deleteRange keeps the last ID', KeepsTheLastEntry],
  ['floor overlooks an equal key', FindsOnlyLowerKeys],
];

describe('a position index', () => {
  it('P3: agrees with a sorted list of intervals after any script', () => {
    fc.assert(
      scripts(() => new PositionIndex(4)),
      { numRuns: 200 },
    );
    fc.assert(
      scripts(() => new PositionIndex()),
      { numRuns: 100 },
    );
  }, 120_000);

  it.each(planted)('the scripts find a planted bug: %s', (_bug, Broken) => {
    const details = fc.check(
      scripts(() => new Broken(4)),
      { numRuns: 300, endOnFailure: true },
    );
    expect(details.failed).toBe(true);
  });
});
