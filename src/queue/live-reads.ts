/**
 * Reads of live records beside those who take them: over the log's reader and the claims.
 *
 * A record that is claimed is waited for, so that an answer says what became of it. But claims may follow each other for ever (a dead letter that is
 * tried again and again while its destination is full), so each call waits so many times at most (P14): then it is as of the call, and what is
 * claimed is live as long as its claim has not ended.
 */
import { EvaqError } from '../errors.js';
import type { LogReader, ReadLimits, ReadOutcome } from '../log/log-reader.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { SegmentLog } from '../log/segment-log.js';
import { newTaking, takeOne } from '../log/segment-walk.js';
import type { Claim, Claims } from './claims.js';
import type { Removing } from './removing.js';

/** So often a call waits for records that are claimed; then it hands those out whose claims are still under way. */
export const CLAIM_WAITS_MAX = 3;

export interface LiveReadsOptions {
  readonly queue: string;
  readonly log: SegmentLog;
  readonly reader: LogReader;
  readonly claims: Claims;
  readonly removing: Removing;
}

export class LiveReads {
  readonly #options: LiveReadsOptions;

  constructor(options: LiveReadsOptions) {
    this.#options = options;
  }

  /** A gapless prefix of the live records from `from` to `to`, within the limits, at one moment between call and resolution. */
  async read(from: number, to: number, limits: ReadLimits): Promise<ReadOutcome> {
    const { reader, claims } = this.#options;
    for (let waits = 0; ; waits++) {
      const outcome = await reader.read(from, to, limits);
      const claimed = claims.within(from, outcome.coveredTo);
      if (claimed.length === 0) return outcome;
      if (waits >= CLAIM_WAITS_MAX) return this.#withClaimed(outcome, claimed, limits);
      for (const claim of claimed) await claim.outcome;
    }
  }

  /** The outcome with what is claimed in its range, as of now, in their order and as far as the limits go. */
  async #withClaimed(outcome: ReadOutcome, claimed: readonly Claim[], limits: ReadLimits): Promise<ReadOutcome> {
    const taking = newTaking(limits);
    const upTo = (id: number): ReadOutcome => ({ records: taking.records, coveredTo: id - 1, more: true });
    const live = [...outcome.records];
    for (let at = 0, i = 0; at < claimed.length || i < live.length; ) {
      const claim = claimed[at];
      let record = live[i];
      if (claim === undefined || (record !== undefined && record.id < claim.id)) {
        i++;
      } else {
        at++;
        record = await this.#options.reader.get(claim.id);
      }
      // Its segment went: then the claim had ended by removing it.
      if (record !== undefined && !takeOne(taking, record)) return upTo(record.id);
    }
    return { ...outcome, records: taking.records };
  }

  /** The record `id` if it is live; if it is not, no removal of it is under way any more. */
  async get(id: number): Promise<QueueRecord | undefined> {
    const { log, reader, claims, removing } = this.#options;
    for (let waits = 0; ; waits++) {
      const claim = claims.at(id);
      if (claim !== undefined && waits < CLAIM_WAITS_MAX) {
        await claim.outcome;
        continue;
      }
      if (claim === undefined && !log.isLive(id)) break;
      const record = await reader.get(id);
      if (log.isLive(id)) return record;
      if (waits >= CLAIM_WAITS_MAX && claims.at(id) !== undefined) return record;
    }
    await removing.settled(log.find(id));
    return undefined;
  }

  /** The claimed record. Rejects with EVAQ_CORRUPT or EVAQ_IO if it cannot be read; the claim stands. */
  async claimed({ id }: Claim): Promise<QueueRecord> {
    const { queue, reader } = this.#options;
    const record = await reader.get(id);
    if (record === undefined) {
      throw new EvaqError('EVAQ_CORRUPT', `queue '${queue}': record ${id} cannot be read`, {
        details: { queue, id },
        hint: "Run 'evaq verify' on the store to see what is damaged.",
      });
    }
    return record;
  }
}
