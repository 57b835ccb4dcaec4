/**
 * What a queue remembers of what came in: the message IDs of its window, and how far each source has come. And what of it the intake log holds.
 *
 * It stands in the records' own metadata first, and so is committed with them. Opening reads the metadata of unsealed segments alone; so before a
 * segment is sealed, or dropped, what stands in it has to be in the log: `due` says what that is, `noteLogged` that it was done.
 *
 * Invariant: what is in a segment with a footer is in the log, or has been forgotten since.
 */
import { type IntakeMarks, noteLater } from '../frame/intake-marks.js';
import { MessageEntries } from '../frame/message-entries.js';
import type { RecordCheckpoint } from '../frame/metadata.js';
import { DedupeWindow } from './dedupe-window.js';
import type { IntakeDelta } from './intake-frame.js';

/** Sources of a queue. A position has up to some KiB. */
export const SOURCES_MAX = 4096;

/** The log as it is on disk. */
export interface IntakeFile {
  readonly path: string;
  readonly seed: number;
  readonly snapshotBytes: number;
  /** Up to here it had been synced, by its own word. */
  readonly promisedOffset: number;
  /** Where the next frame goes. */
  end: number;
  isNamed: boolean;
}

/** Checkpoints in a segment that was left. */
interface Left {
  readonly through: number;
  readonly checkpoints: ReadonlyMap<string, RecordCheckpoint>;
}

export class IntakeState {
  readonly window: DedupeWindow = new DedupeWindow();
  file: IntakeFile | undefined;
  /** A log of the queue has a durable name: `file`, or the one that it replaces. */
  isNamed = false;
  /** Of the newest file that was ever seen. */
  generation = 0;
  /** The number of the last frame. */
  number = 0;
  /** Files that a new generation replaces, beside `file`; those that are damaged are kept aside. */
  readonly older: string[] = [];
  readonly damaged: Set<string> = new Set();
  readonly #committed = new Map<string, RecordCheckpoint>();
  readonly #logged = new Map<string, RecordCheckpoint>();
  readonly #left: Left[] = [];
  /** In the segment that is appended to. */
  #open = new Map<string, RecordCheckpoint>();
  readonly #sources = new Set<string>();
  #sequence = 0;
  #loggedThrough = 0;

  /** Is there anything that a log would have to hold, or one that holds something? */
  get isEmpty(): boolean {
    return this.file === undefined && this.window.count === 0 && this.#committed.size === 0;
  }

  checkpointOf(source: string): string | number | undefined {
    return this.#committed.get(source)?.position;
  }

  /** The next checkpoint of a source. Throws a RangeError where there are too many sources. */
  nextCheckpoint(source: string, position: string | number): RecordCheckpoint {
    if (!this.#sources.has(source)) {
      if (this.#sources.size >= SOURCES_MAX)
        throw new RangeError(`checkpoint.source: a queue remembers at most ${SOURCES_MAX} sources`);
      this.#sources.add(source);
    }
    return { source, position, sequence: ++this.#sequence };
  }

  /** It was committed with a record of the segment that is appended to. */
  commit(checkpoint: RecordCheckpoint): void {
    noteLater(this.#committed, checkpoint);
    noteLater(this.#open, checkpoint);
  }

  /** The segment that was appended to ends with this ID. */
  leave(through: number): void {
    if (this.#open.size === 0) return;
    this.#left.push({ through, checkpoints: this.#open });
    this.#open = new Map();
  }

  /** A segment was found that has no footer. In ID order; what is in the log already is passed over. */
  adopt({ messages, checkpoints }: IntakeMarks, through: number, nowMs: number): void {
    this.#remember(messages, nowMs);
    for (const checkpoint of checkpoints.values()) {
      this.#see(checkpoint);
      this.commit(checkpoint);
    }
    this.leave(through);
  }

  /** A frame of the log was read. */
  load({ messages, checkpoints }: IntakeDelta, nowMs: number): void {
    this.#remember(messages, nowMs);
    for (const checkpoint of checkpoints) {
      this.#see(checkpoint);
      noteLater(this.#committed, checkpoint);
      noteLater(this.#logged, checkpoint);
    }
    this.#loggedThrough = this.window.lastId;
  }

  /** What of the records up to an ID is not in the log; `undefined` where there is nothing. */
  due(through: number): IntakeDelta | undefined {
    const messages = new MessageEntries();
    if (this.window.lastId > this.#loggedThrough) this.window.copyTo(messages, this.#loggedThrough, through);
    const checkpoints = new Map<string, RecordCheckpoint>();
    for (const left of this.#left) {
      if (left.through > through) break;
      for (const one of left.checkpoints.values()) noteLater(checkpoints, one);
    }
    return messages.count === 0 && checkpoints.size === 0
      ? undefined
      : { messages, checkpoints: [...checkpoints.values()] };
  }

  /** Everything that is in the log, and what is to be. */
  snapshotWith({ messages, checkpoints }: IntakeDelta): IntakeDelta {
    const all = new MessageEntries();
    this.window.copyTo(all, 0, this.#loggedThrough);
    for (let i = 0; i < messages.count; i++) all.add(messages.hashAt(i), messages.idAt(i), messages.timeAt(i));
    const latest = new Map(this.#logged);
    for (const one of checkpoints) noteLater(latest, one);
    return { messages: all, checkpoints: [...latest.values()] };
  }

  /** `due(through)` gave it, and it is durable in the log. */
  noteLogged({ messages, checkpoints }: IntakeDelta, through: number): void {
    if (messages.count > 0) this.#loggedThrough = Math.max(this.#loggedThrough, messages.idAt(messages.count - 1));
    for (const one of checkpoints) {
      noteLater(this.#committed, one);
      noteLater(this.#logged, one);
    }
    while ((this.#left[0]?.through ?? Infinity) <= through) this.#left.shift();
  }

  #remember(messages: MessageEntries, nowMs: number): void {
    for (let i = 0; i < messages.count; i++) {
      const id = messages.idAt(i);
      if (id > this.window.lastId) this.window.add(messages.hashAt(i), id, messages.timeAt(i), nowMs);
    }
  }

  #see({ source, sequence }: RecordCheckpoint): void {
    this.#sources.add(source);
    this.#sequence = Math.max(this.#sequence, sequence);
  }
}
