/** Changes that no test finds since there is nothing to be found: each with the reason. The key is the line's text, so that it keeps when lines move. */
import type { Mutant } from './mutants.js';

export interface Survivor {
  readonly file: string;
  /** The whole line, trimmed, in which the change begins. */
  readonly text: string;
  readonly from: string;
  readonly to: string;
  /** Why nothing that is promised depends on it. */
  readonly equivalent: string;
}

export const SURVIVORS: readonly Survivor[] = [];

export function excusedBy({ file, text, from, to }: Mutant): Survivor | undefined {
  return SURVIVORS.find((one) => one.file === file && one.text === text && one.from === from && one.to === to);
}
