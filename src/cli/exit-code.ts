/**
 * What the shell is told, and how errors look on standard error. The numbers are part of the contract, the texts are not.
 */
import { styleText } from 'node:util';
import { EvaqError, type EvaqErrorCode, isSystemError, messageOf } from '../errors.js';

export const EXIT_ERROR = 1;
export const EXIT_USAGE = 2;
/** Bytes changed that had been synced. */
export const EXIT_CORRUPT = 3;
/** Nothing but the torn end that a crash leaves; only where `--strict` asks for it. */
export const EXIT_TORN = 4;
export const EXIT_LOCKED = 5;
export const EXIT_NOT_FOUND = 6;
/** All was tried, and some of it became a dead letter. */
export const EXIT_SOME_FAILED = 7;
export const EXIT_SIGNAL_BASE = 128;

const EXIT_OF: Partial<Record<EvaqErrorCode, number>> = {
  EVAQ_CORRUPT: EXIT_CORRUPT,
  EVAQ_LOCKED: EXIT_LOCKED,
  EVAQ_RECORD_NOT_FOUND: EXIT_NOT_FOUND,
  EVAQ_QUEUE_NAME: EXIT_NOT_FOUND,
};

/** A command that was called wrongly in a way that only the command itself can tell. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Somebody else refuses, and says why: there is nothing to be seen in a stack. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

/** Ended by a signal, after what had been begun was brought to an end. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly exitCode: number;

  constructor(signalNumber: number) {
    super('interrupted');
    this.exitCode = EXIT_SIGNAL_BASE + signalNumber;
  }
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) return error.exitCode;
  if (error instanceof UsageError) return EXIT_USAGE;
  return error instanceof EvaqError ? (EXIT_OF[error.code] ?? EXIT_ERROR) : EXIT_ERROR;
}

/** One line for people and their log filters, and one that says what to do. */
export function printError(error: unknown): void {
  if (error instanceof Interrupted) return;
  if (error instanceof EvaqError) {
    say(`${styled('red', error.code)}: ${error.message}`);
    if (error.hint !== undefined) process.stderr.write(`${styled('dim', `hint: ${error.hint}`)}\n`);
    return;
  }
  if (error instanceof UsageError || error instanceof Refused) say(error.message);
  else if (isSystemError(error)) say(error.message);
  // Anything else is a bug: the stack says where.
  else say(stackOf(error));
}

function stackOf(thrown: unknown): string {
  const hasStack = typeof thrown === 'object' && thrown !== null && 'stack' in thrown;
  return hasStack && typeof thrown.stack === 'string' ? thrown.stack : messageOf(thrown);
}

/** A line on standard error. */
export function say(line: string): void {
  process.stderr.write(`evaq: ${line}\n`);
}

/** Coloured where standard error is a terminal that wants it (NO_COLOR, FORCE_COLOR). */
function styled(format: 'red' | 'dim', text: string): string {
  return styleText(format, text, { stream: process.stderr });
}
