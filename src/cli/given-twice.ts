/**
 * Options with one value that are given twice: of two the parser would take the last, and drop the other without a word. What was selected by both would be
 * selected by one, and removed.
 */
import type { Command, Option } from 'commander';
import { UsageError } from './exit-code.js';

/** Has `command` throw a UsageError where such an option comes a second time. Its own parser gets what was there where one may be repeated. */
export function refuseTwice(command: Command): void {
  for (const option of command.options) {
    if (option.isBoolean() || option.negate || mayBeRepeated(option)) continue;
    let isGiven = false;
    command.on(`option:${option.name()}`, () => {
      if (isGiven) throw new UsageError(`${option.long ?? option.flags} is given twice`);
      isGiven = true;
    });
  }
}

function mayBeRepeated({ variadic, parseArg }: Option): boolean {
  return variadic || (parseArg?.length ?? 0) > 1;
}
