/**
 * The bench at its smallest: every row runs, ours and the device only, and what it reports is complete. Its figures mean nothing.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compare } from '../../bench/harness/baseline.js';
import { type BenchReport, readReport } from '../../bench/harness/bench-report.js';
import { atLeast, below, flat } from '../../bench/harness/goal.js';
import { type Measured, summarize } from '../../bench/harness/sample.js';
import { SCALES } from '../../bench/harness/scale.js';
import { judged, mergeReports, publish } from '../../bench/report/publish.js';
import { ALL_ROWS } from '../../bench/rows/all-rows.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

describe('the bench at smoke size', () => {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-bench-'));
  let output = '';
  let report: BenchReport;

  beforeAll(async () => {
    const parameters = ['--size', 'smoke', '--no-peers', '--out', join(folder, 'out'), '--dir', join(folder, 'disk')];
    const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, 'bench/run.mjs'), ...parameters]);
    output = stdout;
    const [json] = readdirSync(join(folder, 'out')).filter((name) => name.endsWith('.json'));
    report = readReport(join(folder, 'out', json ?? ''));
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('runs every case of every row, and leaves out nobody but the peers', () => {
    const expected = ALL_ROWS.flatMap((row) => row.cases(SCALES.smoke).map((one) => `${row.name}: ${one.label}`));
    expect(report.cases.map((one) => `${one.row}: ${one.label}`)).toEqual(expected);
    for (const one of report.cases) {
      for (const [name, reason] of Object.entries(one.absent)) {
        expect(`${name} ${reason}`).toMatch(/^(lmdb|leveldb|sqlite) peers were not asked for$/);
      }
    }
  });

  it('measures the figure that each row is about, for each contender', () => {
    for (const one of report.cases) {
      const row = ALL_ROWS.find((other) => other.name === one.row);
      for (const [name, measured] of Object.entries(one.contenders)) {
        const values = measured.series[row?.primary.metric ?? ''] ?? [];
        expect(values.length, `${one.row}, ${one.label}, ${name}`).toBeGreaterThan(0);
        for (const value of values) {
          // Of so few records the memory is lost in that of everything else: a difference of two weighings may be below zero.
          if (one.row === 'memory' || one.row === 'deliver-waiting') {
            expect(Number.isFinite(value), one.label).toBe(true);
            const weights = ['rssMiB', 'heapMiB', ...(one.row === 'memory' ? ['diskBytesPerRecord'] : [])];
            for (const key of weights) expect(measured.metrics[key]?.median ?? 0, key).toBeGreaterThan(0);
            continue;
          }
          expect(value, `${one.row}, ${one.label}, ${name}`).toBeGreaterThan(0);
        }
      }
    }
  });

  it('judges every goal that does not need a peer, and prints machine, goals and reference figures', () => {
    const judged = report.cases.flatMap((one) => one.goals);
    expect(judged.length).toBeGreaterThan(15);
    for (const goal of judged) expect(Number.isFinite(goal.reached), goal.text).toBe(true);
    expect(output).toContain(`Node ${process.version}`);
    expect(output).toContain('append + fdatasync');
    expect(output).toMatch(/Goals: \d+ of \d+ met/);
    expect(output).toContain('for orientation');
  });

  it('can be published: tables between the marks of a README, and the figures beside it', async () => {
    const bench = join(folder, 'bench');
    mkdirSync(bench);
    const readme = join(bench, 'README.md');
    writeFileSync(readme, 'before\n<!-- results:begin -->\nold\n<!-- results:end -->\nbehind\n');
    const half = Math.floor(report.cases.length / 2);
    const parts = [report.cases.slice(0, half), report.cases.slice(half)].map((cases) => ({ ...report, cases }));
    await publish(ALL_ROWS, mergeReports(parts), bench);
    const text = readFileSync(readme, 'utf8');
    expect(text).toMatch(/^before\n<!-- results:begin -->\n```\n/);
    expect(text).toMatch(/\n<!-- results:end -->\nbehind\n$/);
    expect(text).not.toContain('old');
    for (const row of ALL_ROWS) expect(text).toContain(`### ${row.title}`);
    expect(text).toMatch(/### Goals\n\n\d+ of \d+ met/);
    expect(readReport(join(bench, 'published', 'report.json')).cases).toEqual(report.cases);
    // Of goals that were worded otherwise when it was measured.
    const old = report.cases.map((one) => ({ ...one, goals: [] }));
    expect(JSON.parse(JSON.stringify(judged(ALL_ROWS, { ...report, cases: old })))).toEqual(report);
    const [first] = report.cases;
    if (first === undefined) throw new Error('the report is empty');
    const again = { ...report, cases: [{ ...first, goals: [] }] };
    expect(mergeReports([report, again]).cases).toEqual([...again.cases, ...report.cases.slice(1)]);
    expect(() => mergeReports([report, { ...report, scale: 'full', cases: [] }])).toThrow(/different/);
  });

  it('leaves no files on the disk that was measured', () => {
    expect(readdirSync(join(folder, 'disk'))).toEqual([]);
  });

  it('finds no change between a report and itself, and one where a rate is outside the range of all rounds', () => {
    const changes = compare(ALL_ROWS, report, report);
    expect(changes.length).toBeGreaterThan(10);
    expect(changes.filter((change) => change.verdict !== 'same')).toEqual([]);
    const row = 'remove';
    const slower: BenchReport = {
      ...report,
      cases: report.cases.map((one) =>
        one.row === row ? { ...one, contenders: { evaq: measuredOf([1, 2, 3]) } } : one,
      ),
    };
    const worse = compare(ALL_ROWS, slower, report).filter((change) => change.verdict === 'worse');
    expect(new Set(worse.map((change) => change.row))).toEqual(new Set([row]));
    const better = compare(ALL_ROWS, report, slower).filter((change) => change.verdict === 'better');
    expect(new Set(better.map((change) => change.row))).toEqual(new Set([row]));
  });
});

describe('the goals of the bench', () => {
  it('compare round with round, so that a machine that slows down for all of them changes nothing', () => {
    const results = { evaq: measuredOf([100, 30, 20]), device: measuredOf([50, 10, 20]) };
    expect(atLeast({ against: 'device', factor: 2 })(results)).toMatchObject({ met: true, reached: 2, share: 1 });
    expect(atLeast({ against: 'device', factor: 2.1 })(results)).toMatchObject({ met: false, reached: 2 });
  });

  it('take the fastest peer that took part, and are not judged where none did', () => {
    const goal = atLeast({ against: 'best peer', factor: 3 });
    expect(goal({ evaq: measuredOf([6]), lmdb: measuredOf([1]), sqlite: measuredOf([4]) })).toMatchObject({
      met: false,
      reached: 1.5,
    });
    expect(goal({ evaq: measuredOf([6]), device: measuredOf([1]) })).toBeUndefined();
  });

  it('have limits that are not met by being reached', () => {
    const results = { evaq: measuredOf([1], { openMs: 50 }) };
    expect(below({ metric: 'openMs', limit: 50, unit: 'ms' })(results)).toMatchObject({ met: false });
    expect(below({ metric: 'openMs', limit: 51, unit: 'ms' })(results)).toMatchObject({ met: true });
  });

  it('call a latency flat within a tolerance or the noise of the first, and not beyond', () => {
    const at = (...p50: number[]): Measured =>
      summarize(
        p50.map((p50Us) => sampleOf(1, { p50Us })),
        undefined,
      );
    expect(flat('p50Us', 1.1)({ small: at(100, 100, 100), large: at(109, 109, 109) })).toMatchObject({ met: true });
    expect(flat('p50Us', 1.1)({ small: at(90, 100, 130), large: at(125, 125, 125) })).toMatchObject({ met: true });
    expect(flat('p50Us', 1.1)({ small: at(90, 100, 115), large: at(120, 120, 120) })).toMatchObject({ met: false });
  });
});

function measuredOf(rates: readonly number[], metrics: Readonly<Record<string, number>> = {}): Measured {
  return summarize(
    rates.map((rate) => sampleOf(rate, metrics)),
    undefined,
  );
}

function sampleOf(rate: number, metrics: Readonly<Record<string, number>>): Parameters<typeof summarize>[0][number] {
  return { ops: rate, seconds: 1, bytes: rate, metrics };
}
