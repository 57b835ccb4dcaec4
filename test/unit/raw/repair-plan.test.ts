/** What a repair would do, row by row of the table in `src/raw/repair-plan.ts`. */
import { describe, expect, it } from 'vitest';
import type { Damage } from '../../../src/log/damage.js';
import { planSteps, type RepairFacts, type RepairStep, removalsLostIn } from '../../../src/raw/repair-plan.js';

const WAL = '/store/queues/wal';
const SEGMENT = `${WAL}/0001.seg`;
const OTHER_SEGMENT = `${WAL}/0002.seg`;
const LOG = `${WAL}/0001.tomb`;
const STORE = '/store/STORE';

function damage(file: string, more: Partial<Damage> = {}): Damage {
  return { queue: 'wal', file, offset: 200, bytes: 64, what: 'test', lossless: false, ...more };
}

const HEADER_COPY = { offset: 0, bytes: 128, lossless: true };
/** Of a segment that only stands for something that is missing. */
const STANDS = { offset: 0, bytes: 0 };

interface Given extends Partial<Omit<RepairFacts, 'remade' | 'unreadable' | 'contradictory'>> {
  readonly remade?: readonly string[];
  readonly unreadable?: readonly string[];
  readonly contradictory?: readonly string[];
}

function steps(given: readonly Damage[], more: Given = {}): RepairStep[] {
  const { remade = [], unreadable = [], contradictory = [], ...rest } = more;
  const sets = {
    remade: new Set(remade),
    unreadable: new Set(unreadable),
    contradictory: new Set(contradictory),
  };
  return planSteps({ damage: given, damageLeft: given, ...sets, ...rest });
}

/** `action file`, in order. */
function told(given: readonly Damage[], more: Given = {}): string[] {
  return steps(given, more).map(({ action, file }) => `${action} ${file}`);
}

describe('P15: a repair', () => {
  it('does nothing where nothing is damaged', () => expect(steps([])).toEqual([]));

  it('makes STORE anew, or mends a copy of its header', () => {
    const store = damage(STORE, { queue: '' });
    expect(told([store], { remade: [STORE] })).toEqual([`rebuild-store ${STORE}`]);
    expect(steps([store])).toEqual([{ action: 'mend-header', queue: '', file: STORE }]);
  });

  it('leaves what contradicts itself to people', () => {
    const both = [damage(SEGMENT), damage(LOG)];
    expect(told(both, { contradictory: ['wal'] })).toEqual([`by-hand ${SEGMENT}`, `by-hand ${LOG}`]);
    expect(told([damage(SEGMENT)], { contradictory: ['other'] })).toEqual([`rewrite ${SEGMENT}`]);
  });

  it('writes a log of removals anew, behind its header, where that is made anew', () => {
    expect(told([damage(LOG)])).toEqual([`renew-removals ${LOG}`]);
    expect(told([damage(LOG, HEADER_COPY)])).toEqual([`renew-removals ${LOG}`]);
    expect(told([damage(LOG)], { remade: [LOG] })).toEqual([`rebuild-header ${LOG}`, `renew-removals ${LOG}`]);
  });

  it('accepts that something is gone, and has nothing to do with what is only strange', () => {
    expect(told([damage(WAL, STANDS)])).toEqual([`accept ${WAL}`]);
    expect(told([damage(WAL, { ...STANDS, lossless: true })])).toEqual([]);
    expect(told([damage(WAL, { ...STANDS, lossless: true }), damage(WAL, STANDS)])).toEqual([`accept ${WAL}`]);
  });

  it('sets aside what cannot be read', () => {
    expect(told([damage(SEGMENT)], { unreadable: [SEGMENT] })).toEqual([`set-aside ${SEGMENT}`]);
    expect(told([damage(SEGMENT)], { unreadable: [OTHER_SEGMENT] })).toEqual([`rewrite ${SEGMENT}`]);
  });

  it('mends a copy of a header, rewrites all else, and does both where there is both', () => {
    expect(told([damage(SEGMENT, HEADER_COPY)])).toEqual([`mend-header ${SEGMENT}`]);
    for (const more of [{}, { offset: 0 }, { lossless: true }])
      expect(told([damage(SEGMENT, more)])).toEqual([`rewrite ${SEGMENT}`]);
    const both = [damage(SEGMENT), damage(SEGMENT, HEADER_COPY)];
    expect(told(both)).toEqual([`mend-header ${SEGMENT}`, `rewrite ${SEGMENT}`]);
  });

  it('makes a header anew, and rewrites what that lays open', () => {
    const gone = [damage(SEGMENT, { offset: 0 })];
    expect(told(gone, { remade: [SEGMENT], damageLeft: [] })).toEqual([`rebuild-header ${SEGMENT}`]);
    const open = { remade: [SEGMENT], damageLeft: [damage(SEGMENT)] };
    expect(told(gone, open)).toEqual([`rebuild-header ${SEGMENT}`, `rewrite ${SEGMENT}`]);
    // Another file's, too.
    expect(told(gone, { remade: [SEGMENT], damageLeft: [damage(OTHER_SEGMENT)] })).toEqual([
      `rebuild-header ${SEGMENT}`,
      `rewrite ${OTHER_SEGMENT}`,
    ]);
  });

  it('accepts, once for a queue, what segments only stand for', () => {
    const both = [damage(SEGMENT, STANDS), damage(OTHER_SEGMENT, STANDS)];
    expect(steps(both)).toEqual([{ action: 'accept', queue: 'wal', file: WAL }]);
    expect(told([...both, damage(SEGMENT)])).toEqual([`rewrite ${SEGMENT}`, `accept ${WAL}`]);
    const dead = '/store/queues/dead-letters';
    const others = [...both, damage(`${dead}/0001.seg`, { ...STANDS, queue: 'dead-letters' })];
    expect(told(others)).toEqual([`accept ${WAL}`, `accept ${dead}`]);
  });

  it('does it in the order in which one thing builds on another', () => {
    const all = [
      damage(`${WAL}/0009.seg`, STANDS),
      damage(LOG),
      damage(SEGMENT),
      damage(`${WAL}/0003.seg`),
      damage(`${WAL}/0004.seg`, { offset: 0 }),
      damage(`${WAL}/0005.seg`, HEADER_COPY),
      damage(STORE, { queue: '' }),
      damage('/store/queues/odd/0001.seg', { queue: 'odd' }),
    ];
    const more = { unreadable: [`${WAL}/0003.seg`], contradictory: ['odd'] };
    const left = all.filter(({ file }) => file !== `${WAL}/0004.seg`);
    const found = steps(all, { ...more, remade: [STORE, `${WAL}/0004.seg`], damageLeft: left });
    expect(found.map(({ action }) => action)).toEqual([
      'by-hand',
      'rebuild-store',
      'mend-header',
      'rebuild-header',
      'set-aside',
      'rewrite',
      'renew-removals',
      'accept',
    ]);
  });

  it('names each queue once of which removals are lost', () => {
    expect(removalsLostIn([])).toEqual([]);
    const lost = [damage(LOG), damage(`${WAL}/0002.tomb`), damage('/q/1.seg', { ...STANDS, queue: 'other' })];
    expect(removalsLostIn(lost)).toEqual(['wal', 'other']);
    const none = [damage(LOG, { lossless: true }), damage(SEGMENT), damage(SEGMENT, { ...STANDS, firstId: 1 })];
    expect(removalsLostIn(none)).toEqual([]);
  });
});
