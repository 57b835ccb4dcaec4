/**
 * The newest picture of one queue, for those who read it: each use looks first whether the folder has changed, and takes in what came; new commits at the
 * end of the log, new removals, or, where names have changed, the log anew. Uses that wait for the same look share it.
 */
import { EvaqError, reported } from '../errors.js';
import { haveSameNames, isListed, listQueueFiles } from './queue-files.js';
import { isGone, type QueuePlace, RawPicture } from './raw-picture.js';

/** How often a read may find that its files were replaced under it before that looks like something else. */
const RETRIES_MAX = 100;

export class FreshPicture {
  readonly #place: QueuePlace;
  readonly #movedAway: () => Promise<readonly (readonly number[])[]>;
  #picture: RawPicture | undefined;
  /** A picture whose files were found replaced. */
  #stale: RawPicture | undefined;
  #looking: Promise<RawPicture> | undefined;
  #nextLook: Promise<RawPicture> | undefined;
  #closed = false;

  /** `movedAway`: as of a `ReadOnlyQueueInit`. */
  constructor(place: QueuePlace, movedAway: () => Promise<readonly (readonly number[])[]>) {
    this.#place = place;
    this.#movedAway = movedAway;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** As of the last look; `undefined` before the first. */
  get last(): RawPicture | undefined {
    return this.#picture;
  }

  /** Runs `use` on a fresh picture, and again on a newer one where GC took the files away under it. */
  async using<T>(use: (picture: RawPicture) => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries++) {
      const picture = await this.look();
      try {
        return await picture.using(async () => {
          // A crash in the middle of a move, or a writer in the middle of one, leaves the record in both queues (P10).
          if (picture.log.liveCount > 0) picture.leave(await this.#movedAway());
          return use(picture);
        });
      } catch (error) {
        if (tries >= RETRIES_MAX || !(await this.wasReplaced(picture, error))) {
          throw reported(error, `reading queue '${this.#place.queue}'`, {
            queue: this.#place.queue,
            path: this.#place.dir,
          });
        }
      }
    }
  }

  /** Whether what a read fell over is a file that has left the log: then the picture is stale, and nothing is wrong. */
  async wasReplaced(picture: RawPicture, error: unknown): Promise<boolean> {
    if (this.#stale === picture) return true;
    if (!isGone(error)) {
      const path = isCorrupt(error) ? error.details.path : undefined;
      if (path === undefined) return false;
      const { vfs, dir } = this.#place;
      if (isListed(await listQueueFiles(vfs, dir), dir, path)) return false;
    }
    this.#stale = picture;
    return true;
  }

  /** The queue as it is on disk now: everything that was written before the call is in it. */
  look(): Promise<RawPicture> {
    // A look that is under way may have passed by what the caller knows is there; the one after it has not begun.
    this.#nextLook ??= this.#lookAfter(this.#looking);
    return this.#nextLook;
  }

  async #lookAfter(before: Promise<RawPicture> | undefined): Promise<RawPicture> {
    await before?.catch(() => undefined);
    this.#looking = this.#nextLook;
    this.#nextLook = undefined;
    if (this.#closed) throw closedError(this.#place.queue);
    try {
      return await this.#refresh();
    } catch (error) {
      throw reported(error, `reading queue '${this.#place.queue}'`, {
        queue: this.#place.queue,
        path: this.#place.dir,
      });
    }
  }

  async #refresh(): Promise<RawPicture> {
    const { vfs, dir } = this.#place;
    const old = this.#picture;
    if (old !== undefined && old !== this.#stale && haveSameNames(old.files, await listQueueFiles(vfs, dir))) {
      try {
        if ((await old.using(() => old.follow())) === 'followed') return old;
      } catch (error) {
        if (!isGone(error)) throw error;
      }
    }
    const fresh = await RawPicture.load(this.#place);
    this.#picture = fresh;
    await old?.supersede();
    return fresh;
  }

  /** Resolves when reads under way are done and no file is open any more. Every look from now on rejects with EVAQ_CLOSED. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#nextLook?.catch(() => undefined);
    await this.#looking?.catch(() => undefined);
    const picture = this.#picture;
    this.#picture = undefined;
    await picture?.supersede();
  }
}

export function isCorrupt(error: unknown): error is EvaqError {
  return error instanceof EvaqError && error.code === 'EVAQ_CORRUPT';
}

export function closedError(what: string): EvaqError {
  return new EvaqError('EVAQ_CLOSED', `'${what}' is closed`, { hint: 'Open the store again to go on.' });
}
