/**
 * Options of a store, resolved once at the door.
 */
import { describe } from '../ids.js';
import {
  DEFAULT_QUEUE_OPTIONS,
  type QueueOptions,
  type ResolvedQueueOptions,
  resolveQueueOptions,
} from '../queue/queue-options.js';
import type { Host } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';
import type { RecoveryProgress } from './open-store.js';

/** The machine to run on. `evaq/sim` has a simulated one. */
export interface Ports {
  readonly vfs: Vfs;
  readonly host: Host;
}

/** Options of `Evaq.open`; those of queues are defaults for all of its queues. */
export interface EvaqOptions extends QueueOptions {
  /**
   * What to do about damage that no crash explains. `'fail'` (the default): `open` rejects with EVAQ_CORRUPT and changes nothing, reading rejects at a
   * damaged record. `'quarantine'`: what is damaged is kept aside and reported (`recovery.damage`, `stats().damage`), the intact rest is served.
   */
  readonly onCorruption?: 'fail' | 'quarantine';
  /** Make the store if there is none. Default true. */
  readonly create?: boolean;
  /** Told now and then during a long recovery. */
  readonly onProgress?: (progress: RecoveryProgress) => void;
  /** File system and host; default the real ones. */
  readonly ports?: Ports;
}

export interface ResolvedEvaqOptions {
  readonly onCorruption: 'fail' | 'quarantine';
  readonly create: boolean;
  readonly onProgress: ((progress: RecoveryProgress) => void) | undefined;
  readonly queueDefaults: ResolvedQueueOptions;
}

export function resolveEvaqOptions(options: EvaqOptions): ResolvedEvaqOptions {
  if (typeof options !== 'object' || options === null)
    throw new TypeError(`options must be an object, got ${describe(options)}`);
  const onCorruption: unknown = options.onCorruption ?? 'fail';
  if (onCorruption !== 'fail' && onCorruption !== 'quarantine') {
    throw new TypeError(`onCorruption must be 'fail' or 'quarantine', got ${describe(onCorruption)}`);
  }
  const create: unknown = options.create ?? true;
  if (typeof create !== 'boolean') throw new TypeError(`create must be a boolean, got ${describe(create)}`);
  return {
    onCorruption,
    create,
    onProgress: options.onProgress,
    queueDefaults: resolveQueueOptions(options, DEFAULT_QUEUE_OPTIONS),
  };
}
