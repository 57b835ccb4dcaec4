/** Arguments that several commands take, checked where they are parsed: what is wrong with one is a usage error. */
import { InvalidArgumentError, Option } from 'commander';
import { requireQueueName, WAL_QUEUE } from '../layout/store-file.js';

export function parseId(text: string): number {
  const id = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(id))
    throw new InvalidArgumentError('A record ID is a whole number.');
  return id;
}

export function parseCount(text: string): number {
  const count = parseId(text);
  if (count === 0) throw new InvalidArgumentError('It must be at least 1.');
  return count;
}

export function parseIds(text: string, before: readonly number[] | undefined): number[] {
  return [...(before ?? []), parseId(text)];
}

function parseQueue(text: string): string {
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
