/**
 * How much of the file system is free, for a store that leaves others some (`minFreeBytes`). It is looked at now and then, not at every push: between two
 * looks what was accepted is taken off. What is under way at a look counts twice or not at all.
 *
 * A look is one call of the file system; there is one at a time: a second after the last, or after so many bytes, while anybody pushes; and while there
 * is too little, a quarter of a second after the last.
 */
import type { Host } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';

const LOOK_MS = 1000;
const LOOK_BYTES = 16 * 1024 * 1024;
/** While there is too little. */
const LOW_LOOK_MS = 250;

/** A file system that does not answer by then does not tell: a volume that is gone may hang for ever. */
export const ANSWER_MS = 5000;

export interface FreeSpaceOptions {
  readonly vfs: Pick<Vfs, 'freeBytes'>;
  readonly host: Pick<Host, 'elapsed' | 'after'>;
  readonly path: string;
  readonly minFreeBytes: number;
}

export class FreeSpace {
  readonly #options: FreeSpaceOptions;
  #free = Infinity;
  #acceptedBytes = 0;
  #lookedAt = -Infinity;
  #looking: Promise<void> | undefined;
  #wakes = new Set<() => void>();
  #cancel: (() => void) | undefined;
  #isClosed = false;

  constructor(options: FreeSpaceOptions) {
    this.#options = options;
  }

  get minFreeBytes(): number {
    return this.#options.minFreeBytes;
  }

  /** As of the last look, less what was accepted since. Infinity where it cannot be told. */
  get freeBytes(): number {
    return Math.max(0, this.#free - this.#acceptedBytes);
  }

  /** Whether so many bytes may be pushed. 'unknown': it is being looked at, and `whenLooked` tells. */
  judge(bytes: number): 'enough' | 'low' | 'unknown' {
    const { host, minFreeBytes } = this.#options;
    const sinceMs = host.elapsed() - this.#lookedAt;
    if (this.#free - this.#acceptedBytes - bytes >= minFreeBytes) {
      if (sinceMs >= LOOK_MS || this.#acceptedBytes >= LOOK_BYTES) void this.look();
      return 'enough';
    }
    if (this.#looking === undefined && sinceMs < LOW_LOOK_MS && this.#free - bytes < minFreeBytes) return 'low';
    void this.look();
    return 'unknown';
  }

  accepted(bytes: number): void {
    this.#acceptedBytes += bytes;
  }

  /** Never rejects: where it cannot be looked at, nothing is refused for it. */
  look(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#looking ??= this.#look();
    return this.#looking;
  }

  /** Calls `wake` once, after the next look, which comes by itself. */
  whenLooked(wake: () => void): void {
    this.#wakes.add(wake);
    if (this.#looking !== undefined || this.#cancel !== undefined || this.#isClosed) return;
    this.#cancel = this.#options.host.after(LOW_LOOK_MS, () => {
      this.#cancel = undefined;
      void this.look();
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
    this.#wakes.clear();
  }

  async #look(): Promise<void> {
    const { vfs, host, path } = this.#options;
    const before = this.#acceptedBytes;
    try {
      this.#free = await freeBytesWithin(vfs, host, path, ANSWER_MS);
    } catch {
      this.#free = Infinity;
    }
    this.#acceptedBytes -= before;
    this.#lookedAt = host.elapsed();
    this.#looking = undefined;
    const wakes = [...this.#wakes];
    this.#wakes.clear();
    for (const wake of wakes) wake();
  }
}

/** As `Vfs.freeBytes`; rejects where there is no answer in time (P14). */
export async function freeBytesWithin(
  vfs: Pick<Vfs, 'freeBytes'>,
  host: Pick<Host, 'after'>,
  path: string,
  ms: number,
): Promise<number> {
  let cancel: () => void = () => undefined;
  const late = new Promise<never>((_, reject) => {
    cancel = host.after(ms, () => reject(new Error('the file system does not answer')));
  });
  try {
    return await Promise.race([vfs.freeBytes(path), late]);
  } finally {
    cancel();
  }
}
