/** `evaq:damage`: what is told of damage, when it is met. */
import { Telling } from '../tracing.js';
import type { Host } from '../vfs/host.js';
import type { Damage } from './damage.js';

/** A message of the channel `evaq:damage`. */
export interface DamageEvent {
  /** `evaq.storeId`. */
  readonly storeId: string;
  /** Empty where it is not a queue's. */
  readonly queue: string;
  readonly damage: Damage;
}

const DAMAGE: Telling<DamageEvent> = new Telling('evaq:damage');

/** Told at the end of this turn: whoever met it is in the middle of a step. */
export function tellDamage(host: Host, storeId: string, damage: Damage): void {
  if (DAMAGE.isObserved) host.soon(() => DAMAGE.tell({ storeId, queue: damage.queue, damage }));
}
