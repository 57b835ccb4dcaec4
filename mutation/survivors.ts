/** Changes that no test finds since there is nothing to be found: each with the reason. The key is the line's text, so that it keeps when lines move. */
import type { Mutant } from './mutants.js';

export interface Survivor {
  readonly file: string;
  /** The whole line, trimmed, in which the change begins. */
  readonly text: string;
  readonly from: string;
  readonly to: string;
  /** Why nothing that is promised depends on it. */
  readonly equivalent: string;
}

export const SURVIVORS: readonly Survivor[] = [
  {
    file: 'queue/claims.ts',
    text: 'return this.#leases.size > 0 && this.#leases.has(id) && !this.#options.ownsLease(id);',
    from: 'this.#leases.size > 0',
    to: 'this.#leases.size >= 0',
    equivalent: 'it saves the look-up where there is none',
  },
  {
    file: 'queue/claims.ts',
    text: 'return next !== undefined && next <= last;',
    from: 'next !== undefined',
    to: 'true',
    equivalent: 'nothing is not up to the last, either',
  },
  {
    file: 'queue/removal-pipeline.ts',
    text: "if (bytes < SHRINK_BYTES_MIN || bytes > SHRINK_BYTES_MAX || this.#state.kind !== 'resting') return;",
    from: 'bytes < SHRINK_BYTES_MIN',
    to: 'bytes <= SHRINK_BYTES_MIN',
    equivalent:
      'a log of 8 KiB to the byte is written anew, or is not: it is worth it or not, whatever it is by a byte',
  },
  {
    file: 'queue/removal-pipeline.ts',
    text: 'if (round.claims.length > 0 && failStop.error === undefined) await this.#syncWiped();',
    from: 'round.claims.length > 0 && failStop.error === undefined',
    to: 'round.claims.length > 0 || failStop.error === undefined',
    equivalent: 'where nothing is given back a wiped round is synced, which nobody needs',
  },
  {
    file: 'queue/removal-pipeline.ts',
    text: 'if (round.claims.length > 0 && failStop.error === undefined) await this.#syncWiped();',
    from: 'round.claims.length > 0',
    to: 'true',
    equivalent: 'where nothing is given back a wiped round is synced, which nobody needs',
  },
  {
    file: 'queue/removal-pipeline.ts',
    text: "if (bytes < SHRINK_BYTES_MIN || bytes > SHRINK_BYTES_MAX || this.#state.kind !== 'resting') return;",
    from: 'bytes > SHRINK_BYTES_MAX',
    to: 'false',
    equivalent:
      'it saves a long search for what a snapshot would come to; the log is written anew by itself when it has grown',
  },
  {
    file: 'queue/removal-pipeline.ts',
    text: 'if (++made % MANY_RANGES === 0) await this.#options.host.yield();',
    from: '++made % MANY_RANGES === 0',
    to: '++made % MANY_RANGES !== 0',
    equivalent: 'others have their turn more often',
  },
  {
    file: 'queue/log-end.ts',
    text: '} catch {',
    from: '{ return false; }',
    to: '{}',
    equivalent: 'nothing is as false as false',
  },
  {
    file: 'queue/account.ts',
    text: 'if (segment.firstId > next) yield { first: next, last: segment.firstId - 1 };',
    from: 'segment.firstId > next',
    to: 'true',
    equivalent: 'a range of nothing is passed over',
  },
  {
    file: 'queue/account.ts',
    text: 'if (segment.firstId > next) yield { first: next, last: segment.firstId - 1 };',
    from: 'segment.firstId > next',
    to: 'segment.firstId >= next',
    equivalent: 'a range of nothing is passed over',
  },
  {
    file: 'gc/gc-plan.ts',
    text: 'const isWorth = liveRecords === 0 || liveRecords < records * liveShareMax || liveBytes < bytes * liveShareMax;',
    from: 'liveBytes < bytes * liveShareMax',
    to: 'liveBytes <= bytes * liveShareMax',
    equivalent: 'what is worth a rewrite, by a byte',
  },
  {
    file: 'gc/gc-plan.ts',
    text: 'const pressing = bytes - liveBytes > liveBytes + 4 * limits.segmentBytes;',
    from: 'bytes - liveBytes > liveBytes + 4 * limits.segmentBytes',
    to: 'bytes - liveBytes >= liveBytes + 4 * limits.segmentBytes',
    equivalent: 'what is worth a rewrite, by a byte',
  },
  {
    file: 'gc/gc-plan.ts',
    text: 'if (previous !== undefined && total > limits.segmentBytes) flush();',
    from: 'total > limits.segmentBytes',
    to: 'total >= limits.segmentBytes',
    equivalent: 'the size of a copy, by a byte',
  },
  {
    file: 'gc/gc-runner.ts',
    text: 'if (copier.wantsFlush || (taken & 1023) === 1023) {',
    from: 'copier.wantsFlush || (taken & 1023) === 1023',
    to: 'false',
    equivalent: 'the same bytes are written, later: it bounds memory within a commit, behind which the rest is flushed',
  },
  {
    file: 'gc/gc-runner.ts',
    text: 'if (lost.length > 0) await this.#options.account(lost);',
    from: 'lost.length > 0',
    to: 'true',
    equivalent: 'a round of nothing is not written',
  },
  {
    file: 'gc/gc-runner.ts',
    text: 'if (intact.length > 0) {',
    from: 'intact.length > 0',
    to: 'true',
    equivalent: 'of no segments none is retired; the folder is synced once more',
  },
  {
    file: 'store/move.ts',
    text: "if (from.options.durability === 'sync') return;",
    from: "from.options.durability === 'sync'",
    to: 'false',
    equivalent: 'in mode sync there is nothing to be synced, and nothing is',
  },
  {
    file: 'store/move.ts',
    text: "if (to.options.durability !== 'sync') await durably.appended(to);",
    from: "to.options.durability !== 'sync'",
    to: 'true',
    equivalent: 'in mode sync there is nothing to be synced, and nothing is',
  },
  {
    file: 'store/move.ts',
    text: 'for (; next < ids.length && claims.length < MOVE_BATCH_RECORDS; next++) {',
    from: 'claims.length < MOVE_BATCH_RECORDS',
    to: 'claims.length <= MOVE_BATCH_RECORDS',
    equivalent: 'the size of a batch, by a record',
  },
  {
    file: 'gc/copier.ts',
    text: 'return this.#builder.length >= COPY_BYTES || this.#full.length > 0;',
    from: 'this.#builder.length >= COPY_BYTES || this.#full.length > 0',
    to: 'false',
    equivalent: 'the same records are written, later',
  },
  {
    file: 'gc/copier.ts',
    text: 'return this.#builder.length >= COPY_BYTES || this.#full.length > 0;',
    from: 'this.#builder.length >= COPY_BYTES',
    to: 'this.#builder.length > COPY_BYTES',
    equivalent: 'the size of a commit of copies, by a byte',
  },
  {
    file: 'gc/copier.ts',
    text: 'return this.#builder.length >= COPY_BYTES || this.#full.length > 0;',
    from: 'this.#full.length > 0',
    to: 'this.#full.length >= 0',
    equivalent: 'copies are written in smaller commits',
  },
  {
    file: 'gc/copier.ts',
    text: 'return this.#builder.length >= COPY_BYTES || this.#full.length > 0;',
    from: 'this.#builder.length >= COPY_BYTES',
    to: 'this.#builder.length < COPY_BYTES',
    equivalent: 'the same records are written, in smaller commits',
  },
  {
    file: 'gc/copier.ts',
    text: 'return this.#builder.length >= COPY_BYTES || this.#full.length > 0;',
    from: 'this.#full.length > 0',
    to: 'this.#full.length <= 0',
    equivalent: 'the same records are written, in smaller commits',
  },
  {
    file: 'gc/copier.ts',
    text: 'lastId: this.count === 0 ? this.#draft.baseId - 1 : this.#runLast,',
    from: 'this.#draft.baseId - 1',
    to: 'this.#draft.baseId + 1',
    equivalent: 'a copy of no records is given up, and nobody looks at its IDs',
  },
  {
    file: 'gc/copier.ts',
    text: 'this.#runFirst = -1;',
    from: '-1',
    to: '+1',
    equivalent: 'the next record begins a run in the same call, or the copy is at its end',
  },
  {
    file: 'gc/copier.ts',
    text: 'if (offset - this.#marked >= this.#intervalBytes) this.#mark(firstId, offset, 0);',
    from: 'offset - this.#marked >= this.#intervalBytes',
    to: 'offset - this.#marked > this.#intervalBytes',
    equivalent: 'index entries are as far apart as the interval, by a byte',
  },
];

export function excusedBy({ file, text, from, to }: Mutant): Survivor | undefined {
  return SURVIVORS.find((one) => one.file === file && one.text === text && one.from === from && one.to === to);
}
