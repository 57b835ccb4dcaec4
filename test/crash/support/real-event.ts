/** What the processes of the tests on the real system say, one JSON line each. */
import type { CrashEvent } from '../crash-model.js';

export type RealEvent =
  | { readonly event: 'ready' }
  | { readonly event: 'end' }
  /** Acknowledgements also tell whether the store had stopped for good by then. */
  | (CrashEvent & { readonly failed?: boolean })
  | {
      readonly event: 'rejected';
      readonly call: 'open' | 'read' | 'push' | 'remove' | 'compact' | 'close';
      readonly keys: readonly number[];
      readonly code: string;
    };
