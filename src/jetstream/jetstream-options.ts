/**
 * The options of `JetStreamEvaq.connect`, resolved once at the door, and the client that they come to.
 */
import { optionNames, requireOptions } from '../arguments.js';
import { EvaqError } from '../errors.js';
import { describe, requireCount } from '../ids.js';
import type { NatsClient, NatsConnection, NatsHeaders } from './nats-client.js';
import { connectError } from './nats-errors.js';
import type { StreamDefaults } from './stream-config.js';
import { requireStoreName } from './stream-names.js';

export interface JetStreamOptions {
  /** Where the servers are, as `connect` of `@nats-io/transport-node` takes it: that package must be installed. */
  readonly servers?: string | readonly string[];
  /** Instead of `servers`: a connection that is there, which stays open, and `headers` of the package that made it. */
  readonly connection?: NatsConnection;
  readonly headers?: () => NatsHeaders;
  /** Names the store among others on the server: 1 to 32 letters, digits and hyphens. */
  readonly name: string;
  /** Copies of each queue that is made, 1, 3 or 5. Default 1. */
  readonly replicas?: number;
  /** Default true. False: a store or a queue that is not there is EVAQ_NOT_A_STORE or EVAQ_QUEUE_NAME, and is not made. */
  readonly create?: boolean;
  /** For how long the server knows a message by its ID, in ms: a repeat within it is none. It takes memory for each message. Default 120 000. */
  readonly duplicateWindowMs?: number;
  /**
   * After so many ms without a word of it a process that had a record counts as dead. Of all that a queue was ever delivered with the longest holds, until its
   * consumer `evaq` is removed. From 1000 on; default 30 000.
   */
  readonly leaseMs?: number;
  /** How long a call is tried while the server does not answer or has no leader. Default 30 000. */
  readonly timeoutMs?: number;
  /** Aborted: connecting rejects with its reason. */
  readonly signal?: AbortSignal;
}

const NAMES = optionNames(
  'servers',
  'connection',
  'headers',
  'name',
  'replicas',
  'create',
  'duplicateWindowMs',
  'leaseMs',
  'timeoutMs',
  'signal',
);
/** All that was said, or not. */
export interface ResolvedJetStream extends StreamDefaults {
  readonly name: string;
  readonly leaseMs: number;
  readonly timeoutMs: number;
}

/** @throws TypeError, RangeError that names what is wrong */
export function resolveJetStream(options: JetStreamOptions): ResolvedJetStream {
  requireOptions(options, 'connect', NAMES);
  const {
    name,
    replicas = 1,
    create = true,
    duplicateWindowMs = 120_000,
    leaseMs = 30_000,
    timeoutMs = 30_000,
  } = options;
  requireStoreName(name);
  requireCount(replicas, 'replicas', 1);
  requireCount(duplicateWindowMs, 'duplicateWindowMs', 100);
  requireCount(leaseMs, 'leaseMs', 1000);
  requireCount(timeoutMs, 'timeoutMs', 1);
  if (typeof create !== 'boolean') throw new TypeError(`create must be true or false, got ${describe(create)}`);
  return { name, replicas, creates: create, duplicateWindowMs, leaseMs, timeoutMs };
}

/** A connection that is there, or one that is made. @throws EVAQ_IO, EVAQ_UNAUTHORIZED; EVAQ_UNSUPPORTED where the client is not installed */
export async function clientOf(options: JetStreamOptions): Promise<{ client: NatsClient; ownsConnection: boolean }> {
  const { servers, connection, headers } = options;
  if (connection !== undefined) {
    if (servers !== undefined) throw new TypeError('connect takes servers or a connection, not both');
    if (typeof headers !== 'function')
      throw new TypeError('headers must be the function of the client that made the connection');
    return { client: { connection, headers }, ownsConnection: false };
  }
  if (servers === undefined) throw new TypeError('connect takes servers, or a connection with headers');
  let nats: typeof import('@nats-io/transport-node');
  try {
    nats = await import('@nats-io/transport-node');
  } catch (cause) {
    throw new EvaqError('EVAQ_UNSUPPORTED', 'the client of NATS is not installed', {
      cause,
      hint: 'npm install @nats-io/transport-node',
    });
  }
  try {
    const list = typeof servers === 'string' ? servers : [...servers];
    // Whoever has a queue waits for it; calls have times of their own.
    const made = await nats.connect({ servers: list, maxReconnectAttempts: -1, reconnectTimeWait: 250 });
    return { client: { connection: made, headers: nats.headers }, ownsConnection: true };
  } catch (cause) {
    throw connectError(cause, '');
  }
}
