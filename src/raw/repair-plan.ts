/**
 * What repairing a store would do, from what is damaged: a pure function.
 *
 *     STORE, both copies or the file                    -> rebuild-store: from the UUID in the headers of the other files
 *     one copy of a header                              -> mend-header: from the other copy
 *     both copies, a commit behind them intact          -> rebuild-header: worked out from that commit
 *     a segment of which nothing can be read            -> set-aside
 *     anything else in a segment                        -> rewrite: its intact records to a new file, the old one aside
 *     a tombstone log                                   -> renew-removals: what is still known, to a new one; the old one aside
 *     an intake log                                     -> renew-intake: what can be read of it, to a new one; the old one aside
 *     files that contradict each other, links, and a queue's folder that is not there although its name is -> by-hand
 *     something that is not there                       -> accept: it is noted that it is gone
 */
import type { IdRange } from '../ids.js';
import { type Damage, isOfRemovals } from '../log/damage.js';

export type RepairAction =
  | 'rebuild-store'
  | 'mend-header'
  | 'rebuild-header'
  | 'set-aside'
  | 'rewrite'
  | 'renew-removals'
  | 'renew-intake'
  | 'by-hand'
  | 'accept';

export interface RepairStep {
  readonly action: RepairAction;
  readonly queue: string;
  /** The file concerned, or a queue's folder. */
  readonly file: string;
}

/** Live records that are gone. */
export interface LostRecords extends IdRange {
  readonly queue: string;
}

export interface RepairPlan {
  readonly path: string;
  readonly damage: readonly Damage[];
  readonly steps: readonly RepairStep[];
  /** In order of queue and ID. */
  readonly lost: readonly LostRecords[];
  /** Queues of which removals are lost: removed records may be there again. */
  readonly removalsLost: readonly string[];
  /** Torn ends, which any open for writing cuts off, damage or not. */
  readonly torn: number;
}

export interface RepairFacts {
  /** As the store is. */
  readonly damage: readonly Damage[];
  /** As it would be with the headers that can be made anew. */
  readonly damageLeft: readonly Damage[];
  /** Files whose header, or all, can be made anew. */
  readonly remade: ReadonlySet<string>;
  /** Segments of which nothing can be read even so. */
  readonly unreadable: ReadonlySet<string>;
  /** Queues that cannot be loaded. */
  readonly contradictory: ReadonlySet<string>;
}

/** In the order in which they are carried out. */
export function planSteps(facts: RepairFacts): RepairStep[] {
  const steps: RepairStep[] = [];
  const files = new Map<string, Damage>();
  // What rebuilding a header lays open is damage, too.
  for (const one of [...facts.damage, ...facts.damageLeft]) if (!files.has(one.file)) files.set(one.file, one);
  for (const [file, { queue }] of files) {
    for (const action of actionsFor(file, queue, facts)) {
      const place = action === 'accept' && file.endsWith('.seg') ? file.slice(0, file.lastIndexOf('/')) : file;
      if (!steps.some((one) => one.action === action && one.file === place)) steps.push({ action, queue, file: place });
    }
  }
  return steps.sort((a, b) => ORDER.indexOf(a.action) - ORDER.indexOf(b.action));
}

const ORDER: readonly RepairAction[] = [
  'by-hand',
  'rebuild-store',
  'mend-header',
  'rebuild-header',
  'set-aside',
  'rewrite',
  'renew-removals',
  'renew-intake',
  'accept',
];

function actionsFor(file: string, queue: string, facts: RepairFacts): RepairAction[] {
  const { damageLeft, remade, unreadable, contradictory } = facts;
  if (queue === '') return [remade.has(file) ? 'rebuild-store' : 'mend-header'];
  if (contradictory.has(queue)) return ['by-hand'];
  const left = damageLeft.filter((one) => one.file === file);
  const first: RepairAction[] = remade.has(file) ? ['rebuild-header'] : [];
  if (file.endsWith('.tomb')) return [...first, 'renew-removals'];
  if (file.endsWith('.itk')) return ['renew-intake'];
  // What only has the name of a queue is left where it is.
  if (!file.endsWith('.seg')) return left.some(({ lossless }) => !lossless) ? ['accept'] : [];
  if (unreadable.has(file)) return ['set-aside'];
  const inFile = left.filter(({ bytes }) => bytes > 0);
  const mended = inFile.filter(isHeaderCopy).length > 0;
  if (mended) first.push('mend-header');
  if (inFile.some((one) => !isHeaderCopy(one))) first.push('rewrite');
  // The segment only stands for something else that is missing.
  return first.length > 0 ? first : ['accept'];
}

/** Damage that lies in one copy of a header. */
function isHeaderCopy({ offset, lossless }: Damage): boolean {
  return offset === 0 && lossless;
}

/** Queues whose tombstones are not all there. */
export function removalsLostIn(damageLeft: readonly Damage[]): string[] {
  const queues = damageLeft.filter((one) => !one.lossless && isOfRemovals(one)).map(({ queue }) => queue);
  return [...new Set(queues)];
}
