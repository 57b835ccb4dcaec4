/**
 * A sink that inserts records into a table of PostgreSQL: a batch is one statement, so it is there as a whole or not at all, and a repeat of a record is
 * dropped by its key. A record that the table refuses fails its batch, which is then tried in halves.
 *
 * Only a conflict of the key is "there already": one of any other constraint is a failure, and becomes a dead letter.
 */
import { optionNames, requireOptions } from '../../arguments.js';
import { describe } from '../../ids.js';
import type { Sink, SinkContext, SinkRecord } from '../sink.js';
import { ackTimeoutOf, requireClient, requireText, untilAnswered } from '../sink-client.js';
import { type PostgresClientLike, postgresErrorOf } from './postgres-client.js';

/** The names of the columns; what is not named is not written. */
export interface PostgresColumns {
  /** Text; the primary key, or unique. */
  readonly deliveryId: string;
  readonly payload: string;
  /** `jsonb` or `json`. */
  readonly headers?: string;
  /** `timestamptz`. */
  readonly timestamp?: string;
  /** Text. */
  readonly key?: string;
}

export interface PostgresSinkOptions {
  /** A Pool or a Client of `pg`. With a Pool batches go side by side. */
  readonly client: PostgresClientLike;
  /** Its name; with its schema `['app', 'orders']`. */
  readonly table: string | readonly string[];
  /** Default `{ deliveryId: 'delivery_id', payload: 'payload' }`. */
  readonly columns?: PostgresColumns;
  /** The type of the payload's column. Default 'bytea'; with the others the payload must be UTF-8, and JSON. */
  readonly payloadType?: 'bytea' | 'text' | 'json' | 'jsonb';
  /** A batch that is not committed after so long is tried again; the destination counts as down. Default 10 000. */
  readonly ackTimeoutMs?: number;
}

const NAMES = optionNames('client', 'table', 'columns', 'payloadType', 'ackTimeoutMs');
const COLUMN_NAMES = optionNames('deliveryId', 'payload', 'headers', 'timestamp', 'key');
const DEFAULT_COLUMNS: PostgresColumns = { deliveryId: 'delivery_id', payload: 'payload' };
const PAYLOAD_TYPES: ReadonlySet<unknown> = new Set(['bytea', 'text', 'json', 'jsonb']);

/** @throws TypeError, RangeError for wrong options */
export function postgresSink(options: PostgresSinkOptions): Sink {
  return new PostgresSink(options);
}

interface Column {
  readonly name: string;
  readonly type: string;
  readonly of: (record: SinkRecord) => unknown;
}

class PostgresSink implements Sink {
  readonly name: string = 'postgres';
  readonly #client: PostgresClientLike;
  readonly #columns: readonly Column[];
  readonly #statement: string;
  readonly #ackTimeoutMs: number;

  constructor(options: PostgresSinkOptions) {
    requireOptions(options, 'postgresSink', NAMES);
    const { client, table, columns = DEFAULT_COLUMNS, payloadType = 'bytea' } = options;
    requireClient(client, 'client', 'a Pool or Client of pg', ['query']);
    const path = typeof table === 'string' ? [table] : table;
    if (!Array.isArray(path) || path.length === 0) throw new TypeError(`table must be a name, got ${describe(table)}`);
    for (const part of path) requireText(part, 'table');
    requireOptions(columns, 'columns', COLUMN_NAMES);
    if (!PAYLOAD_TYPES.has(payloadType)) {
      throw new TypeError(`payloadType must be one of ${[...PAYLOAD_TYPES].join(', ')}, got ${describe(payloadType)}`);
    }
    this.#client = client;
    this.#columns = columnsOf(columns, payloadType);
    this.#statement = statementOf(path, this.#columns);
    this.#ackTimeoutMs = ackTimeoutOf(options.ackTimeoutMs);
  }

  async deliver(records: readonly SinkRecord[], { signal }: SinkContext): Promise<void> {
    const values = this.#columns.map((column) => records.map((record) => column.of(record)));
    await this.#query(this.#statement, values, signal);
  }

  async probe({ signal }: Pick<SinkContext, 'signal'>): Promise<void> {
    await this.#query('SELECT 1', [], signal);
  }

  async #query(text: string, values: unknown[], signal: AbortSignal): Promise<void> {
    await untilAnswered('postgres', this.#ackTimeoutMs, signal, async () => {
      try {
        await this.#client.query(text, values);
      } catch (error) {
        throw postgresErrorOf(error);
      }
    });
  }
}

/** The key comes first. */
function columnsOf(columns: PostgresColumns, payloadType: string): Column[] {
  const isBytes = payloadType === 'bytea';
  const all: readonly (Omit<Column, 'name'> & { readonly name: string | undefined; readonly option: string })[] = [
    { option: 'deliveryId', name: columns.deliveryId, type: 'text', of: ({ deliveryId }) => deliveryId },
    {
      option: 'payload',
      name: columns.payload,
      type: payloadType,
      of: ({ payload }) => (isBytes ? payload : payload.toString()),
    },
    { option: 'headers', name: columns.headers, type: 'jsonb', of: ({ headers }) => JSON.stringify(headers) },
    {
      option: 'timestamp',
      name: columns.timestamp,
      type: 'timestamptz',
      of: ({ timestamp }) => new Date(timestamp).toISOString(),
    },
    { option: 'key', name: columns.key, type: 'text', of: ({ key }) => key ?? null },
  ];
  const named: Column[] = [];
  for (const { option, name, type, of } of all) {
    if (name === undefined && option !== 'deliveryId' && option !== 'payload') continue;
    requireText(name, `columns.${option}`);
    named.push({ name, type, of });
  }
  return named;
}

function statementOf(table: readonly string[], columns: readonly Column[]): string {
  const names = columns.map(({ name }) => quoted(name));
  const arrays = columns.map(({ type }, i) => `$${i + 1}::${type}[]`);
  // One whose key is there twice in a batch is there once.
  return (
    `INSERT INTO ${table.map(quoted).join('.')} (${names.join(', ')}) ` +
    `SELECT * FROM unnest(${arrays.join(', ')}) ON CONFLICT (${names[0]}) DO NOTHING`
  );
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
