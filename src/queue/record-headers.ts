/**
 * Headers as callers give them: an object, a `Map`, `Headers` of fetch, or entries, of this realm or another. Kept are names and texts; what could
 * not come back as it is, is refused. They come back as a plain object, in which names that look like whole numbers come first.
 */
import { isIterable, isPlain, requireWellFormed } from '../arguments.js';
import { describe } from '../ids.js';

/** Small named strings, each name once. */
export type HeadersLike = Readonly<Record<string, string>> | Iterable<readonly [name: string, value: string]>;

/** Throws a TypeError that names what is wrong. */
export function headersOf(headers: unknown, argument: string): Readonly<Record<string, string>> {
  if (typeof headers !== 'object' || headers === null) {
    throw new TypeError(`${argument} must be an object, a Map, Headers or entries, got ${describe(headers)}`);
  }
  if (ArrayBuffer.isView(headers))
    throw new TypeError(`${argument} must hold names and texts, got ${describe(headers)}`);
  const list = isIterable(headers) ? headers : undefined;
  if (list === undefined && !isPlain(headers)) {
    throw new TypeError(`${argument} must be a plain object, a Map, Headers or entries, got ${describe(headers)}`);
  }
  if (list === undefined && Object.getOwnPropertySymbols(headers).length > 0) {
    throw new TypeError(`${argument} must have texts for names, got a symbol`);
  }
  const named: Record<string, string> = {};
  for (const [name, value] of list === undefined ? Object.entries(headers) : entriesOf(list, argument)) {
    if (typeof value !== 'string') {
      throw new TypeError(`${argument}.${name} must be a string, got ${describe(value)}`);
    }
    requireWellFormed(name, `a name in ${argument}`);
    requireWellFormed(value, `${argument}.${name}`);
    if (Object.hasOwn(named, name)) {
      throw new TypeError(`${argument} has '${name}' twice, and a record keeps one text of a name: join them`);
    }
    // Not by assignment: any name may be a user's.
    Object.defineProperty(named, name, { value, enumerable: true, configurable: true, writable: true });
  }
  return named;
}

function* entriesOf(headers: Iterable<unknown>, argument: string): Generator<readonly [string, unknown]> {
  for (const entry of headers) {
    if (!Array.isArray(entry) || entry.length !== 2 || typeof entry[0] !== 'string') {
      throw new TypeError(`${argument} must have entries of a name and a text, got ${describe(entry)}`);
    }
    yield [entry[0], entry[1]];
  }
}
