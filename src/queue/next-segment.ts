/**
 * The segment that a queue will append to next: made ahead of time, so that leaving one never stalls a push.
 */
import { isNoSpace } from '../errors.js';
import type { FailStop } from '../fail-stop.js';
import type { DraftSegment, SegmentSupply } from '../segment/segment-supply.js';
import { cutToHeader, startSegment } from './segment-start.js';

/** 'small': one that takes next to no space. */
export type SegmentSize = 'any' | 'small';

export interface NextSegmentOptions {
  readonly supply: SegmentSupply;
  readonly failStop: FailStop;
  /** Pushes resolve before they are synced. */
  readonly relaxed: boolean;
  /** The ID that the next record gets. */
  readonly nextId: () => number;
  /** Files of the recycle pool to leave alone. */
  readonly keep: () => number;
}

export class NextSegment {
  readonly #options: NextSegmentOptions;
  #prepared: Promise<DraftSegment> | undefined;

  constructor(options: NextSegmentOptions) {
    this.#options = options;
  }

  /** Begins to make it, if nobody did. Where that fails it is not tried again ahead of time, but when it is needed. */
  prepare(size: SegmentSize = 'any'): void {
    if (this.#prepared !== undefined) return;
    const prepared = this.#make(size);
    this.#prepared = prepared;
    prepared.catch(() => undefined);
  }

  /** Hands it over. The next one is made anew. */
  async take(size: SegmentSize): Promise<DraftSegment> {
    try {
      // What failed ahead of time may have passed since.
      let draft = this.#prepared === undefined ? undefined : await this.#prepared.catch(() => undefined);
      if (draft === undefined) {
        const making = this.#make(size);
        this.#prepared = making;
        draft = await making;
      }
      return size === 'small' ? await cutToHeader(draft) : draft;
    } finally {
      this.#prepared = undefined;
    }
  }

  /** Gives it up. */
  async close(): Promise<void> {
    const draft = await this.#prepared?.catch(() => undefined);
    this.#prepared = undefined;
    await draft?.file.close().catch(() => undefined);
  }

  async #make(size: SegmentSize): Promise<DraftSegment> {
    const { supply, failStop, relaxed, nextId, keep } = this.#options;
    const start = { supply, failStop, nextId: nextId(), relaxed, keep: keep() };
    if (size === 'any') return startSegment(start);
    try {
      return await startSegment({ ...start, keep: Infinity });
    } catch (error) {
      // There are files that need no new space.
      if (!isNoSpace(error)) throw error;
      return startSegment({ ...start, keep: 0, spendsReserve: true });
    }
  }
}
