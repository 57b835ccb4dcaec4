/** Why a record is over, as its dead letter will say. */
export interface FailureFacts {
  /** `'attempts'`, `'dead'`, `'crashed'`, `'timeout'`, or what the handler gave as its reason. */
  readonly reason: string;
  readonly error: unknown;
  /** In all: also those of a life before a redrive. */
  readonly attempts: number;
  readonly firstFailureMs: number;
  readonly lastFailureMs: number;
}
