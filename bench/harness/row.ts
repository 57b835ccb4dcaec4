/**
 * A row of the benchmark: one question, asked in several cases of several contenders.
 *
 * The parent process reads `cases` and judges the goals; a child process for each contender calls `start` once and then `round` as often
 * as it is told. Only one child works at a time.
 */
import type { EngineModule } from './engine.js';
import type { Goal } from './goal.js';
import type { Sample } from './sample.js';
import type { Scale } from './scale.js';

export interface Row {
  readonly name: string;
  readonly title: string;
  /** What `ops / seconds` counts. */
  readonly unit: string;
  /** The figure the row is about: the rate, or one of the metrics. */
  readonly primary: Primary;
  /** A round is long and alike each time: none in front that is not counted, and few of them at the quick size. */
  readonly slow?: boolean;
  cases(scale: Scale): Case[];
  start(run: Run): Promise<Running>;
}

export interface Primary {
  readonly metric: string;
  readonly better: 'higher' | 'lower';
  readonly unit: string;
}

export interface Case {
  readonly label: string;
  readonly params: Readonly<Record<string, number | string>>;
  /** In the order in which they take turns; the first is ours. */
  readonly contenders: readonly string[];
  readonly goals: readonly Goal[];
}

/** One contender's part in a case. */
export interface Run {
  readonly contender: string;
  readonly params: Case['params'];
  readonly scale: Scale;
  readonly engine: EngineModule;
  /** A new empty folder on the disk that is measured. */
  scratch(): string;
  /** Runs a task (`tasks.ts`) in a process of its own and resolves with its figures; `undefined` if it killed itself. */
  task(
    name: string,
    params: Readonly<Record<string, number | string>>,
  ): Promise<Readonly<Record<string, number>> | undefined>;
}

export interface Running {
  round(): Promise<Sample>;
  end?(): Promise<void>;
}

/** A numeric parameter of the case. */
export function numberParam(params: Case['params'], name: string): number {
  const value = params[name];
  if (typeof value !== 'number') throw new TypeError(`parameter ${name} is not a number`);
  return value;
}

export function textParam(params: Case['params'], name: string): string {
  const value = params[name];
  if (typeof value !== 'string') throw new TypeError(`parameter ${name} is not a text`);
  return value;
}

export const RATE: Primary = { metric: 'rate', better: 'higher', unit: '/s' };

/** 100 -> "100 B", 16384 -> "16 KiB". */
export function sizeLabel(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1024 ** 2 ? `${bytes / 1024} KiB` : `${bytes / 1024 ** 2} MiB`;
}

/** 1000 -> "1 K", 10000000 -> "10 M". */
export function countLabel(count: number): string {
  if (count >= 1_000_000) return `${count / 1_000_000} M`;
  return count >= 1000 ? `${count / 1000} K` : `${count}`;
}
