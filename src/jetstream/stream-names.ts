/**
 * What the queues of a store are called on the server: a stream for each, with one subject.
 */
import { describe } from '../ids.js';
import { requireQueueName } from '../layout/store-file.js';

const STORE_NAME = /^[A-Za-z0-9-]{1,32}$/;

export function isStoreName(name: unknown): name is string {
  return typeof name === 'string' && STORE_NAME.test(name);
}

/** Without an underscore: that ends it in the names of streams. */
export function requireStoreName(name: unknown): asserts name is string {
  if (isStoreName(name)) return;
  throw new TypeError(`name must be 1 to 32 letters, digits and hyphens, got ${describe(name)}`);
}

/** A dot would be the end of a token of a subject. */
function tokenOf(queue: string): string {
  return queue.replaceAll('.', '=');
}

export function streamOf(store: string, queue: string): string {
  requireQueueName(queue);
  return `EVAQ_${store}_${tokenOf(queue)}`;
}

export function subjectOf(store: string, queue: string): string {
  requireQueueName(queue);
  return `evaq.${store}.${tokenOf(queue)}`;
}

/** Subjects of all queues. */
export function subjectsOf(store: string): string {
  return `evaq.${store}.*`;
}

/** The queue that a stream is of; `undefined` where it is none of this store's. */
export function queueOf(store: string, stream: string): string | undefined {
  const before = `EVAQ_${store}_`;
  return stream.startsWith(before) ? stream.slice(before.length).replaceAll('=', '.') : undefined;
}

/** Where it is kept what is known of records that were not delivered at once. */
export function triesStreamOf(store: string): string {
  return `EVAQ_${store}=tries`;
}

export function triesSubjectsOf(store: string): string {
  return `evaq-tries.${store}.>`;
}

export function triesSubjectOf(store: string, queue: string, id: number): string {
  return `evaq-tries.${store}.${tokenOf(queue)}.${id}`;
}
