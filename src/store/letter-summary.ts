/**
 * Counts dead letters by reason and error code. Texts of reasons are anybody's, so there may be a kind for each letter: from some number of kinds on
 * new ones are counted together.
 */

import type { QueueRecord } from '../log/queue-record.js';
import { codeOfFailure, type DeadLetterGroup, type DeadLetterSummary, failureTimesOf } from '../queue/dead-letter.js';

const GROUPS_MAX = 1000;

interface Counted {
  readonly first: DeadLetterGroup;
  count: number;
  firstMs: number;
  lastMs: number;
}

export class LetterSummary {
  readonly #groups = new Map<string, Counted>();
  #total = 0;
  #ungrouped = 0;

  /** In ID order. `home`: the queue that the letter goes back to. */
  add(record: QueueRecord, home: string): void {
    this.#total++;
    const { reason, error, timestamp } = record;
    const code = codeOfFailure(error);
    const [firstMs, lastMs] = failureTimesOf(record) ?? [timestamp, timestamp];
    const key = JSON.stringify([reason, code]);
    const known = this.#groups.get(key);
    if (known !== undefined) {
      known.count++;
      known.firstMs = Math.min(known.firstMs, firstMs);
      known.lastMs = Math.max(known.lastMs, lastMs);
    } else if (this.#groups.size === GROUPS_MAX) {
      this.#ungrouped++;
    } else {
      const sample = {
        id: record.id,
        queue: home,
        ...(error?.name === undefined ? {} : { name: error.name }),
        ...(error === undefined ? {} : { message: error.message }),
      };
      const named = { ...(reason === undefined ? {} : { reason }), ...(code === undefined ? {} : { code }) };
      this.#groups.set(key, {
        first: { ...named, count: 1, firstMs, lastMs, sample },
        count: 1,
        firstMs,
        lastMs,
      });
    }
  }

  result(): DeadLetterSummary {
    const groups = [...this.#groups.values()]
      .sort((a, b) => b.count - a.count)
      .map(({ first, count, firstMs, lastMs }) => ({ ...first, count, firstMs, lastMs }));
    return { total: this.#total, groups, ungrouped: this.#ungrouped };
  }
}
