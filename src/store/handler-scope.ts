/**
 * Which records the code now running delivers: a handler may pop or move its own record, and must not wait for itself. What a handler left running has
 * none any more when it has ended.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

interface Held {
  readonly id: number;
  /** Its lease has ended. */
  readonly isOver: boolean;
}

interface Scope {
  /** Whose handler it is: of which store. */
  readonly owner: HandlerScope;
  readonly queue: string;
  readonly leases: readonly Held[];
}

/** One for all stores: each of them has its price at every turn of a program. */
const storage = new AsyncLocalStorage<Scope>();

export class HandlerScope {
  run<T>(queue: string, leases: readonly Held[], body: () => T): T {
    return storage.run({ owner: this, queue, leases }, body);
  }

  owns(queue: string, id: number): boolean {
    const scope = storage.getStore();
    if (scope === undefined || scope.owner !== this || scope.queue !== queue) return false;
    return scope.leases.some((lease) => lease.id === id && !lease.isOver);
  }
}
