/**
 * What may be in a store after its process was killed, told from what the process said before: an intent before each
 * call, an acknowledgement after its promise resolved. Dumber than the engine: sets of IDs, no files, no order of writes.
 *
 * What was acknowledged is certain. What was only intended goes either way, wholly, and is certain from the moment an
 * open has shown it.
 */

export type QueueName = 'wal' | 'dead-letters';

/** What an open has shown of a queue: its live records as (ID, key), in the order read, and the next ID. */
export interface QueueView {
  readonly live: readonly (readonly [id: number, key: number])[];
  readonly nextId: number;
}

/** What the process says, one JSON line each. */
export type CrashEvent =
  | { readonly event: 'opening' }
  | { readonly event: 'shown'; readonly views: Readonly<Record<QueueName, QueueView>> }
  | { readonly event: 'push'; readonly keys: readonly number[]; readonly atomic: boolean }
  | { readonly event: 'pushed'; readonly keys: readonly number[]; readonly firstId: number }
  | { readonly event: 'remove'; readonly queue: QueueName; readonly ids: readonly number[] }
  | { readonly event: 'removed'; readonly queue: QueueName; readonly ids: readonly number[] }
  | { readonly event: 'move'; readonly id: number }
  | { readonly event: 'moved'; readonly id: number; readonly newId: number };

class QueueModel {
  /** Certain to be live, unless a removal or move of it was intended. */
  readonly live: Map<number, number> = new Map();
  /** IDs that a call resolved with or an open has shown, at any time. */
  readonly seen: Set<number> = new Set();
  /** The highest of them. */
  top = 0;
  /** `top` when an open last showed the queue: the IDs given since are above it. */
  topShown = 0;
  /** Removals that were intended: each goes as a whole. */
  removals: (readonly number[])[] = [];

  add(id: number, key: number): void {
    if (this.seen.has(id)) throw new Error(`P8: ID ${id} was given twice`);
    if (id <= this.topShown) throw new Error(`P8: ID ${id} was given after ID ${this.topShown}`);
    this.seen.add(id);
    this.top = Math.max(this.top, id);
    this.live.set(id, key);
  }

  take(id: number): number {
    const key = this.live.get(id);
    if (key === undefined) throw new Error(`the test removed ID ${id}, which is not live`);
    this.live.delete(id);
    return key;
  }
}

export class CrashModel {
  readonly #queues: Readonly<Record<QueueName, QueueModel>> = {
    wal: new QueueModel(),
    'dead-letters': new QueueModel(),
  };
  /** Batches of keys whose push was intended and not acknowledged. */
  #pushes: (readonly number[])[] = [];
  /** IDs in the WAL queue whose move was intended and not acknowledged. */
  readonly #moves = new Set<number>();
  /** What was counted on the way, to see that a run tested something. */
  readonly counts: Record<string, number> = {
    pushesAcknowledged: 0,
    removalsAcknowledged: 0,
    movesAcknowledged: 0,
    pushesFound: 0,
    pushesGone: 0,
    removalsFound: 0,
    removalsGone: 0,
    movesFound: 0,
    movesGone: 0,
  };

  get liveCount(): number {
    return this.#queues.wal.live.size + this.#queues['dead-letters'].live.size;
  }

  /** Takes note of what the process said. Throws where it contradicts what was certain. */
  apply(event: CrashEvent): void {
    switch (event.event) {
      case 'opening':
        return;
      case 'shown':
        this.check(event.views);
        return;
      case 'push':
        // Single pushes that were started together are independent of each other.
        this.#pushes.push(...(event.atomic ? [event.keys] : event.keys.map((key) => [key])));
        return;
      case 'pushed': {
        const keys = new Set(event.keys);
        this.#pushes = this.#pushes.filter((batch) => !batch.some((key) => keys.has(key)));
        for (const [i, key] of event.keys.entries()) this.#queues.wal.add(event.firstId + i, key);
        this.#count('pushesAcknowledged', event.keys.length);
        return;
      }
      case 'remove':
        this.#queues[event.queue].removals.push(event.ids);
        return;
      case 'removed': {
        const queue = this.#queues[event.queue];
        queue.removals = queue.removals.filter((ids) => ids[0] !== event.ids[0]);
        for (const id of event.ids) queue.take(id);
        this.#count('removalsAcknowledged', event.ids.length);
        return;
      }
      case 'move':
        this.#moves.add(event.id);
        return;
      case 'moved':
        this.#moves.delete(event.id);
        this.#queues['dead-letters'].add(event.newId, this.#queues.wal.take(event.id));
        this.#count('movesAcknowledged', 1);
        return;
    }
  }

  /** Compares with what an open has shown, and takes that as certain from now on. */
  check(views: Readonly<Record<QueueName, QueueView>>): void {
    const shown = { wal: shownOf('wal', views.wal), 'dead-letters': shownOf('dead-letters', views['dead-letters']) };
    this.#settleMoves(shown);
    this.#settleRemovals('wal', shown.wal);
    this.#settleRemovals('dead-letters', shown['dead-letters']);
    this.#settlePushes(shown.wal);
    for (const name of ['wal', 'dead-letters'] as const) {
      const queue = this.#queues[name];
      for (const [id, key] of queue.live) {
        const found = shown[name].get(id);
        if (found === undefined) throw new Error(`P1: ${name} lost ID ${id} (key ${key}), which was acknowledged`);
        if (found !== key)
          throw new Error(`P3: ${name} holds key ${found} under ID ${id}, where key ${key} was pushed`);
      }
      for (const [id, key] of shown[name]) {
        if (queue.live.has(id)) continue;
        if (queue.seen.has(id)) throw new Error(`P2: ID ${id} (key ${key}) was removed from ${name} and is back`);
        throw new Error(`P3: ID ${id} (key ${key}) in ${name} was never pushed`);
      }
      if (views[name].nextId <= queue.top) {
        throw new Error(`P8: the next ID of ${name} is ${views[name].nextId}, and ${queue.top} was given`);
      }
      queue.topShown = queue.top;
    }
  }

  /** P10: a move that was not acknowledged has happened or has not. */
  #settleMoves(shown: Readonly<Record<QueueName, ReadonlyMap<number, number>>>): void {
    const { wal, 'dead-letters': dead } = this.#queues;
    const arrived = new Map<number, number>();
    for (const [id, key] of shown['dead-letters']) if (!dead.live.has(id)) arrived.set(key, id);
    for (const id of this.#moves) {
      const key = wal.live.get(id);
      if (key === undefined) throw new Error(`the test moved ID ${id}, which is not live`);
      const newId = arrived.get(key);
      if (newId === undefined) {
        this.#count('movesGone', 1);
        continue;
      }
      if (shown.wal.has(id)) throw new Error(`P10: key ${key} is in both queues, as IDs ${id} and ${newId}`);
      wal.take(id);
      dead.add(newId, key);
      this.#count('movesFound', 1);
    }
    this.#moves.clear();
  }

  #settleRemovals(name: QueueName, shown: ReadonlyMap<number, number>): void {
    const queue = this.#queues[name];
    for (const ids of queue.removals) {
      const left = ids.filter((id) => shown.has(id)).length;
      if (left !== 0 && left !== ids.length) {
        throw new Error(`P4: of one removal of ${ids.length} IDs from ${name}, ${left} are still live`);
      }
      if (left === 0) for (const id of ids) queue.take(id);
      this.#count(left === 0 ? 'removalsFound' : 'removalsGone', 1);
    }
    queue.removals = [];
  }

  #settlePushes(shown: ReadonlyMap<number, number>): void {
    const wal = this.#queues.wal;
    const arrived = new Map<number, number>();
    for (const [id, key] of shown) if (!wal.live.has(id)) arrived.set(key, id);
    for (const batch of this.#pushes) {
      const ids: number[] = [];
      for (const key of batch) {
        const id = arrived.get(key);
        if (id !== undefined) ids.push(id);
      }
      if (ids.length !== 0 && ids.length !== batch.length) {
        throw new Error(`P4: of one pushMany of ${batch.length} records ${ids.length} are there`);
      }
      this.#count(ids.length === 0 ? 'pushesGone' : 'pushesFound', 1);
      for (const [i, id] of ids.entries()) {
        const key = batch[i];
        const first = ids[0];
        if (key === undefined || first === undefined) continue;
        if (id !== first + i) throw new Error(`P4: the IDs of one pushMany are not consecutive: ${ids.join(' ')}`);
        wal.add(id, key);
      }
    }
    this.#pushes = [];
  }

  #count(what: string, by: number): void {
    this.counts[what] = (this.counts[what] ?? 0) + by;
  }
}

function shownOf(name: QueueName, view: QueueView): Map<number, number> {
  const shown = new Map<number, number>();
  let last = 0;
  for (const [id, key] of view.live) {
    if (id <= last) throw new Error(`P3: ${name} gave ID ${id} after ID ${last}`);
    last = id;
    shown.set(id, key);
  }
  return shown;
}
