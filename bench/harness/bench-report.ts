/**
 * What a run comes to, as it is written to a file; `format` grows when its shape changes.
 */
import { readFileSync } from 'node:fs';
import type { Machine } from './machine.js';
import type { CaseResult } from './run-case.js';
import type { ScaleName } from './scale.js';

export const REPORT_FORMAT = 1;

export interface BenchReport {
  readonly format: typeof REPORT_FORMAT;
  readonly machine: Machine;
  readonly scale: ScaleName;
  readonly rounds: number;
  readonly seconds: number;
  /** Versions of what took part. */
  readonly versions: Readonly<Record<string, string>>;
  readonly cases: readonly CaseResult[];
}

/** An earlier report. Throws where the file is something else. */
export function readReport(path: string): BenchReport {
  const report: BenchReport = JSON.parse(readFileSync(path, 'utf8'));
  if (report.format !== REPORT_FORMAT) throw new Error(`${path} is not a report of this format`);
  return report;
}
