/**
 * What the processes of the drill tell each other, over the channel that Node gives a child process. A message that was sent
 * reaches its receiver though the sender is killed right after; one that was not yet sent never happened.
 */
import type { RecoveryReport } from '../../evaq.js';

/** To the application. Its first message. */
export interface ApplicationStart {
  readonly kind: 'start';
  readonly store: string;
  readonly input: string;
  /** Lines of the input that count. */
  readonly lines: number;
  readonly linesPerSecond: number;
  readonly port: number;
  readonly seed: number;
}

/** To the destination. Its first message. */
export interface DestinationStart {
  readonly kind: 'start';
  readonly seed: number;
}

/** `stop`: close the store and end. `report`: say what was accepted. */
export type ToApplication = ApplicationStart | { readonly kind: 'stop' };
export type ToDestination = DestinationStart | { readonly kind: 'report' };

export type FromApplication =
  /** The store is about to be opened. */
  | { readonly kind: 'opening' }
  | { readonly kind: 'ready'; readonly recovery: RecoveryReport }
  /** The pushes of these lines are about to be called. */
  | { readonly kind: 'pushing'; readonly from: number; readonly to: number }
  /** All lines up to this one have come in: their pushes have resolved, or the checkpoint says so. */
  | { readonly kind: 'acknowledged'; readonly to: number }
  /** A request is about to be made. */
  | { readonly kind: 'sending'; readonly records: number; readonly again: boolean }
  /** Records were removed from the WAL queue, or as dead letters that are done. */
  | { readonly kind: 'removed'; readonly records: number; readonly deadLetters: boolean }
  | { readonly kind: 'deadLettered'; readonly records: number }
  /** The input is at its end and both queues are empty. */
  | { readonly kind: 'drained' };

export type FromDestination =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'down' }
  | { readonly kind: 'up' }
  /** Different lines accepted so far. */
  | { readonly kind: 'progress'; readonly lines: number }
  /** Line, times accepted, checksum of its text; and so on. */
  | { readonly kind: 'accepted'; readonly entries: readonly number[]; readonly isLast: boolean };

const FROM_APPLICATION: ReadonlySet<unknown> = new Set<FromApplication['kind']>([
  'opening',
  'ready',
  'pushing',
  'acknowledged',
  'sending',
  'removed',
  'deadLettered',
  'drained',
]);
const FROM_DESTINATION: ReadonlySet<unknown> = new Set<FromDestination['kind']>([
  'listening',
  'down',
  'up',
  'progress',
  'accepted',
]);
const TO_CHILD: ReadonlySet<unknown> = new Set<(ToApplication | ToDestination)['kind']>(['start', 'stop', 'report']);

// Both ends are this program in this version: the kind tells the shape.
export function isFromApplication(value: unknown): value is FromApplication {
  return FROM_APPLICATION.has(kindOf(value));
}

export function isFromDestination(value: unknown): value is FromDestination {
  return FROM_DESTINATION.has(kindOf(value));
}

export function isToApplication(value: unknown): value is ToApplication {
  return TO_CHILD.has(kindOf(value));
}

export function isToDestination(value: unknown): value is ToDestination {
  return TO_CHILD.has(kindOf(value));
}

function kindOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'kind' in value ? value.kind : undefined;
}
