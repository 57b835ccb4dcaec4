/**
 * Which of the states after a power cut to look at. All of them where they are few; otherwise the corners, where nearly every known
 * bug lives (nothing survives; everything; one thing missing alone; one thing there alone; a torn prefix), and random draws.
 */
import type { CrashChoice, Decision } from './sim-crash.js';
import { Prng } from './sim-prng.js';

/** The number of choices, or Infinity past the safe integers. */
export function countChoices(plan: readonly Decision[]): number {
  let total = 1;
  for (const { options } of plan) {
    total *= options;
    if (!Number.isSafeInteger(total)) return Infinity;
  }
  return total;
}

export function* everyChoice(plan: readonly Decision[]): Generator<CrashChoice> {
  const choice = plan.map(() => 0);
  for (;;) {
    yield choice.slice();
    let i = plan.length - 1;
    for (; i >= 0; i--) {
      const next = (choice[i] ?? 0) + 1;
      choice[i] = next < (plan[i]?.options ?? 1) ? next : 0;
      if (choice[i] !== 0) break;
    }
    if (i < 0) return;
  }
}

/** Linear in the number of decisions; some choices may give the same state. */
export function* cornerChoices(plan: readonly Decision[]): Generator<CrashChoice> {
  const fills = Math.max(1, ...plan.map(({ kind, options }) => (kind === 'fill' ? options : 1)));
  for (const corner of corners(plan)) {
    for (let fill = 0; fill < fills; fill++) {
      yield plan.map((decision, i) => (decision.kind === 'fill' ? fill % decision.options : (corner[i] ?? 0)));
    }
  }
}

function* corners(plan: readonly Decision[]): Generator<CrashChoice> {
  const kept = plan.map(() => 0);
  const lost = plan.map((decision) => decision.lost);
  const where = (test: (decision: Decision) => boolean): CrashChoice =>
    plan.map((decision) => (test(decision) ? decision.lost : 0));
  yield kept;
  yield lost;
  for (const kind of ['name', 'names', 'size', 'sector'] as const) {
    yield where((decision) => decision.kind === kind);
    yield where((decision) => decision.kind !== kind);
  }
  for (const inode of new Set(plan.map((decision) => decision.inode))) {
    yield where((decision) => decision.inode === inode);
    yield where((decision) => decision.inode !== inode);
    yield where((decision) => decision.inode === inode && decision.kind === 'sector');
    yield where((decision) => decision.inode !== inode || decision.kind === 'sector');
  }
  for (let i = 0; i < plan.length; i++) {
    const decision = plan[i];
    if (decision === undefined || decision.kind === 'fill') continue;
    for (let option = 1; option < decision.options; option++) yield kept.with(i, option);
    for (let option = 0; option < decision.options; option++) {
      if (option !== decision.lost) yield lost.with(i, option);
    }
    // Torn here: what comes before survives and what follows does not, in this file or among the names.
    yield where(
      (other) => other.kind === decision.kind && other.inode === decision.inode && other.index >= decision.index,
    );
    if (decision.kind === 'name') yield where((other) => other.kind === 'name' && other.index >= decision.index);
  }
}

/** One choice by chance; equal seeds draw equal ones. A third leans to keeping, a third to losing, a third is even. */
export function drawChoice(plan: readonly Decision[], seed: number): CrashChoice {
  const prng = new Prng(seed);
  const lean = [0.1, 0.5, 0.9][prng.below(3)] ?? 0.5;
  // Half the draws treat names and sizes apart from data: a metadata journal is written at its own pace.
  const leanNames = prng.chance(0.5) ? lean : prng.chance(0.5) ? 0.05 : 0.95;
  return plan.map(({ kind, options, lost }) => {
    if (kind === 'fill' || kind === 'names') return prng.below(options);
    if (options > 2 && prng.chance(0.3)) return prng.below(options);
    return prng.chance(kind === 'sector' ? lean : leanNames) ? lost : 0;
  });
}
