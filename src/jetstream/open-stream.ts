/**
 * Opening the stream of a queue, on a server that can do what it takes.
 */
import { randomUUID } from 'node:crypto';
import { EvaqError } from '../errors.js';
import { WAL_QUEUE } from '../layout/store-file.js';
import type { QueueOptions } from '../queue/queue-options.js';
import type { ResolvedJetStream } from './jetstream-options.js';
import type { JetStreamQueueInit } from './jetstream-queue.js';
import { type JsApi, messageBytesMax, numberIn, objectIn, textIn } from './js-api.js';
import { Publisher } from './publisher.js';
import { QueueStream, tooOldError } from './queue-stream.js';
import { streamOptionsOf } from './stream-config.js';
import { streamOf, subjectOf } from './stream-names.js';

const STORE_ID = 'evaq.store';
/** Atomic batches. */
const API_LEVEL_MIN = 2;
/** For the headers that evaq itself adds. */
const HEADROOM_BYTES = 1024;

/** Makes it, if it may. @throws EVAQ_NOT_A_STORE, EVAQ_QUEUE_NAME, EVAQ_UNSUPPORTED, EVAQ_IO */
export async function openStream(
  api: JsApi,
  options: ResolvedJetStream,
  queue: string,
  given: QueueOptions,
  isOpen: () => boolean,
): Promise<JetStreamQueueInit> {
  const { name } = options;
  const place = { stream: streamOf(name, queue), subject: subjectOf(name, queue) };
  const resolved = streamOptionsOf(given);
  const stream = new QueueStream(queue, place, api);
  const isThere = await stream.ensure(options, resolved, { [STORE_ID]: randomUUID() });
  if (!isThere) throw missingError(name, queue);
  const limits = resolved.limits === 'kept' ? undefined : resolved.limits;
  const bytesMax = messageBytesMax(api) - HEADROOM_BYTES;
  return {
    stream,
    publisher: new Publisher({ queue, place, api, limits, isOpen }),
    recordBytesMax: Math.min(bytesMax, resolved.recordBytesMax ?? bytesMax),
  };
}

/** What the first stream of a store was made with. */
export async function storeIdOf({ stream }: JetStreamQueueInit, otherwise: string): Promise<string> {
  const { config } = await stream.figures();
  return textIn(objectIn(config, 'metadata'), STORE_ID) ?? otherwise;
}

function missingError(store: string, queue: string): EvaqError {
  if (queue === WAL_QUEUE) return new EvaqError('EVAQ_NOT_A_STORE', `there is no store '${store}' on that server`);
  return new EvaqError('EVAQ_QUEUE_NAME', `the store '${store}' has no queue '${queue}'`, { details: { queue } });
}

/** By what it can: its API says so, whatever its version. */
export async function requireNewServer(api: JsApi): Promise<void> {
  const { body, refusal } = await api.ask('INFO');
  if (refusal !== undefined) {
    throw new EvaqError('EVAQ_UNSUPPORTED', `no JetStream: ${refusal.description}`, {
      hint: 'The server, and the account, must have JetStream enabled.',
    });
  }
  if ((numberIn(objectIn(body, 'api'), 'level') ?? 0) < API_LEVEL_MIN)
    throw tooOldError(api.connection.info?.version ?? '');
}
