/**
 * What a handler is told beside its record, or records. The signal is made when it is asked for: most handlers never do, and a controller for each
 * costs more than all the rest.
 */
import type { Lease } from './lease.js';

/** Beside a record. */
export interface DeliveryContext {
  /** Aborted when the time is over, or a stop does not wait any longer; its reason says which. */
  readonly signal: AbortSignal;
  /** Which try this is, from 1 on. Those before a redrive count along. */
  readonly attempt: number;
  /** How often the process died with it in a handler. */
  readonly crashes: number;
  /** `storeId:queue:id` of where the record was pushed: the same at every try, also after moves. The idempotency key for the far side. */
  readonly deliveryId: string;
  readonly queue: string;
}

/** Beside a batch. */
export interface BatchContext {
  readonly signal: AbortSignal;
  readonly queue: string;
  /** Of one of its records, as in `DeliveryContext`. @throws RangeError for an ID that is not in the batch */
  readonly attempt: (id: number) => number;
  readonly deliveryId: (id: number) => string;
  /** This one has arrived, whatever becomes of the others. The first word on a record counts. */
  readonly ack: (id: number) => void;
  /** This one has failed, whatever becomes of the others. */
  readonly fail: (id: number, error: unknown) => void;
}

/** What a batch came to; a record that is not named has been delivered. */
export interface BatchResult {
  readonly failed: readonly { readonly id: number; readonly error: unknown }[];
}

/** The signal of a handler, made when it is asked for. */
export class HandlerSignal {
  #controller: AbortController | undefined;
  #reason: { readonly reason: unknown } | undefined;

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason.reason);
    }
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#reason ??= { reason };
    this.#controller?.abort(reason);
  }
}

export interface Addressing {
  readonly storeId: string;
  readonly queue: string;
}

export function deliveryIdOf({ storeId, queue }: Addressing, { record }: Pick<Lease, 'record'>): string {
  const { identity } = record;
  return identity === undefined ? `${storeId}:${queue}:${record.id}` : `${storeId}:${identity.queue}:${identity.id}`;
}

/** The first try is the first, also of a record that failed in a life before. */
export function attemptOf({ record, attempts }: Lease): number {
  return (record.attempts ?? 0) + attempts + 1;
}

export class SingleContext implements DeliveryContext {
  readonly #address: Addressing;
  readonly #lease: Lease;
  readonly #signal: HandlerSignal;

  constructor(address: Addressing, lease: Lease, signal: HandlerSignal) {
    this.#address = address;
    this.#lease = lease;
    this.#signal = signal;
  }

  get signal(): AbortSignal {
    return this.#signal.signal;
  }

  get attempt(): number {
    return attemptOf(this.#lease);
  }

  get crashes(): number {
    return this.#lease.crashes;
  }

  get deliveryId(): string {
    return deliveryIdOf(this.#address, this.#lease);
  }

  get queue(): string {
    return this.#address.queue;
  }
}

export type Word = { readonly kind: 'delivered' } | { readonly kind: 'failed'; readonly error: unknown };

const DELIVERED: Word = { kind: 'delivered' };

export class ManyContext implements BatchContext {
  readonly #address: Addressing;
  readonly #leases: readonly Lease[];
  /** Made when one is asked for. */
  #byId: ReadonlyMap<number, Lease> | undefined;
  readonly #signal: HandlerSignal;
  /** What was said of single records. */
  readonly words: Map<number, Word> = new Map();

  constructor(address: Addressing, leases: readonly Lease[], signal: HandlerSignal) {
    this.#address = address;
    this.#leases = leases;
    this.#signal = signal;
  }

  get signal(): AbortSignal {
    return this.#signal.signal;
  }

  get queue(): string {
    return this.#address.queue;
  }

  readonly attempt = (id: number): number => attemptOf(this.#lease(id));

  readonly deliveryId = (id: number): string => deliveryIdOf(this.#address, this.#lease(id));

  readonly ack = (id: number): void => this.#say(id, DELIVERED);

  readonly fail = (id: number, error: unknown): void => this.#say(id, { kind: 'failed', error });

  #say(id: number, word: Word): void {
    this.#lease(id);
    if (!this.words.has(id)) this.words.set(id, word);
  }

  #lease(id: number): Lease {
    this.#byId ??= new Map(this.#leases.map((one) => [one.id, one]));
    const lease = this.#byId.get(id);
    if (lease === undefined) throw new RangeError(`record ${id} is not in this batch`);
    return lease;
  }
}
