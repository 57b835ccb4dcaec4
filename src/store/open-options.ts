/** What a store is opened with: every option has its value. */
import type { FreeSpace } from '../queue/free-space.js';
import type { ResolvedQueueOptions } from '../queue/queue-options.js';
import type { Host } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';
import type { RecoveryProgress } from './recovery-report.js';
import type { LockNote } from './store-lock.js';

export interface OpenStoreOptions {
  readonly vfs: Vfs;
  readonly host: Host;
  readonly path: string;
  readonly lockNote: LockNote;
  readonly lockTimeoutMs: number;
  readonly create: boolean;
  readonly descriptorsMax: number;
  readonly onCorruption: 'fail' | 'quarantine';
  readonly queueDefaults: ResolvedQueueOptions;
  readonly onProgress: ((progress: RecoveryProgress) => void) | undefined;
  /** Whether the call under way is made by the handler that has that record. */
  readonly ownsLease: (queue: string, id: number) => boolean;
  /** Where some of the file system is to stay free. */
  readonly space?: FreeSpace | undefined;
  /** Aborted: the opening ends at its next step, and rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}
