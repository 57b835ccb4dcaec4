/**
 * Enumerated rather than drawn: what `support/crash-steps.ts` cuts at every step, and cuts again. EVAQ_DEPTH and EVAQ_STATES go further.
 */
import { expect, test } from 'vitest';
import type { ExploreReport } from '../../src/sim/explore.js';
import { exploreCollection, exploreMoves, exploreRecovery, exploreTombstoneRewrite } from './support/crash-steps.js';

const DEPTH = Number(process.env['EVAQ_DEPTH'] ?? 1);
const STATES = Number(process.env['EVAQ_STATES'] ?? 1200);
const TIMEOUT_MS = 600_000;

function judge(report: ExploreReport, name: string): void {
  if (process.env['EVAQ_TABLE'] !== undefined) {
    const depths = report.statesByDepth.join(' + ');
    console.log(`| ${name} | ${report.cuts} | ${report.states} (${depths}) | ${report.finished ? 'all' : 'bounded'} |`);
  }
  expect(report.failure?.script).toBeUndefined();
  expect(report.states).toBeGreaterThan(50);
  expect(report.statesByDepth.length, 'the workload is cut in every state before recovery is').toBeGreaterThanOrEqual(
    DEPTH + 1,
  );
}

const bounds = { seed: 11, exhaustiveMax: 32, draws: 3, depth: DEPTH, statesMax: STATES } as const;

test('P5: recovery cut at every step, and cut again, shows what recovery shows', { timeout: TIMEOUT_MS }, async () => {
  judge(await exploreRecovery(bounds), 'recovery');
});

for (const [recycle, name] of ['unlinking', 'recycling'].entries())
  test(`P6: garbage collection cut at every step loses nothing live and brings nothing back, ${name}`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    judge(await exploreCollection(recycle, bounds), `garbage collection, ${name}`);
  });

test('P2: a tombstone log rewritten and cut at every step undoes no removal', { timeout: TIMEOUT_MS }, async () => {
  const { report, rewrites } = await exploreTombstoneRewrite({ ...bounds, exhaustiveMax: 8, draws: 1 });
  judge(report, 'rewrite of the tombstone log');
  expect(rewrites, 'the log is rewritten on the way').toBeGreaterThan(0);
});

test('P10: a move cut at every step leaves the record live in exactly one queue', { timeout: TIMEOUT_MS }, async () => {
  judge(await exploreMoves(bounds), 'moves');
});
