/**
 * A checkpoint, and the source that it is of, as a caller gives them.
 */
import { optionNames, requireOptions } from '../arguments.js';
import { describe } from '../ids.js';
import type { Checkpoint } from './intake.js';
import { requireText } from './push-entry.js';

const SOURCE_BYTES_MAX = 256;
const POSITION_BYTES_MAX = 1024;
const CHECKPOINT_NAMES = optionNames('source', 'position');

/** Throws a TypeError or RangeError that names the argument unless `source` can be one. */
export function requireSource(source: unknown, argument: string): asserts source is string {
  requireText(source, argument, SOURCE_BYTES_MAX);
}

/** A checkpoint as it is given. Throws a TypeError or RangeError that names what is wrong. */
export function checkpointOf(value: unknown): Checkpoint | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'object' || value === null || !('source' in value) || !('position' in value))
    throw new TypeError(`checkpoint must be { source, position }, got ${describe(value)}`);
  requireOptions(value, 'checkpoint', CHECKPOINT_NAMES);
  const { source, position } = value;
  requireSource(source, 'checkpoint.source');
  if (typeof position === 'number') {
    if (!Number.isSafeInteger(position))
      throw new RangeError(`checkpoint.position must be a safe integer or a text, got ${position}`);
    return { source, position };
  }
  if (typeof position !== 'string')
    throw new TypeError(`checkpoint.position must be a safe integer or a text, got ${describe(position)}`);
  if (position === '') return { source, position };
  requireText(position, 'checkpoint.position', POSITION_BYTES_MAX);
  return { source, position };
}
