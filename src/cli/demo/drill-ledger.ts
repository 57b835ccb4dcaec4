/**
 * The books of the drill: what the application says it did, what the destination says it got, and whether they agree.
 *
 * Counts of what the application did come from its reports. A kill may cost a report, never a record: so they are lower bounds, while
 * the verdict rests on acknowledgements and on the destination alone.
 */
import type { RecoveryReport } from '../../evaq.js';
import type { FromApplication } from './drill-message.js';

export interface DrillFigures {
  readonly lines: number;
  /** Calls of push, those for a line that was pushed before included. */
  readonly pushed: number;
  readonly pushedAgain: number;
  readonly acknowledged: number;
  readonly deliveredOnce: number;
  readonly deliveredMore: number;
  /** Acknowledged and never accepted by the destination. */
  readonly lost: number;
  /** Accepted with another text than that of the line, or not a line at all. */
  readonly wrong: number;
  readonly deadLettered: number;
  /** Dead letters sent once more. */
  readonly retried: number;
  readonly requests: number;
  readonly recoveries: number;
  readonly recoveryMedianMs: number;
  readonly recoveryMaxMs: number;
  readonly tornTails: number;
  readonly movesCompleted: number;
  /** Damage that no crash explains. */
  readonly damage: number;
}

export class DrillLedger {
  readonly #checksums: readonly number[];
  readonly #times: Uint32Array;
  readonly #recoveryMs: number[] = [];
  #acknowledged = 0;
  #pushed = 0;
  #pushedAgain = 0;
  #deadLettered = 0;
  #deadLetters = 0;
  #retried = 0;
  #requests = 0;
  #tornTails = 0;
  #movesCompleted = 0;
  #damage = 0;
  #wrong = 0;

  /** `checksums`: of every line's text. */
  constructor(checksums: readonly number[]) {
    this.#checksums = checksums;
    this.#times = new Uint32Array(checksums.length);
  }

  /** All lines up to this one were acknowledged. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** About how many dead letters there are now. */
  get deadLetters(): number {
    return Math.max(0, this.#deadLetters);
  }

  note(message: FromApplication): void {
    switch (message.kind) {
      case 'pushing':
        this.#noteAgain(Math.max(0, Math.min(this.#acknowledged, message.to) - message.from + 1));
        return;
      case 'acknowledged':
        this.#pushed += Math.max(0, message.to - this.#acknowledged);
        this.#acknowledged = Math.max(this.#acknowledged, message.to);
        return;
      case 'sending':
        this.#requests++;
        if (message.again) this.#retried += message.records;
        return;
      case 'removed':
        if (message.deadLetters) this.#deadLetters -= message.records;
        return;
      case 'deadLettered':
        this.#deadLettered += message.records;
        this.#deadLetters += message.records;
        return;
      case 'ready':
        this.#noteRecovery(message.recovery);
        return;
      case 'opening':
      case 'drained':
        return;
    }
  }

  /** Lines that had come in are pushed once more. */
  #noteAgain(lines: number): void {
    this.#pushed += lines;
    this.#pushedAgain += lines;
  }

  #noteRecovery(recovery: RecoveryReport): void {
    this.#damage += recovery.damage.length;
    this.#tornTails += recovery.torn.length;
    this.#movesCompleted += recovery.movesCompleted;
    this.#deadLetters = recovery.queues.find(({ queue }) => queue === 'dead-letters')?.liveRecords ?? 0;
    if (!recovery.clean) this.#recoveryMs.push(recovery.durationMs);
  }

  /** Takes over what the destination accepted: line, times, checksum, and so on. */
  noteAccepted(entries: readonly number[]): void {
    for (let i = 0; i < entries.length; i += 3) {
      const [line = 0, times = 0, checksum = 0] = entries.slice(i, i + 3);
      if (this.#checksums[line - 1] === checksum) this.#times[line - 1] = times;
      else this.#wrong++;
    }
  }

  figures(): DrillFigures {
    let deliveredOnce = 0;
    let deliveredMore = 0;
    let lost = 0;
    for (const [i, times] of this.#times.entries()) {
      if (times === 1) deliveredOnce++;
      else if (times > 1) deliveredMore++;
      else if (i < this.#acknowledged) lost++;
    }
    const sorted = this.#recoveryMs.toSorted((a, b) => a - b);
    return {
      lines: this.#checksums.length,
      pushed: this.#pushed,
      pushedAgain: this.#pushedAgain,
      acknowledged: this.#acknowledged,
      deliveredOnce,
      deliveredMore,
      lost,
      wrong: this.#wrong,
      deadLettered: this.#deadLettered,
      retried: this.#retried,
      requests: this.#requests,
      recoveries: sorted.length,
      recoveryMedianMs: sorted[Math.floor(sorted.length / 2)] ?? 0,
      recoveryMaxMs: sorted.at(-1) ?? 0,
      tornTails: this.#tornTails,
      movesCompleted: this.#movesCompleted,
      damage: this.#damage,
    };
  }
}
