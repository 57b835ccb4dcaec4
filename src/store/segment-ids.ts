/** Gives out the segment IDs of a store: from above all that were ever seen. */
import { EvaqError } from '../errors.js';
import { type SegmentId, segmentId } from '../ids.js';

export class SegmentIds {
  #last: SegmentId = segmentId(0);

  get last(): SegmentId {
    return this.#last;
  }

  seen(id: number): void {
    if (id > this.#last) this.#last = segmentId(id);
  }

  /** @throws EVAQ_QUEUE_FULL at the end of the safe integers */
  allocate(): SegmentId {
    if (this.#last === Number.MAX_SAFE_INTEGER) {
      throw new EvaqError('EVAQ_QUEUE_FULL', 'the store has given out all its segment IDs', {
        details: { limit: Number.MAX_SAFE_INTEGER },
        hint: 'Its records can be read, with openReadOnly too. Push to a new store.',
      });
    }
    this.#last = segmentId(this.#last + 1);
    return this.#last;
  }
}
