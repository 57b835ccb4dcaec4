/** Looks at an open store: its numbers, and what is wrong with it. */
import { ANSWER_MS, freeBytesWithin } from '../queue/free-space.js';
import type { QueueStats } from '../queue/queue-stats.js';
import type { Host } from '../vfs/host.js';
import { holdsDeadLetters } from './dead-letters.js';
import type { DeliveryTotals } from './deliveries.js';
import { type Health, type HealthBounds, type HealthFacts, HealthTelling, judgeHealth } from './health.js';
import type { Store } from './store.js';
import type { StoreStats } from './store-stats.js';

export interface StoreHealthOptions {
  readonly store: Store;
  readonly host: Host;
  readonly queues: () => readonly QueueStats[];
  readonly deliveries: () => readonly DeliveryTotals[];
}

export class StoreHealth {
  readonly #options: StoreHealthOptions;
  readonly #telling: HealthTelling;

  constructor(options: StoreHealthOptions) {
    this.#options = options;
    const { store, host } = options;
    this.#telling = new HealthTelling(store.storeId);
    // Nobody may ask any more. Whoever threw the switch is in the middle of a step.
    store.failStop.onStop(() => host.soon(() => this.#telling.note(this.#judge(undefined, UNBOUNDED))));
  }

  stats(): StoreStats {
    const { store, queues, deliveries } = this.#options;
    return { storeId: store.storeId, path: store.path, queues: queues(), deliveries: deliveries() };
  }

  async health(bounds: HealthBounds): Promise<Health> {
    const { store, host } = this.#options;
    let freeBytes: number | undefined;
    try {
      freeBytes = await freeBytesWithin(store.vfs, host, store.path, ANSWER_MS);
    } catch {
      // That is a reason by itself.
    }
    const health = this.#judge(freeBytes, bounds);
    this.#telling.note(health);
    return health;
  }

  #judge(freeBytes: number | undefined, bounds: HealthBounds): Health {
    const { store, queues, deliveries } = this.#options;
    const facts: HealthFacts = {
      failure: store.failStop.error,
      damage: store.recovery.damage,
      queues: queues(),
      deliveries: deliveries(),
      freeBytes,
      holdsDeadLetters,
    };
    return judgeHealth(facts, bounds);
  }
}

const UNBOUNDED: HealthBounds = { minFreeBytes: 0, maxOldestAgeMs: Infinity };
