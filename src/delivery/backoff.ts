/**
 * How long a record waits after a failed attempt.
 */
export interface BackoffOptions {
  /** After the first failure, in ms. Default 500. */
  readonly baseMs?: number;
  /** What it grows by with each further one. Default 2. */
  readonly factor?: number;
  /** At most, in ms. Default 60 000. */
  readonly maxMs?: number;
  /** 'full' (default): anything from nothing to the full time, so that what failed together does not come back together. 'none': the full time. */
  readonly jitter?: 'full' | 'none';
}

export type ResolvedBackoff = Required<BackoffOptions>;

export const DEFAULT_BACKOFF: ResolvedBackoff = { baseMs: 500, factor: 2, maxMs: 60_000, jitter: 'full' };

/** After the `attempt`th failure, from 1 on. `random` in [0, 1). */
export function backoffMs(backoff: ResolvedBackoff, attempt: number, random: () => number): number {
  const full = Math.min(backoff.maxMs, backoff.baseMs * backoff.factor ** Math.max(0, attempt - 1));
  return Math.round(backoff.jitter === 'none' ? full : full * random());
}
