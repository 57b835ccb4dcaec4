/**
 * Moves between queues of a replicated store: a copy under an ID that names what it is a copy of, and then the removal. Two steps: between them the record
 * is in both queues, and stays there if nobody takes the second. Whoever moves it again finds the copy by its ID, for as long as the window of duplicates
 * lasts.
 */
import type { RecordMeta } from '../frame/metadata.js';
import type { QueueRecord } from '../log/queue-record.js';
import { notFound } from '../queue/record-not-found.js';
import { fittedMeta } from './fitted-meta.js';
import { messageBytesMax } from './js-api.js';
import type { Publisher } from './publisher.js';
import type { QueueStream } from './queue-stream.js';

/** What a message has beside its payload, the record's own and two names: the names of headers. */
const HEADER_BYTES = 128;

/** One queue of a move. */
export interface MoveEnd {
  readonly stream: QueueStream;
  readonly publisher: Publisher;
}

/** Resolves with the new ID. @throws EVAQ_RECORD_NOT_FOUND where it is not there, or somebody else removed it meanwhile */
export async function moveRecord(
  from: MoveEnd,
  to: MoveEnd,
  id: number,
  metaOf: (record: QueueRecord) => RecordMeta,
): Promise<number> {
  const record = await from.stream.get(id);
  if (record === undefined) throw notFound(from.stream.queue, id);
  const newId = await copyRecord(from, to, record, metaOf(record));
  if ((await from.stream.remove(id)) === 'gone') throw notFound(from.stream.queue, id);
  return newId;
}

/** The first step alone. */
export async function copyRecord(from: MoveEnd, to: MoveEnd, record: QueueRecord, meta: RecordMeta): Promise<number> {
  const { queue, place } = from.stream;
  const { id, timestamp, identity = { queue, id } } = record;
  const origin = { queue, id, timestamp: record.origin?.timestamp ?? timestamp };
  // The time of the record, too: a stream that is made anew gives out its IDs again.
  const what = `move:${place.stream}:${id}:${timestamp}`;
  const taken = record.payload.length + HEADER_BYTES + what.length + to.stream.place.stream.length;
  const fitted = fittedMeta({ ...meta, origin, identity }, messageBytesMax(to.stream.api) - taken);
  const newId = await to.publisher.copy(record.payload, fitted, what);
  to.stream.noteAcknowledged(newId);
  return newId;
}
