/**
 * Getting in once: pushes that have a message ID, and checkpoints of sources.
 *
 * A message ID is in one of three states: unknown, on its way (one push has it, and everybody else waits for that one's outcome), or known, from the
 * moment at which its record is committed, in the same synchronous stretch. A push that fails leaves it unknown, and the next in line is made.
 *
 * Invariants
 * - Nobody is told the ID of a record before that is committed in the durability mode in force (P1).
 * - What is known stands in the metadata of a record, or in the intake log (`intake/intake-state.ts`).
 * - A checkpoint without records is written when all that was pushed before it is durable: it is never ahead of its records.
 */
import { throwIfAborted, untilAborted } from '../abortable.js';
import { EvaqError, reported } from '../errors.js';
import { type MessageHash, messageHash } from '../frame/message-entries.js';
import { decodeMeta, encodeMeta } from '../frame/metadata.js';
import type { IdSpan } from '../ids.js';
import { IntakeLog, type IntakeLogOptions } from '../intake/intake-log.js';
import type { IntakeState } from '../intake/intake-state.js';
import { timeOf } from '../vfs/host.js';
import type { CommitPipeline } from './commit-pipeline.js';
import type { Admission, Metas } from './push-batch.js';
import type { ResolvedDedupe } from './queue-options.js';

/** How far a source has come. */
export interface Checkpoint {
  /** The name of the source: up to 256 bytes of UTF-8. */
  readonly source: string;
  /** A safe integer, or a text of up to 1 KiB; it comes back as it is. */
  readonly position: string | number;
}

export interface IntakeOptions extends IntakeLogOptions {
  readonly queue: string;
  readonly dedupe: ResolvedDedupe | undefined;
  readonly commits: Pick<
    CommitPipeline,
    'push' | 'pushMany' | 'pushSync' | 'flush' | 'flushSync' | 'nextId' | 'lastFailure'
  >;
  /** Runs what `close` is to wait for. */
  readonly finishing: <T>(body: () => Promise<T>) => Promise<T>;
}

/** Which messages come in with a `pushMany`, each at the place of its payload. */
export type MessageIds = readonly (string | undefined)[];

/** A push that has a message ID, until its outcome is known. */
interface OnItsWay {
  readonly over: Promise<void>;
  readonly end: () => void;
}

function onItsWay(): OnItsWay {
  let end: () => void = () => undefined;
  const over = new Promise<void>((resolve) => {
    end = resolve;
  });
  return { over, end };
}

export class Intake {
  readonly log: IntakeLog;
  readonly #options: IntakeOptions;
  readonly #state: IntakeState;
  readonly #onItsWay = new Map<string, OnItsWay>();

  constructor(options: IntakeOptions, state: IntakeState) {
    this.#options = options;
    this.#state = state;
    this.log = new IntakeLog(options, state);
    const { dedupe } = options;
    if (dedupe !== undefined) state.window.limit(dedupe.windowMs, dedupe.windowRecords, this.#now());
  }

  get dedupes(): boolean {
    return this.#options.dedupe !== undefined;
  }

  checkpoint(source: string): string | number | undefined {
    return this.#state.checkpointOf(source);
  }

  /** As `CommitPipeline.push`; of a message that is known it resolves with the ID of its record, and writes nothing. */
  push(payload: Uint8Array, meta: Uint8Array, messageId: string, signal: AbortSignal | undefined): Promise<number> {
    const { failStop, finishing } = this.#options;
    const hash = messageHash(messageId);
    const known = this.#find(hash);
    if (known !== undefined)
      return failStop.error === undefined ? Promise.resolve(known) : Promise.reject(failStop.error);
    const way = this.#onItsWay.get(messageId);
    if (way === undefined) return this.#begin(payload, meta, messageId, hash, signal);
    const copy = new Uint8Array(payload);
    const wait = async (): Promise<number> => {
      for (let other: OnItsWay | undefined = way; other !== undefined; other = this.#onItsWay.get(messageId)) {
        await untilAborted(signal, () => other.over);
        // Nobody listens to it between the end of that and the next step.
        throwIfAborted(signal);
        const id = this.#find(hash);
        if (id !== undefined) return id;
        failStop.throwIfFailed();
      }
      return this.#begin(copy, meta, messageId, hash, signal);
    };
    return finishing(wait);
  }

  /** As `CommitPipeline.pushSync`. What is known is durable when it returns. */
  pushSync(payload: Uint8Array, meta: Uint8Array, messageId: string): number {
    const { commits } = this.#options;
    const hash = messageHash(messageId);
    if (this.#find(hash) !== undefined || this.#onItsWay.has(messageId)) {
      commits.flushSync();
      const known = this.#find(hash);
      if (known !== undefined) return known;
    }
    // Nobody else has his turn before it is known. Where another push with that ID waits for room it keeps its place, whatever becomes of this one.
    return commits.pushSync(payload, meta, {
      committed: (firstId, timestamp) => this.#remember([messageId], [hash], firstId, timestamp),
      failed: () => undefined,
    });
  }

  /**
   * As `CommitPipeline.pushMany`, with a checkpoint that is committed with the records.
   * @throws EVAQ_DUPLICATE where one of the messages is known, or is there twice; RangeError for one source too many
   */
  pushMany(
    payloads: readonly Uint8Array[],
    metas: Metas,
    messageIds: MessageIds | undefined,
    checkpoint: Checkpoint | undefined,
    signal: AbortSignal | undefined,
  ): Promise<IdSpan> {
    if (payloads.length === 0 && checkpoint !== undefined) return this.#checkpointAlone(checkpoint);
    if (messageIds === undefined) return this.#beginMany(payloads, metas, [], [], checkpoint, signal);
    const ids = messageIds.filter((one) => one !== undefined);
    const hashes = ids.map(messageHash);
    const twice = this.#repeated(messageIds);
    if (twice !== undefined) return Promise.reject(twice);
    const busy = this.#busyAmong(ids);
    if (busy === undefined) {
      const duplicate = this.#duplicateAmong(messageIds, ids, hashes);
      if (duplicate !== undefined) return Promise.reject(duplicate);
      return this.#beginMany(payloads, metas, messageIds, hashes, checkpoint, signal);
    }
    const copies = payloads.map((payload) => new Uint8Array(payload));
    const wait = async (): Promise<IdSpan> => {
      for (let other: OnItsWay | undefined = busy; other !== undefined; other = this.#busyAmong(ids)) {
        await untilAborted(signal, () => other.over);
        // Nobody listens to it between the end of that and the next step.
        throwIfAborted(signal);
        this.#options.failStop.throwIfFailed();
      }
      const duplicate = this.#duplicateAmong(messageIds, ids, hashes);
      if (duplicate !== undefined) throw duplicate;
      return this.#beginMany(copies, metas, messageIds, hashes, checkpoint, signal);
    };
    return this.#options.finishing(wait);
  }

  async #checkpointAlone({ source, position }: Checkpoint): Promise<IdSpan> {
    const { commits, finishing, queue, failStop } = this.#options;
    failStop.throwIfFailed();
    // Its place among the checkpoints is that of the call.
    const checkpoint = this.#state.nextCheckpoint(source, position);
    return finishing(async () => {
      const before = commits.lastFailure;
      await commits.flush();
      // It would speak for what is not there.
      const failure = commits.lastFailure;
      if (failure !== undefined && failure !== before)
        throw reported(failure.error, `a checkpoint of queue '${queue}': what was pushed before it failed`, { queue });
      try {
        await this.log.commit(checkpoint);
      } catch (error) {
        throw reported(error, `writing a checkpoint of queue '${queue}'`, { queue });
      }
      const { nextId } = commits;
      return { firstId: nextId, lastId: nextId - 1 };
    });
  }

  #begin(
    payload: Uint8Array,
    meta: Uint8Array,
    messageId: string,
    hash: MessageHash,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const admission = this.#admission([messageId], [hash]);
    return ended(this.#options.commits.push(payload, meta, signal, admission), admission);
  }

  #beginMany(
    payloads: readonly Uint8Array[],
    metas: Metas,
    messageIds: MessageIds,
    hashes: readonly MessageHash[],
    checkpoint: Checkpoint | undefined,
    signal: AbortSignal | undefined,
  ): Promise<IdSpan> {
    const { commits } = this.#options;
    if (checkpoint === undefined) {
      const admission = this.#admission(messageIds, hashes);
      return ended(commits.pushMany(payloads, metas, signal, admission), admission);
    }
    const { source, position } = checkpoint;
    const next = this.#state.nextCheckpoint(source, position);
    const all: (Uint8Array | undefined)[] = payloads.map((_, i) => metas?.[i]);
    const last = all.at(-1);
    all[all.length - 1] = encodeMeta({ ...(last === undefined ? {} : decodeMeta(last)), checkpoint: next });
    const admission = this.#admission(messageIds, hashes, () => this.#state.commit(next));
    return ended(commits.pushMany(payloads, all, signal, admission), admission);
  }

  /** From now on these messages are on their way; what becomes of them is told in the stretch in which they are committed. */
  #admission(messageIds: MessageIds, hashes: readonly MessageHash[], committed?: () => void): Admission {
    const way = onItsWay();
    for (const one of messageIds) if (one !== undefined) this.#onItsWay.set(one, way);
    const end = (): void => {
      for (const one of messageIds)
        if (one !== undefined && this.#onItsWay.get(one) === way) this.#onItsWay.delete(one);
      way.end();
    };
    return {
      committed: (firstId, timestamp) => {
        this.#remember(messageIds, hashes, firstId, timestamp);
        committed?.();
        end();
      },
      failed: end,
    };
  }

  /** They are committed. */
  #remember(messageIds: MessageIds, hashes: readonly MessageHash[], firstId: number, timestamp: number): void {
    const { window } = this.#state;
    const now = this.#now();
    let known = 0;
    for (const [i, messageId] of messageIds.entries()) {
      const hash = messageId === undefined ? undefined : hashes[known++];
      if (hash !== undefined) window.add(hash, firstId + i, timestamp, now);
    }
  }

  #busyAmong(ids: readonly string[]): OnItsWay | undefined {
    for (const id of ids) {
      const way = this.#onItsWay.get(id);
      if (way !== undefined) return way;
    }
    return undefined;
  }

  #duplicateAmong(
    messageIds: MessageIds,
    ids: readonly string[],
    hashes: readonly MessageHash[],
  ): EvaqError | undefined {
    for (const [i, hash] of hashes.entries()) {
      const id = this.#find(hash);
      const messageId = ids[i] ?? '';
      if (id !== undefined) return this.#duplicate(messageId, messageIds.indexOf(messageId), id);
    }
    return undefined;
  }

  #repeated(messageIds: MessageIds): EvaqError | undefined {
    const seen = new Set<string>();
    for (const [i, messageId] of messageIds.entries()) {
      if (messageId === undefined) continue;
      if (seen.has(messageId)) return this.#duplicate(messageId, i, undefined);
      seen.add(messageId);
    }
    return undefined;
  }

  #duplicate(messageId: string, index: number, id: number | undefined): EvaqError {
    const { queue } = this.#options;
    const where = id === undefined ? 'stands in the batch before' : `came in as record ${id}`;
    return new EvaqError(
      'EVAQ_DUPLICATE',
      `queue '${queue}': the message '${messageId}' of payloads[${index}] ${where}`,
      {
        details: { queue, messageId, index, ...(id === undefined ? {} : { id }) },
        hint: 'Nothing of the batch was pushed: leave out what came in before, or push its records one by one.',
      },
    );
  }

  #find(hash: MessageHash): number | undefined {
    return this.#state.window.find(hash, this.#now());
  }

  #now(): number {
    return timeOf(this.#options.host);
  }
}

/** What was refused before it came to be part of a commit has failed, too. */
function ended<T>(pushed: Promise<T>, { failed }: Admission): Promise<T> {
  pushed.catch(failed);
  return pushed;
}
