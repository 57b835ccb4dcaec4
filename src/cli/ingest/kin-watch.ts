/**
 * Tells the files that were rotated away from logs beside them that only have such a name: what was rotated away is not written to any more, soon.
 */
import type { Seen } from './rotation.js';

interface Watched {
  readonly sinceMs: number;
  writtenMs: number;
  /** Of a clock that never goes back, as `sinceMs`. */
  restingSinceMs: number;
}

/** Of `leaveMs`: what is written to after so many is a log of its own. */
const PATIENCE = 3;

export class KinWatch {
  readonly #leaveMs: number;
  readonly #warn: (text: string) => void;
  readonly #watched: Map<string, Watched> = new Map();
  readonly #foreign: Set<string> = new Set();

  constructor(leaveMs: number, warn: (text: string) => void) {
    this.#leaveMs = leaveMs;
    this.#warn = warn;
  }

  /** To be asked again while it says 'busy', which it does for `3 * leaveMs` at most. */
  judge({ name, inode, writtenMs }: Seen, nowMs: number = performance.now()): 'at-rest' | 'busy' | 'foreign' {
    if (this.#foreign.has(inode)) return 'foreign';
    if (Date.now() - writtenMs >= this.#leaveMs) return 'at-rest';
    const watched = this.#watched.get(inode) ?? { sinceMs: nowMs, writtenMs, restingSinceMs: nowMs };
    this.#watched.set(inode, watched);
    if (watched.writtenMs !== writtenMs) {
      watched.writtenMs = writtenMs;
      watched.restingSinceMs = nowMs;
    }
    // A clock that is wrong holds nothing up.
    if (nowMs - watched.restingSinceMs >= this.#leaveMs) return 'at-rest';
    if (nowMs - watched.sinceMs < PATIENCE * this.#leaveMs) return 'busy';
    this.#warn(`${name} is written to still: it is taken for a log of its own, and not read`);
    this.#foreign.add(inode);
    return 'foreign';
  }
}
