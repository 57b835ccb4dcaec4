/**
 * How many descriptors are open at a time, whatever the number of stores, queues and segments: one number for all that is opened through the
 * same file system, which is the process, or its thread.
 *
 * Who opens a file takes a slot first, and waits for one where all are taken. Files that nobody is using at the moment are closed to make room, the
 * least recently used first; those with writes that are not synced only when there is no other, since they have to be synced before: an error
 * that comes after a close is told to nobody. Nobody who holds a slot waits for another one, so that every wait ends.
 *
 * What blocks the thread cannot wait. Some slots are kept free for it.
 */
import { assert } from '../assert.js';
import { requireCount } from '../ids.js';

/** The bound where none is given. */
export const DESCRIPTORS_MAX = 256;
/** With fewer nothing would get anywhere. */
const DESCRIPTORS_MIN = 16;
/** A blocking write to a file that rests: the file, and the descriptor of its own that the write goes through. */
const BLOCKING_SLOTS = 2;
/** However many slots locks have taken. */
const WORKING_SLOTS = 4;
/** Folders that are open for the time of one call: as many as the thread pool makes calls at a time. */
const PASSING_SLOTS = 4;
/** Those of the files LOCK and STORE and of the folder, and one for a STORE that is mended. */
const LOCK_SLOTS = 4;
/** After the system refused: this part of what is open at rest is given back at once. */
const GIVEN_BACK = 1 / 4;
/** So often is an opening tried again that the system refuses. */
const TRIES_MAX = 8;
/** And so often it waits for one that is in use to come to rest. */
const WAITS_MAX = 64;

const EMFILE = 24;
const ENFILE = 23;

/** The option of that name. @throws a TypeError or RangeError */
export function descriptorsOf(descriptorsMax: unknown): number {
  const max = descriptorsMax ?? DESCRIPTORS_MAX;
  requireCount(max, 'descriptorsMax', DESCRIPTORS_MIN);
  return max;
}

/** A file with a descriptor that may be closed, and opened again when it is needed. */
export interface RestingFile {
  /** Nobody uses the descriptor, and the file will be found again by its name. */
  readonly mayRest: boolean;
  /** A call on the descriptor is under way, which waits for nothing else. */
  readonly isUsed: boolean;
  /** Something was written and is not synced. */
  readonly isDirty: boolean;
  /** When it was used last, on the clock of `tick`. */
  readonly usedAt: number;
  /** Syncs what has to be, and closes the descriptor if nobody came to use it meanwhile. Never rejects. */
  rest(): Promise<void>;
  /** Closes the descriptor, which is at rest and clean, before it returns. False where that cannot be done. */
  restBlocking(): boolean;
}

export class DescriptorBudget {
  /** What those who use it ask for: the largest counts. */
  readonly #bounds = new Set<{ readonly max: number }>();
  /** Those that have a descriptor. */
  readonly #files = new Set<RestingFile>();
  readonly #waiting: (() => void)[] = [];
  /** Have a slot, and no descriptor for it. */
  readonly #wanting: (() => void)[] = [];
  /** Below the bound once the system had no more. */
  #granted = Infinity;
  #taken = 0;
  /** There are for what can wait. */
  #slots = DESCRIPTORS_MAX - BLOCKING_SLOTS - PASSING_SLOTS;
  #locks = 0;
  /** Files that are being closed to make room. */
  readonly #rests = new Set<Promise<void>>();
  #clock = 0;
  #passing = 0;
  readonly #toPass: (() => void)[] = [];

  /** Somebody uses the budget, with this bound, until the result is called. */
  join(max: number): () => void {
    const bound = { max };
    this.#bounds.add(bound);
    this.#recount();
    return () => {
      this.#bounds.delete(bound);
      if (this.#bounds.size === 0) this.#granted = Infinity;
      this.#recount();
    };
  }

  /** Slots that are taken. */
  get taken(): number {
    return this.#taken;
  }

  get tick(): number {
    return ++this.#clock;
  }

  /** Resolves when the caller has a slot; `undefined`: it has one already. */
  take(): Promise<void> | undefined {
    if (this.#waiting.length === 0 && this.#taken < this.#slots) {
      this.#taken++;
      return undefined;
    }
    const taken = new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#clear();
    return taken;
  }

  /** Gives a slot back. */
  give(): void {
    assert(this.#taken > 0, 'a slot is given back as often as it was taken');
    this.#taken--;
    this.#grant();
  }

  /** Those of a lock are never closed to make room. Nobody waits for them. */
  takeForLock(): () => void {
    this.#taken += LOCK_SLOTS;
    this.#locks += LOCK_SLOTS;
    this.#recount();
    return () => {
      this.#locks -= LOCK_SLOTS;
      this.#taken -= LOCK_SLOTS;
      this.#recount();
    };
  }

  /** Runs a call for the time of which a folder is open, beside whatever the caller has. Those who are in it wait for no slot, so that it ends. */
  async passing<T>(call: () => Promise<T>): Promise<T> {
    if (this.#passing === PASSING_SLOTS) await new Promise<void>((resolve) => this.#toPass.push(resolve));
    else this.#passing++;
    try {
      return await call();
    } finally {
      const next = this.#toPass.shift();
      if (next === undefined) this.#passing--;
      else next();
    }
  }

  add(file: RestingFile): void {
    this.#files.add(file);
  }

  delete(file: RestingFile): void {
    this.#files.delete(file);
    this.#wake();
  }

  /** No call on a file is under way any more: it may have come to rest. */
  noteRest(): void {
    this.#wake();
    if (this.#waiting.length > this.#rests.size || this.#taken > this.#slots) this.#clear();
  }

  /** Opens something, for which the caller has a slot. Where the system has no descriptor left, what is at rest is given back, and it is tried again. */
  async opening<T>(open: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await open();
      } catch (error) {
        if (!isOutOfDescriptors(error) || tries === TRIES_MAX || !(await this.#giveBack())) throw error;
      }
    }
  }

  /** The same for what blocks the thread, in the slots that are kept free for it. `mayRetry`: nothing was done yet. */
  openingBlocking<T>(open: () => T, mayRetry: () => boolean = () => true): T {
    for (let tries = 1; ; tries++) {
      try {
        return open();
      } catch (error) {
        if (!isOutOfDescriptors(error) || tries === TRIES_MAX || !mayRetry() || !this.#giveBackBlocking()) throw error;
      }
    }
  }

  #recount(): void {
    let max = this.#bounds.size === 0 ? DESCRIPTORS_MAX : 0;
    for (const bound of this.#bounds) max = Math.max(max, bound.max);
    this.#slots = Math.max(Math.min(max, this.#granted) - BLOCKING_SLOTS - PASSING_SLOTS, this.#locks + WORKING_SLOTS);
    this.#grant();
  }

  #grant(): void {
    while (this.#waiting.length > 0 && this.#taken < this.#slots) {
      this.#taken++;
      this.#waiting.shift()?.();
    }
    this.#clear();
  }

  /** Makes room for those who wait, and for what is above the bound. */
  #clear(): void {
    while (this.#rests.size < this.#waiting.length + Math.max(0, this.#taken - this.#slots)) {
      const file = this.#leastRecent();
      if (file === undefined) return;
      this.#rest(file);
    }
  }

  /** The slot comes back with the descriptor. */
  #rest(file: RestingFile): void {
    const rest = file.rest().finally(() => {
      this.#rests.delete(rest);
      this.#clear();
    });
    this.#rests.add(rest);
  }

  /** The system has no more. What is in use comes to rest soon. False: nothing is. */
  async #giveBack(): Promise<boolean> {
    this.#holdLess();
    for (let waits = 0; waits < WAITS_MAX; waits++) {
      if (this.#rests.size === 0) for (const file of this.#dispensable()) this.#rest(file);
      const rests = [...this.#rests];
      await Promise.all(rests);
      if (rests.length > 0) return true;
      if (![...this.#files].some(({ isUsed }) => isUsed)) return false;
      await new Promise<void>((resolve) => this.#wanting.push(resolve));
    }
    return false;
  }

  #wake(): void {
    if (this.#wanting.length > 0) for (const wake of this.#wanting.splice(0)) wake();
  }

  #giveBackBlocking(): boolean {
    let given = 0;
    for (const file of this.#dispensable()) if (!file.isDirty && file.restBlocking()) given++;
    this.#holdLess();
    return given > 0;
  }

  #dispensable(): RestingFile[] {
    const count = Math.max(1, Math.floor(this.#taken * GIVEN_BACK));
    return [...this.#files]
      .filter(({ mayRest }) => mayRest)
      .sort(byUse)
      .slice(0, count);
  }

  /** From now on less is held than there was when the system refused, so that the rest of the program finds some, too. */
  #holdLess(): void {
    const count = Math.max(1, Math.floor(this.#taken * GIVEN_BACK));
    this.#granted = this.#taken - count + BLOCKING_SLOTS + PASSING_SLOTS;
    this.#recount();
  }

  #leastRecent(): RestingFile | undefined {
    let found: RestingFile | undefined;
    for (const file of this.#files) if (file.mayRest && (found === undefined || byUse(file, found) < 0)) found = file;
    return found;
  }
}

/** Those that cost no sync first. */
function byUse(a: RestingFile, b: RestingFile): number {
  return Number(a.isDirty) - Number(b.isDirty) || a.usedAt - b.usedAt;
}

function isOutOfDescriptors(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('errno' in error) || typeof error.errno !== 'number')
    return false;
  const { errno } = error;
  return (
    Math.abs(errno) === EMFILE ||
    Math.abs(errno) === ENFILE ||
    ('code' in error && (error.code === 'EMFILE' || error.code === 'ENFILE'))
  );
}
