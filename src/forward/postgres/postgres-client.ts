/**
 * What is needed of `pg`, which is never imported here, and what PostgreSQL means by its codes.
 */
import { propertyOf, textOf, unavailable } from '../sink-client.js';
import { SinkError, type SinkErrorKind } from '../sink-error.js';

/** A Pool or a Client of `pg`. */
export interface PostgresClientLike {
  query(text: string, values: unknown[]): Promise<unknown>;
}

/** By SQLSTATE, or the two characters of its class: the longer one counts. What is not here is about the server. */
const KINDS: Readonly<Record<string, SinkErrorKind>> = {
  // Data that cannot be, constraints, limits of the program: they are of a record.
  22: 'rejected',
  23: 'rejected',
  44: 'rejected',
  54: 'rejected',
  P0: 'rejected',
  // A conflict with another transaction.
  40: 'retry',
  28: 'unauthorized',
  // The statement is wrong, or we may not: for every record alike.
  42: 'unauthorized',
  '0A': 'unauthorized',
  // A table, a schema that is not there yet: somebody migrates.
  '42P01': 'unavailable',
  '3F000': 'unavailable',
};

export function postgresErrorOf(error: unknown): SinkError {
  const code: unknown = typeof error === 'object' && error !== null ? propertyOf(error, 'code') : undefined;
  // Node's own codes are longer; EPIPE is of no class.
  if (typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code)) return unavailable('postgres', error);
  const kind = KINDS[code] ?? KINDS[code.slice(0, 2)] ?? 'unavailable';
  return new SinkError(kind, `${textOf(error)} (${code})`, { reason: `SQLSTATE ${code}`, cause: error });
}
