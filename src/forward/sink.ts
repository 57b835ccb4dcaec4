/**
 * Where records are forwarded to. A sink is made of a client that the caller has; others can be written: `deliver` is all that there must be.
 */

/** A record on its way out. */
export interface SinkRecord {
  /** Its ID in the queue, by which a result names it. */
  readonly id: number;
  readonly payload: Buffer;
  /** Empty where it has none. */
  readonly headers: Readonly<Record<string, string>>;
  /** When it was pushed, in ms since the epoch. */
  readonly timestamp: number;
  /** `storeId:queue:id` of where it was pushed first: the same at every try. It goes where the destination looks for the ID of a message. */
  readonly deliveryId: string;
  /** Which try this is, from 1 on. */
  readonly attempt: number;
  /** What `ForwardOptions.key` gave. */
  readonly key: string | undefined;
}

export interface SinkContext {
  /** Aborted when the time of the batch is over, or the forwarding does not wait any longer. */
  readonly signal: AbortSignal;
  readonly queue: string;
  /**
   * To be called, if a sink likes, as soon as the destination has acknowledged a record: that holds, whatever becomes of the others, also where the time of
   * the batch is over before `deliver` resolves. Without it what had arrived of such a batch is sent again. Absent where nobody listens.
   * @throws RangeError for an ID that is not in the batch
   */
  readonly arrived?: (id: number) => void;
}

export interface SinkFailure {
  readonly id: number;
  /** A `SinkError` says whose fault it is; anything else is judged as what a handler throws. */
  readonly error: unknown;
}

/** What became of a batch: who is not named has arrived. */
export interface SinkResult {
  readonly failed: readonly SinkFailure[];
}

/** What a destination takes. */
export interface SinkLimits {
  /** Records of a batch. */
  readonly maxRecords?: number;
  /** Bytes of payload of a batch. */
  readonly maxBytes?: number;
  /** Bytes of a record's payload. What is larger goes to the dead letters, with the reason 'too-large', before it meets the wire. */
  readonly recordBytesMax?: number;
  /** Batches at a time. */
  readonly inFlight?: number;
}

export interface Sink {
  /** For messages: 'http', 'kafka'. */
  readonly name: string;
  readonly limits?: SinkLimits;
  /**
   * Resolves when the destination has acknowledged the records, not before: what it has not is named. Rejects where it is about the batch as a whole:
   * it is then tried in halves, unless the error says that the destination is down. Batches may overlap, up to `limits.inFlight`.
   */
  deliver(records: readonly SinkRecord[], context: SinkContext): Promise<SinkResult | undefined> | Promise<void>;
  /** Asks whether the destination is there, without a message. Rejects if it is not. Called while the breaker is open. */
  probe?(context: Pick<SinkContext, 'signal'>): Promise<void>;
  /** Called once, when nothing is delivered any more: gives back what the sink has made itself. The client is the caller's. */
  close?(): Promise<void>;
}
