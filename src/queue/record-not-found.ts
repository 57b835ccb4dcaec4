/** What is said of a record that is not live. */
import { EvaqError } from '../errors.js';

export function notFound(queue: string, id: number): EvaqError {
  return new EvaqError('EVAQ_RECORD_NOT_FOUND', `queue '${queue}' has no live record ${id}`, {
    details: { queue, id },
  });
}
