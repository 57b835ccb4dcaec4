/** Arguments that several commands take, checked where they are parsed: what is wrong with one is a usage error. */
import { InvalidArgumentError, Option } from 'commander';
import { requireQueueName, WAL_QUEUE } from '../layout/store-file.js';

export function parseId(text: string): number {
  return parseWhole(text, 'A record ID is a whole number.');
}

/** A number, 0 or more. */
export function parseWhole(text: string, otherwise: string = 'It must be a whole number.'): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number)) throw new InvalidArgumentError(otherwise);
  return number;
}

export function parseCount(text: string): number {
  const otherwise = 'It must be a whole number, at least 1.';
  const count = parseWhole(text, otherwise);
  if (count === 0) throw new InvalidArgumentError(otherwise);
  return count;
}

/** So many a second, also less than one. */
export function parseRate(text: string): number {
  const rate = Number(text);
  if (!(rate > 0 && rate <= 1e9)) throw new InvalidArgumentError('It must be a number above 0.');
  return rate;
}

export function parseIds(text: string, before: readonly number[] | undefined): number[] {
  return [...(before ?? []), parseId(text)];
}

export function parseQueue(text: string): string {
  try {
    requireQueueName(text);
    return text;
  } catch {
    throw new InvalidArgumentError(
      'A name is 1 to 64 letters, digits, dots, underscores and hyphens, with no dot in front.',
    );
  }
}

export function queueOption(): Option {
  return new Option('-q, --queue <name>', 'which queue').default(WAL_QUEUE).argParser(parseQueue);
}

const BYTES_UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** A number of bytes: `1000`, `64K`, `16MiB`. */
export function parseBytes(text: string): number {
  const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(digits) * (BYTES_UNITS[unit.toUpperCase()] ?? NaN));
  if (digits === '' || !Number.isSafeInteger(bytes) || bytes < 1)
    throw new InvalidArgumentError('A size is a number of bytes, or one with K, M, G or T behind it: 64M.');
  return bytes;
}

export function parseShare(text: string): number {
  const share = Number(text);
  if (text === '' || !(share >= 0 && share <= 1)) throw new InvalidArgumentError('A share is a number from 0 to 1.');
  return share;
}
