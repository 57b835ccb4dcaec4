/**
 * Pushes to a queue that has limits, in front of the commit pipeline: refused, made to wait, or let in at the cost of the oldest records. Moves do not
 * come by here: what has been accepted once is never refused for want of room.
 *
 * What is taken of the limits: live records, pushes that were let in and are not settled, and what is on its way out; so the limit holds at every moment,
 * and after any crash in mode 'sync'. With 'drop-oldest' what is on its way out does not count: a crash may bring it back.
 *
 * Invariants
 * - A push that fits does not overtake one that waits.
 * - What was let in is taken off when it is settled, once, in the stretch in which it becomes live or fails.
 * - A call costs the same however much there is.
 */
import { EvaqError } from '../errors.js';
import type { FailStop } from '../fail-stop.js';
import { DENSE_FRAME_BYTES } from '../frame/record-frame.js';
import type { IdSpan } from '../ids.js';
import type { LiveBytesCount } from '../log/live-bytes-count.js';
import type { SegmentLog } from '../log/segment-log.js';
import type { Host } from '../vfs/host.js';
import type { CommitPipeline } from './commit-pipeline.js';
import type { Dropping } from './dropping.js';
import type { FreeSpace } from './free-space.js';
import type { ResolvedLimits, WhenFull } from './limit-options.js';
import type { Admission, Metas } from './push-batch.js';
import { PushLine, type Verdict } from './push-line.js';
import { tooLarge } from './record-size.js';
import type { Waiters } from './waiters.js';

/** What takes pushes. */
export type Pushes = Pick<
  CommitPipeline,
  'push' | 'pushMany' | 'pushSync' | 'flush' | 'flushSync' | 'nextId' | 'lastFailure'
>;

export interface LimitedPushesOptions {
  readonly queue: string;
  readonly commits: Pushes;
  readonly limits: ResolvedLimits;
  readonly space: FreeSpace | undefined;
  readonly log: Pick<SegmentLog, 'liveCount'>;
  readonly count: Pick<LiveBytesCount, 'heldRecords' | 'heldBytes' | 'liveBytes' | 'bytesOf'>;
  readonly dropping: Dropping;
  readonly host: Pick<Host, 'soon'>;
  readonly failStop: FailStop;
  /** Tells when records have left for good, or were given back. */
  readonly departures: Waiters;
  /** What a push rejects with that would wait while the queue closes. */
  readonly closed: () => EvaqError | undefined;
  /** Keeps the process until the result is called. */
  readonly hold: () => () => void;
}

interface Need {
  readonly records: number;
  readonly bytes: number;
}

/** Of what a queue may have. */
export interface LimitUse {
  readonly records: number;
  readonly bytes: number;
  /** Pushes that wait for room. */
  readonly waiting: number;
}

export class LimitedPushes implements Pushes {
  readonly #options: LimitedPushesOptions;
  readonly #line = new PushLine();
  #pendingRecords = 0;
  #pendingBytes = 0;
  #isGranting = false;
  /** The file system has too little space, or is being looked at. */
  #waitsForSpace = false;
  #cancelNews: (() => void) | undefined;
  /** Lets go of the process, which is held while anybody waits. */
  #release: (() => void) | undefined;

  constructor(options: LimitedPushesOptions) {
    this.#options = options;
    this.#line.onWithdrawn(() => this.#grantSoon());
    options.failStop.onStop(() => this.#rejectAll(options.failStop.error));
  }

  get nextId(): number {
    return this.#options.commits.nextId;
  }

  get lastFailure(): Pushes['lastFailure'] {
    return this.#options.commits.lastFailure;
  }

  get use(): LimitUse {
    const { log, count } = this.#options;
    const { heldRecords, heldBytes, liveBytes } = count;
    return {
      records: log.liveCount + heldRecords + this.#pendingRecords,
      bytes: liveBytes + heldBytes + this.#pendingBytes,
      waiting: this.#line.size,
    };
  }

  /** As that of the pipeline, and for what waits for room at the call: rejects where that is told that there will be none. */
  async flush(): Promise<void> {
    if (this.#line.size > 0)
      await this.#line.wait(
        () => 'fits',
        () => Promise.resolve(),
        undefined,
      );
    await this.#options.commits.flush();
  }

  /** As that of the pipeline, and for what waits only until others can be dropped for it. */
  flushSync(): void {
    if (this.#options.limits.whenFull === 'drop-oldest') this.#flushLine();
    else this.#options.commits.flushSync();
  }

  push(
    payload: Uint8Array,
    meta: Uint8Array | undefined,
    signal?: AbortSignal,
    admission?: Admission,
  ): Promise<number> {
    const need = needOf([payload]);
    const { commits } = this.#options;
    const begin = (bytes: Uint8Array) => (): Promise<number> =>
      this.#enter(need, admission, (told) => commits.push(bytes, meta, signal, told));
    const verdict = this.#judgeNew(need);
    if (verdict === 'fits') return begin(payload)();
    if (verdict !== 'wait') return Promise.reject(verdict.error);
    return this.#wait(need, begin(new Uint8Array(payload)), signal);
  }

  pushMany(
    payloads: readonly Uint8Array[],
    metas?: Metas,
    signal?: AbortSignal,
    admission?: Admission,
  ): Promise<IdSpan> {
    const need = needOf(payloads);
    const { commits } = this.#options;
    const begin = (all: readonly Uint8Array[]) => (): Promise<IdSpan> =>
      this.#enter(need, admission, (told) => commits.pushMany(all, metas, signal, told));
    const verdict = this.#judgeNew(need);
    if (verdict === 'fits') return begin(payloads)();
    if (verdict !== 'wait') return Promise.reject(verdict.error);
    const copies = payloads.map((payload) => new Uint8Array(payload));
    return this.#wait(need, begin(copies), signal);
  }

  /** As that of the pipeline. It cannot wait: where a push would, it throws EVAQ_QUEUE_FULL. */
  pushSync(payload: Uint8Array, meta?: Uint8Array, admission?: Admission): number {
    const need = needOf([payload]);
    let verdict = this.#judgeNew(need);
    if (verdict === 'wait' && this.#options.limits.whenFull === 'drop-oldest') {
      this.#flushLine();
      verdict = this.#judgeNew(need);
    }
    if (verdict === 'wait') throw this.#full(need) ?? this.#spaceLow(need) ?? this.#othersWait(need);
    if (verdict !== 'fits') throw verdict.error;
    const entered = this.#admit(need, admission);
    try {
      return this.#options.commits.pushSync(payload, meta, entered);
    } catch (error) {
      entered.failed();
      throw error;
    }
  }

  /** What is on its way in cannot be dropped before it is there: it is brought there, and those behind it. */
  #flushLine(): void {
    for (let before = Infinity; this.#line.size < before; ) {
      before = this.#line.size;
      this.#options.commits.flushSync();
      this.#line.grant();
    }
  }

  /** Nobody waits any more: the queue closes. */
  close(error: EvaqError): void {
    this.#rejectAll(error);
  }

  async #enter<T>(need: Need, admission: Admission | undefined, begin: (told: Admission) => Promise<T>): Promise<T> {
    const entered = this.#admit(need, admission);
    try {
      return await begin(entered);
    } catch (error) {
      // What was refused before it came to be part of a commit has failed, too.
      entered.failed();
      throw error;
    }
  }

  /** From now on it is taken. */
  #admit({ records, bytes }: Need, admission: Admission | undefined): Admission {
    this.#pendingRecords += records;
    this.#pendingBytes += bytes;
    this.#options.space?.accepted(bytes);
    let isOver = false;
    const settle = (): void => {
      if (isOver) return;
      isOver = true;
      this.#pendingRecords -= records;
      this.#pendingBytes -= bytes;
      this.#grantSoon();
    };
    return {
      committed: (firstId, timestamp) => {
        settle();
        admission?.committed(firstId, timestamp);
      },
      failed: () => {
        settle();
        admission?.failed();
      },
    };
  }

  #wait<T>(need: Need, go: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const waiting = this.#line.wait(() => this.#judge(need), go, signal);
    this.#release ??= this.#options.hold();
    this.#listen();
    return waiting;
  }

  /** Of a push that comes now. */
  #judgeNew(need: Need): Verdict {
    const { failStop, closed } = this.#options;
    if (failStop.error !== undefined) return { error: failStop.error };
    const never = this.#neverFits(need);
    if (never !== undefined) return { error: never };
    const verdict = this.#line.size > 0 ? 'wait' : this.#judge(need);
    const error = verdict === 'wait' ? closed() : undefined;
    return error === undefined ? verdict : { error };
  }

  #judge(need: Need): Verdict {
    const { space, limits } = this.#options;
    const free = space === undefined ? 'enough' : space.judge(need.bytes);
    this.#waitsForSpace = free !== 'enough';
    if (free === 'unknown') return 'wait';
    const error = free === 'low' ? this.#spaceLow(need) : this.#full(need);
    if (error === undefined) return 'fits';
    switch (limits.whenFull) {
      case 'wait':
        return 'wait';
      case 'reject':
        return { error };
      case 'drop-oldest':
        if (free === 'low') return { error };
        if (this.#dropFor(need)) return 'fits';
        // What is on its way in can be dropped when it is there.
        return this.#pendingRecords > 0 ? 'wait' : { error };
    }
  }

  /** True where there is room now. */
  #dropFor(need: Need): boolean {
    const { dropping, count, log } = this.#options;
    const over = this.#over(need);
    // Nobody looks through all of them where all of them are too few.
    if (log.liveCount < over.records || count.liveBytes < over.bytes) return false;
    let { records, bytes } = over;
    return dropping.dropOldest((id) => {
      records--;
      bytes -= count.bytesOf(id);
      return records <= 0 && bytes <= 0;
    });
  }

  /** By how much it would be too much. */
  #over(need: Need): Need {
    const { limits } = this.#options;
    const use = this.#useFor(limits.whenFull);
    return {
      records: use.records + need.records - (limits.records ?? Infinity),
      bytes: use.bytes + need.bytes - (limits.bytes ?? Infinity),
    };
  }

  #useFor(whenFull: WhenFull): Need {
    const { log, count } = this.#options;
    if (whenFull !== 'drop-oldest') return this.use;
    return { records: log.liveCount + this.#pendingRecords, bytes: count.liveBytes + this.#pendingBytes };
  }

  /** Why there is no room within the limits; undefined where there is. */
  #full(need: Need): EvaqError | undefined {
    const { limits, queue } = this.#options;
    const over = this.#over(need);
    if (over.records <= 0 && over.bytes <= 0) return undefined;
    const exceeded = over.records > 0 ? 'records' : 'bytes';
    const limit = limits[exceeded] ?? 0;
    const wanted = need[exceeded];
    const used = over[exceeded] + limit - wanted;
    const hint =
      limits.whenFull === 'drop-oldest'
        ? 'What is there is being handled, and is not dropped: try again when handlers have ended.'
        : 'Remove or deliver records, or let pushes wait or drop the oldest: limits.whenFull.';
    return new EvaqError(
      'EVAQ_QUEUE_FULL',
      `queue '${queue}' is full: ${used} of ${limit} ${exceeded} are taken, ${wanted} more are wanted`,
      { details: { queue, exceeded, limit, used, wanted }, hint },
    );
  }

  #spaceLow(need: Need): EvaqError | undefined {
    const { space, queue } = this.#options;
    if (space === undefined) return undefined;
    const { minFreeBytes: limit, freeBytes: used } = space;
    if (used - need.bytes >= limit) return undefined;
    return new EvaqError(
      'EVAQ_QUEUE_FULL',
      `queue '${queue}': ${used} bytes of the file system are free, ${need.bytes} are wanted, and ${limit} are to stay so`,
      {
        details: { queue, exceeded: 'minFreeBytes', limit, used, wanted: need.bytes },
        hint: 'Free some space, or remove records; removals and moves go on.',
      },
    );
  }

  #othersWait(need: Need): EvaqError {
    const { queue } = this.#options;
    return new EvaqError('EVAQ_QUEUE_FULL', `queue '${queue}': other pushes wait for room, and come first`, {
      details: { queue, wanted: need.records },
      hint: 'A blocking push cannot wait: let the event loop run.',
    });
  }

  /** It is larger than the queue may be. */
  #neverFits(need: Need): EvaqError | undefined {
    const { limits, queue } = this.#options;
    for (const exceeded of ['records', 'bytes'] as const) {
      const limit = limits[exceeded];
      const wanted = need[exceeded];
      if (limit === undefined || wanted <= limit) continue;
      if (exceeded === 'bytes' && need.records === 1) return tooLarge(wanted, limit, `with its frame, the record`);
      return new EvaqError(
        'EVAQ_RECORD_TOO_LARGE',
        `the batch has ${wanted} ${exceeded}; queue '${queue}' may hold ${limit} in all`,
        { details: { queue, exceeded, limit, wanted }, hint: 'Push it in parts, or raise the limit of the queue.' },
      );
    }
    return undefined;
  }

  /** When the code now running is done: it may be the one that settles a commit. */
  #grantSoon(): void {
    if (this.#isGranting || this.#line.size === 0) {
      this.#letGo();
      return;
    }
    this.#isGranting = true;
    this.#options.host.soon(() => {
      this.#isGranting = false;
      this.#line.grant();
      this.#letGo();
      this.#listen();
    });
  }

  /** While anybody waits. */
  #listen(): void {
    if (this.#line.size === 0) return;
    const { departures, space } = this.#options;
    this.#cancelNews ??= departures.add(() => {
      this.#cancelNews = undefined;
      this.#grantSoon();
      this.#listen();
    });
    if (this.#waitsForSpace) space?.whenLooked(this.#looked);
  }

  readonly #looked = (): void => this.#grantSoon();

  #letGo(): void {
    if (this.#line.size > 0) return;
    this.#cancelNews?.();
    this.#cancelNews = undefined;
    this.#release?.();
    this.#release = undefined;
  }

  #rejectAll(error: unknown): void {
    this.#line.rejectAll(error);
    this.#letGo();
  }
}

function needOf(payloads: readonly Uint8Array[]): Need {
  let bytes = payloads.length * DENSE_FRAME_BYTES;
  for (const payload of payloads) bytes += payload.length;
  return { records: payloads.length, bytes };
}
