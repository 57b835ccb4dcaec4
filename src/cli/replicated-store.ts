/** A replicated store by its URL, nats://HOST:PORT/STORE, to be read. Its engine is loaded when one is opened. */
import { isStoreName } from '../jetstream/stream-names.js';
import type { JetStreamEvaq } from '../jetstream.js';
import type { QueueReader } from '../raw.js';
import { requiredPackage } from './destinations/client-package.js';
import { credentialsOf } from './destinations/url-parts.js';
import { UsageError } from './exit-code.js';
import type { SelectedFrom } from './selection/selected-records.js';

type Client = typeof import('@nats-io/transport-node');

const SCHEME = /^nats:\/\//;
const DEFAULT_PORT = 4222;
const TIMEOUT_MS = 10_000;

export function isReplicated(path: string): boolean {
  return SCHEME.test(path);
}

/** Makes nothing. Its end is the end of its connection. @throws UsageError; EVAQ_NOT_A_STORE, EVAQ_IO */
export async function openReplicated(
  text: string,
): Promise<Pick<JetStreamEvaq, 'queue' | 'queueNames'> & AsyncDisposable> {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const name = url === undefined ? '' : decodeURIComponent(url.pathname.slice(1));
  if (url === undefined || url.hostname === '' || !isStoreName(name))
    throw new UsageError(
      `a replicated store is nats://HOST:PORT/STORE, its name letters, digits and hyphens; got '${withoutPassword(text)}'`,
    );
  const { connect, headers } = await requiredPackage<Client>('@nats-io/transport-node', 'nats://');
  const { JetStreamEvaq: Store } = await import('../jetstream.js');
  const { connectError } = await import('../jetstream/nats-errors.js');
  const own = credentialsOf(url);
  const server = `${url.hostname}:${url.port === '' ? DEFAULT_PORT : url.port}`;
  const connection = await connect({
    servers: server,
    timeout: TIMEOUT_MS,
    ...(own === undefined ? {} : { user: own.user, pass: own.password }),
  }).catch((cause: unknown) => {
    throw connectError(cause, ` at ${server}`);
  });
  try {
    const evaq = await Store.connect({ connection, headers, name, create: false, timeoutMs: TIMEOUT_MS });
    return {
      queue: (queue) => evaq.queue(queue),
      queueNames: () => evaq.queueNames(),
      [Symbol.asyncDispose]: async () => {
        await evaq.close();
        await connection.close();
      },
    };
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** What somebody typed may hold one. */
function withoutPassword(text: string): string {
  return text.replace(/:[^:@/]*@/, ':***@');
}

/** A queue that keeps no index of times: all of it is looked at. */
export function selectableOf(queue: QueueReader): SelectedFrom {
  return {
    records: (range) => queue.records(range),
    idFromEnd: (count) => idFromEnd(queue, count),
    rangesWithin: async () => [{ first: 0, last: Number.MAX_SAFE_INTEGER }],
  };
}

/** The last but so many; where records have been removed in between by going through all. */
async function idFromEnd(queue: QueueReader, count: number): Promise<number | undefined> {
  const { live, nextId, oldestId } = await queue.stats();
  if (oldestId === undefined || count < 1) return undefined;
  if (nextId - oldestId === live) return Math.max(oldestId, nextId - count);
  const last: number[] = [];
  for await (const { id } of queue.records()) {
    last.push(id);
    if (last.length > count) last.shift();
  }
  return last[0];
}
