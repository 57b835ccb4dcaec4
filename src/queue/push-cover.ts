/**
 * The reserve for removals as a commit asks for it: whether it does for the records that are to be placed, and renewing it until it does
 * (`push-reserve.ts`).
 */
import { isNoSpace } from '../errors.js';
import type { LogEnd } from './log-end.js';
import type { PushReserve } from './push-reserve.js';

export interface PushCoverOptions {
  /** What has to be there before anything is placed. */
  readonly reserve: () => Pick<PushReserve, 'covers' | 'isRefused' | 'lookAhead' | 'renew'>;
}

export class PushCover {
  readonly #options: PushCoverOptions;
  readonly #end: LogEnd;

  constructor(options: PushCoverOptions, end: LogEnd) {
    this.#options = options;
    this.#end = end;
  }

  /** Whether `count` more records could be removed again on a full disk. */
  covers(count: number): boolean {
    return this.#options.reserve().covers(this.#end.nextId + count);
  }

  /** Sees to it that they could. On a full disk it may need what dead files hold that are kept for speed alone. Rejects as `PushReserve.renew`. */
  async renew(count: number): Promise<void> {
    const reserve = this.#options.reserve();
    for (;;) {
      try {
        // One under way may have been for fewer.
        while (!this.covers(count)) await reserve.renew(this.#end.nextId, count);
        return;
      } catch (cause) {
        if (!isNoSpace(cause)) throw cause;
        this.#end.noteNoSpace();
        if (!(await this.#end.drainPool())) throw cause;
      }
    }
  }

  /** For who cannot wait: whether the last try to renew it found no space. Then there is another try, in the background. */
  refuses(): boolean {
    const reserve = this.#options.reserve();
    if (!reserve.isRefused) return false;
    reserve.renew(this.#end.nextId, 1).catch(() => undefined);
    return true;
  }

  /** Begins to renew it where it will not do for long. */
  lookAhead(): void {
    this.#options.reserve().lookAhead(this.#end.nextId);
  }
}
