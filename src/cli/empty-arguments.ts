/**
 * Arguments that are empty, as those of a variable that is not set (`"$STORE"`). To some functions such a path is the current folder: what was to be done
 * to one store would be done to another. So a command with one is refused before it acts.
 */
import type { Command } from 'commander';
import { UsageError } from './exit-code.js';

/** What the help calls the value of an option that names a place or what is to be run; any other text may be empty. */
const PLACES: ReadonlySet<string> = new Set(['command', 'file', 'folder', 'where', 'url']);

/** @throws UsageError */
export function refuseEmpty(command: Command): void {
  command.registeredArguments.forEach((argument, i) => {
    const given = argument.variadic ? command.args.slice(i) : command.args.slice(i, i + 1);
    if (given.includes('')) throw new UsageError(`<${argument.name()}> is empty`);
  });
  for (const option of command.options) {
    const place = /<(\w+)>/.exec(option.flags)?.[1] ?? '';
    if (PLACES.has(place) && command.getOptionValue(option.attributeName()) === '')
      throw new UsageError(`${option.long ?? option.flags} is empty`);
  }
}
