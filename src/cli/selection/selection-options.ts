/** The options by which every command that is about records takes a selection, and its queues. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { messageOf } from '../../errors.js';
import { parseCount } from '../arguments.js';
import { parseTime } from './point-in-time.js';
import { POSITION_HELP, type Position, parsePosition } from './position.js';
import type { HeaderWanted } from './selection.js';

export interface SelectionHelp {
  readonly count?: string;
  /** In the place of that which takes a position. */
  readonly to?: Option;
}

/** Adds `--from`, `--to`, `--since`, `--until`, `-g`, `--header`, `--reason` and `-n`. */
export function addSelection(command: Command, help: SelectionHelp = {}): Command {
  const { count = 'at most so many records', to } = help;
  return command
    .addOption(new Option('--from <pos>', `the first record: ${POSITION_HELP}`).argParser(positionArgument))
    .addOption(to ?? new Option('--to <pos>', 'the last record, told likewise').argParser(positionArgument))
    .addOption(
      new Option('--since <time>', 'pushed then or later: 2h (ago), 2026-11-01T10:00Z').argParser(timeArgument),
    )
    .addOption(new Option('--until <time>', 'pushed then or earlier').argParser(timeArgument))
    .addOption(new Option('-g, --grep <regex>', 'whose payload matches').argParser(patternArgument))
    .addOption(
      new Option(
        '--header <name=value>',
        'with that header; NAME alone: whatever its value; may be repeated',
      ).argParser(headerArgument),
    )
    .option('--reason <text>', 'dead letters of that reason')
    .addOption(new Option('-n, --count <n>', count).argParser(parseCount));
}

function positionArgument(text: string): Position {
  const position = parsePosition(text, Date.now());
  if (position === undefined) throw new InvalidArgumentError(`A position is ${POSITION_HELP}.`);
  return position;
}

function timeArgument(text: string): number {
  const ms = parseTime(text, Date.now());
  if (ms === undefined) {
    throw new InvalidArgumentError('A time is 2h (ago), 2026-11-01, 2026-11-01T10:00Z, or seconds since the epoch.');
  }
  return ms;
}

function patternArgument(text: string): RegExp {
  try {
    return new RegExp(text, 'u');
  } catch (error) {
    throw new InvalidArgumentError(messageOf(error));
  }
}

function headerArgument(text: string, before: readonly HeaderWanted[] | undefined): HeaderWanted[] {
  const at = text.indexOf('=');
  const name = at < 0 ? text : text.slice(0, at);
  if (name === '') throw new InvalidArgumentError('It is NAME=VALUE, or NAME.');
  return [...(before ?? []), { name, value: at < 0 ? undefined : text.slice(at + 1) }];
}
