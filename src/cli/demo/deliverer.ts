/**
 * Delivers what is in the store: batches of the WAL queue by several requests at a time, and dead letters again when they are due.
 *
 * accepted -> removed; refused -> dead letter, with the reason; no answer -> all of the batch are dead letters, since nobody knows what
 * became of them, and the next requests are small and wait longer each time.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Evaq, QueueRecord } from '../../evaq.js';
import { Prng } from '../../sim/sim-prng.js';
import type { FromApplication } from './drill-message.js';

const REQUESTS_MAX = 3;
const BATCH_RECORDS = 64;
/** Of a request that only finds out whether the destination is back. */
const PROBE_RECORDS = 4;
const TIMEOUT_MS = 400;
const IDLE_MS = 10;
const RETRY_SCAN_BYTES = 256 * 1024;
const BACKOFF_MIN_MS = 60;
const BACKOFF_MAX_MS = 500;

/** A dead letter that failed again. Lives in memory: after a restart it is tried at once. */
interface Postponed {
  readonly failures: number;
  readonly dueMs: number;
}

export class Deliverer {
  readonly #evaq: Evaq;
  readonly #url: string;
  readonly #say: (message: FromApplication) => void;
  readonly #random: Prng;
  readonly #postponed = new Map<number, Postponed>();
  /** Where the WAL queue is read on: what is below was removed, moved, or is under way. */
  #nextId = 0;
  #reading: Promise<QueueRecord[]> = Promise.resolve([]);
  #underWay = 0;
  /** Requests in a row that had no answer. */
  #failures = 0;
  #stopped = false;

  constructor(evaq: Evaq, port: number, seed: number, say: (message: FromApplication) => void) {
    this.#evaq = evaq;
    this.#url = `http://127.0.0.1:${port}/records`;
    this.#say = say;
    this.#random = new Prng(seed);
  }

  /** True if nothing is under way. */
  get isIdle(): boolean {
    return this.#underWay === 0;
  }

  /** Resolves after `stop`, when nothing is under way any more. */
  async run(): Promise<void> {
    const lanes = Array.from({ length: REQUESTS_MAX }, () => this.#deliverAll());
    await Promise.all([...lanes, this.#retryAll()]);
  }

  stop(): void {
    this.#stopped = true;
  }

  async #deliverAll(): Promise<void> {
    while (!this.#stopped) {
      const batch = await this.#take();
      if (batch.length === 0) {
        await sleep(IDLE_MS);
        continue;
      }
      await this.#deliver(batch);
      this.#underWay--;
      if (this.#failures > 0) await sleep(this.#backoffMs(this.#failures));
    }
  }

  /** The next records of the WAL queue. One read at a time, so that no two requests have the same. */
  #take(): Promise<QueueRecord[]> {
    this.#reading = this.#reading.then(async () => {
      const maxRecords = this.#failures > 0 ? PROBE_RECORDS : BATCH_RECORDS;
      const batch = await this.#evaq.wal.read({ from: this.#nextId, maxRecords });
      this.#nextId = (batch.at(-1)?.id ?? this.#nextId - 1) + 1;
      if (batch.length > 0) this.#underWay++;
      return batch;
    });
    return this.#reading;
  }

  async #deliver(batch: readonly QueueRecord[]): Promise<void> {
    const accepted: number[] = [];
    const failed: { readonly id: number; readonly reason: string; readonly error: unknown }[] = [];
    try {
      const refusals = await this.#send(batch, false);
      for (const [i, { id }] of batch.entries()) {
        const reason = refusals.get(i);
        if (reason === undefined) accepted.push(id);
        else failed.push({ id, reason, error: undefined });
      }
    } catch (error) {
      for (const { id } of batch) failed.push({ id, reason: 'no answer', error });
    }
    await Promise.all([
      this.#evaq.wal.removeMany(accepted),
      ...failed.map(({ id, reason, error }) =>
        this.#evaq.deadLetter(id, { reason, error, delayMs: Math.round(this.#backoffMs(1)) }),
      ),
    ]);
    if (accepted.length > 0) this.#say({ kind: 'removed', records: accepted.length, deadLetters: false });
    if (failed.length > 0) this.#say({ kind: 'deadLettered', records: failed.length });
  }

  /** Goes through the dead letters again and again, and sends those that are due. */
  async #retryAll(): Promise<void> {
    let from = 0;
    while (!this.#stopped) {
      const letters = await this.#evaq.firstNBytesFromDeadLetterQueue(from, RETRY_SCAN_BYTES);
      const now = Date.now();
      const due = letters.filter(({ id, dueMs = 0 }) => (this.#postponed.get(id)?.dueMs ?? dueMs) <= now);
      const limit = this.#failures > 0 ? PROBE_RECORDS : BATCH_RECORDS;
      if (due.length > 0) await this.#retry(due.slice(0, limit));
      // Those that are left over are met again when the end was reached.
      from = letters.length === 0 ? 0 : (letters.at(-1)?.id ?? 0) + 1;
      if (letters.length === 0 || due.length === 0) await sleep(IDLE_MS);
    }
  }

  async #retry(letters: readonly QueueRecord[]): Promise<void> {
    const done: number[] = [];
    let refusals: ReadonlyMap<number, string> | undefined;
    try {
      refusals = await this.#send(letters, true);
    } catch {
      // No answer: all of them wait for another time.
    }
    for (const [i, { id, attempts = 1 }] of letters.entries()) {
      if (refusals !== undefined && !refusals.has(i)) {
        done.push(id);
        this.#postponed.delete(id);
        continue;
      }
      const failures = (this.#postponed.get(id)?.failures ?? attempts) + 1;
      this.#postponed.set(id, { failures, dueMs: Date.now() + this.#backoffMs(failures) });
    }
    await this.#evaq.doneRetryItems(done);
    if (done.length > 0) this.#say({ kind: 'removed', records: done.length, deadLetters: true });
  }

  /** Resolves with why records were refused, by their place in the batch. Rejects if the answer did not come, or was not one. */
  async #send(records: readonly QueueRecord[], again: boolean): Promise<ReadonlyMap<number, string>> {
    this.#say({ kind: 'sending', records: records.length, again });
    try {
      const response = await fetch(this.#url, {
        method: 'POST',
        body: `[${records.map(({ payload }) => payload.toString()).join(',')}]`,
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const answer: unknown = await response.json();
      if (!response.ok || !Array.isArray(answer)) throw new Error(`the destination said ${response.status}`);
      this.#failures = 0;
      const refusals = new Map<number, string>();
      for (let i = 0; i < records.length; i++) {
        const status: unknown = answer[i];
        if (status !== 200) refusals.set(i, `refused with status ${String(status)}`);
      }
      return refusals;
    } catch (error) {
      this.#failures++;
      throw error;
    }
  }

  /** Exponential, with full jitter: who fails together does not come back together. */
  #backoffMs(failures: number): number {
    const most = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(failures, 10));
    return this.#random.below(1000) * (most / 1000);
  }
}
