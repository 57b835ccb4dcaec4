/**
 * Gives descriptors back that nobody has used for a while: those of a reader, which hears of no file that its writer deletes, and whose space is
 * free only when nobody has it open any more.
 */
import type { RestingFile } from './descriptor-budget.js';
import type { Host } from './host.js';

/** What was not used between two looks is closed: after twice as long at the latest. */
const LOOK_MS = 1000;

export class DescriptorRest {
  readonly #after: Host['after'];
  readonly #tick: () => number;
  /** Those that have a descriptor. */
  readonly #files = new Set<RestingFile>();
  #cancel: (() => void) | undefined;
  #lookedAt = 0;

  /** `tick` is the clock of `RestingFile.usedAt`. The timer holds no process. */
  constructor(after: Host['after'], tick: () => number) {
    this.#after = after;
    this.#tick = tick;
  }

  opened(file: RestingFile): void {
    this.#files.add(file);
    this.#schedule();
  }

  closed(file: RestingFile): void {
    this.#files.delete(file);
    if (this.#files.size > 0) return;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #schedule(): void {
    if (this.#files.size === 0) return;
    this.#cancel ??= this.#after(LOOK_MS, () => {
      this.#cancel = undefined;
      for (const file of this.#files) if (file.mayRest && file.usedAt <= this.#lookedAt) void file.rest();
      this.#lookedAt = this.#tick();
      this.#schedule();
    });
  }
}
