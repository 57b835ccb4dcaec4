/**
 * Commit builders that nobody needs at the moment, with their memory: a queue has one only while something is pushed to it, so that what thousands of
 * quiet ones hold does not add up. The one that was used last is used next. One list for the process, as memory is.
 */
import { CommitBuilder } from '../frame/commit-builder.js';

/** Two for each of some queues that are busy at the same time. */
const SPARE_MAX = 8;

const spare: CommitBuilder[] = [];

/** One that is empty. */
export function takeBuilder(): CommitBuilder {
  return spare.pop() ?? new CommitBuilder('dense');
}

/** No write of its bytes may be under way. */
export function giveBuilder(builder: CommitBuilder): void {
  builder.reset();
  if (spare.length < SPARE_MAX) spare.push(builder);
}
