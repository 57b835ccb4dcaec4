/**
 * Options of a store, resolved once at the door.
 */
import { optionNames, requireFunction, requireOptions, requirePorts, requireSignal } from '../arguments.js';
import { describe, requireCount } from '../ids.js';
import {
  DEFAULT_QUEUE_OPTIONS,
  QUEUE_OPTION_NAMES,
  type QueueOptions,
  type ResolvedQueueOptions,
  resolveQueueOptions,
} from '../queue/queue-options.js';
import { descriptorsOf } from '../vfs/descriptor-budget.js';
import type { Host } from '../vfs/host.js';
import { MODE_DEFAULT, MODE_MAX } from '../vfs/node-access.js';
import type { Vfs } from '../vfs/vfs.js';
import type { RecoveryProgress } from './recovery-report.js';

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
  /**
   * How many descriptors evaq keeps open in this process (or worker thread) at most, for all of its stores, whatever the number of queues and
   * segments. Where stores are opened with different numbers, the largest counts. At least 16; default 256.
   */
  readonly descriptorsMax?: number;
  /** Make the store if there is none. Default true. */
  readonly create?: boolean;
  /**
   * How long to wait for another process to let go of the store, in milliseconds; default 0 = reject with EVAQ_LOCKED at once. For rolling restarts.
   */
  readonly lockTimeoutMs?: number;
  /**
   * Who may use the files of the store beside their owner, as an octal number: 0o640 lets a group read them, 0o660 write them too. Folders can be
   * entered by those who may read. For what is made from now on, whatever the umask. Default: as the store has it; 0o600 for a new one.
   */
  readonly mode?: number;
  /**
   * Leave so many bytes of the file system free: pushes that would take more are refused with EVAQ_QUEUE_FULL, or wait, in queues with `whenFull: 'wait'`.
   * Removals and moves go on. It is looked at now and then, not at each push. Default: none is left.
   */
  readonly minFreeBytes?: number;
  /** Told now and then during a long recovery. What it throws ends the opening, and is what that rejects with. */
  readonly onProgress?: (progress: RecoveryProgress) => void;
  /** Aborted: opening ends as soon as it may, and rejects with its reason; what was opened by then is closed. */
  readonly signal?: AbortSignal;
  /** File system and host; default the real ones. */
  readonly ports?: Ports;
}

const NAMES = optionNames(
  'onCorruption',
  'descriptorsMax',
  'create',
  'lockTimeoutMs',
  'mode',
  'minFreeBytes',
  'onProgress',
  'signal',
  'ports',
  ...QUEUE_OPTION_NAMES,
);

export interface ResolvedEvaqOptions {
  readonly onCorruption: 'fail' | 'quarantine';
  readonly create: boolean;
  readonly descriptorsMax: number;
  readonly lockTimeoutMs: number;
  readonly mode: number | undefined;
  readonly minFreeBytes: number | undefined;
  readonly onProgress: ((progress: RecoveryProgress) => void) | undefined;
  readonly queueDefaults: ResolvedQueueOptions;
}

export function resolveEvaqOptions(options: EvaqOptions): ResolvedEvaqOptions {
  requireOptions(options, 'open', NAMES);
  requireFunction(options.onProgress, 'onProgress');
  requireSignal(options.signal, 'open');
  requirePorts(options.ports);
  const onCorruption: unknown = options.onCorruption ?? 'fail';
  if (onCorruption !== 'fail' && onCorruption !== 'quarantine') {
    throw new TypeError(`onCorruption must be 'fail' or 'quarantine', got ${describe(onCorruption)}`);
  }
  const create: unknown = options.create ?? true;
  if (typeof create !== 'boolean') throw new TypeError(`create must be a boolean, got ${describe(create)}`);
  const lockTimeoutMs = options.lockTimeoutMs ?? 0;
  requireCount(lockTimeoutMs, 'lockTimeoutMs', 0);
  const { minFreeBytes } = options;
  if (minFreeBytes !== undefined) requireCount(minFreeBytes, 'minFreeBytes', 1);
  return {
    onCorruption,
    create,
    descriptorsMax: descriptorsOf(options.descriptorsMax),
    lockTimeoutMs,
    mode: modeOf(options.mode),
    minFreeBytes,
    onProgress: options.onProgress,
    queueDefaults: resolveQueueOptions(options, DEFAULT_QUEUE_OPTIONS),
  };
}

function modeOf(mode: unknown): number | undefined {
  if (mode === undefined) return undefined;
  if (typeof mode !== 'number')
    throw new TypeError(`mode must be an octal number such as 0o640, got ${describe(mode)}`);
  // What a decimal or a mode for programs says is not meant.
  if (
    !Number.isInteger(mode) ||
    mode < 0 ||
    mode > MODE_MAX ||
    (mode & ~MODE_MAX) !== 0 ||
    (mode & MODE_DEFAULT) !== MODE_DEFAULT
  ) {
    const octal = Number.isInteger(mode) && mode >= 0 ? ` (0o${mode.toString(8)})` : '';
    throw new RangeError(
      `mode must let the owner read and write, and nobody execute, such as 0o640; got ${mode}${octal}`,
    );
  }
  return mode;
}
