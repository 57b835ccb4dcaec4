/**
 * Reads the lines of a file as they come, and goes on with the next one when it is rotated: renamed with a new one in its place, or copied and truncated.
 * A line is taken when its end is there; of a file that has been left the rest is one, too.
 *
 * What is read stands in a position (`file-position.ts`): begun again there, nothing is lost and nothing comes twice, as long as the rotated file is still
 * there under a name that is known for one (`isRotatedName`), or what was read last has its name still.
 *
 * States: a file is open (`#file`), or none: one has been left, or none is there (yet). At its end it is left if another has its name; it is begun anew if
 * it was truncated.
 */
import { setTimeout as passTime } from 'node:timers/promises';
import { messageOf } from '../../errors.js';
import { encodePosition, type FilePosition, MARK_BYTES, markOf } from './file-position.js';
import { KinWatch } from './kin-watch.js';
import { LineCutter } from './line-cutter.js';
import { LogFile } from './log-file.js';
import { findNext, findRead } from './rotation.js';

export interface FollowerOptions {
  readonly path: string;
  readonly separator: number;
  /** Of a record. */
  readonly bytesMax: number;
  readonly long: 'split' | 'skip';
  /** Go on with what comes. */
  readonly follow: boolean;
  /** Between looks whether there is more. */
  readonly pollMs: number;
  /** A file that has been renamed is left when it was not written to for so long. */
  readonly leaveMs: number;
  /** Of what cannot be helped. */
  readonly warn: (text: string) => void;
}

/** What is to be pushed together, and what is read with it. */
export interface Lines {
  readonly records: readonly Buffer[];
  readonly position: string;
}

const BLOCK_BYTES = 256 * 1024;
const EMPTY: Buffer = Buffer.alloc(0);

/** Nothing has been read. */
const AT_START: FilePosition = { inode: '', offset: 0, mark: '', writtenMs: 0, bornMs: 0, inside: 'none' };

export class FileFollower {
  readonly #options: FollowerOptions;
  readonly #kin: KinWatch;
  #position: FilePosition;
  #file: LogFile | undefined;
  #cutter: LineCutter;
  /** The last bytes before what is pending, and those that are pending. */
  #seen: Buffer = EMPTY;
  /** Of the position of a file: where its cutter began. */
  #base = 0;
  /** Of the files before this one. */
  #longBefore = 0;
  #warned = '';
  /** Since when a file that is to be left was not written to; of a clock that never goes back. */
  #quietSince: number | undefined;

  constructor(options: FollowerOptions, position: FilePosition | undefined) {
    this.#options = options;
    this.#kin = new KinWatch(options.leaveMs, options.warn);
    this.#position = position ?? AT_START;
    this.#cutter = this.#newCutter();
  }

  /** Ends with the last line that is there, or, where it follows, with `signal`. Lines that were given out are to be pushed before the next are asked for. */
  async *lines(signal: AbortSignal): AsyncGenerator<Lines> {
    try {
      await this.#begin();
      while (!signal.aborted) {
        const block = await this.#readBlock();
        if (block !== undefined) {
          if (block.records.length > 0) yield block;
          continue;
        }
        const end = await this.#atEnd();
        if (end.lines !== undefined) yield end.lines;
        if (end.next === 'wait' && !this.#options.follow) return;
        if (end.next !== 'read') {
          await passTime(this.#options.pollMs, undefined, { signal }).catch(() => undefined);
        }
      }
    } finally {
      await this.#file?.close();
      this.#file = undefined;
    }
  }

  /** Bytes of a line that has no end yet. */
  get pending(): number {
    return this.#cutter.pending;
  }

  get longLines(): number {
    return this.#longBefore + this.#cutter.longLines;
  }

  /** Whether there was a file at all. */
  get isThere(): boolean {
    return this.#position.inode !== '';
  }

  async #begin(): Promise<void> {
    const { path, warn } = this.#options;
    if (this.#position.inode === '') {
      await this.#enter(await LogFile.open(path), AT_START);
      return;
    }
    const read = await findRead(path, this.#position);
    if (read !== undefined) {
      await this.#enter(read, this.#position);
      return;
    }
    if (this.#position.offset > 0) {
      warn(`the file that was read last is not there any more: what it had gained since may be lost`);
    }
  }

  /** What comes after what was read, from its beginning. Of a name that nobody has had yet nothing was rotated away that is ours. */
  async #goOn(): Promise<'read' | 'wait' | 'leaving'> {
    const { path } = this.#options;
    if (this.#position.inode === '') {
      await this.#enter(await LogFile.open(path), AT_START);
      return this.#file === undefined ? 'wait' : 'read';
    }
    const next = await findNext(path, this.#position, (kin) => this.#kin.judge(kin));
    if (next.kind === 'busy') return 'leaving';
    await this.#enter(next.kind === 'file' ? next.file : undefined, AT_START);
    return next.kind === 'file' ? 'read' : 'wait';
  }

  /** From `at` on. */
  async #enter(file: LogFile | undefined, at: Pick<FilePosition, 'offset' | 'inside'>): Promise<void> {
    if (this.#file !== file) await this.#file?.close();
    this.#file = file;
    if (file === undefined) return;
    const before = Math.min(at.offset, MARK_BYTES);
    this.#base = at.offset;
    this.#seen = Buffer.from(await file.read(at.offset - before, before));
    this.#longBefore += this.#cutter.longLines;
    this.#cutter = this.#newCutter(at.inside);
    this.#quietSince = undefined;
    const { writtenMs, bornMs } = await file.state();
    const { offset, inside } = at;
    this.#position = { inode: file.inode, offset, mark: markOf(this.#seen), writtenMs, bornMs, inside };
  }

  #newCutter(inside: FilePosition['inside'] = 'none'): LineCutter {
    const { separator, bytesMax, long } = this.#options;
    return new LineCutter(separator, bytesMax, long, inside);
  }

  /** `undefined`: at the end of it, or it is not what it was. */
  async #readBlock(): Promise<Lines | undefined> {
    const file = this.#file;
    if (file === undefined) return undefined;
    const { size, writtenMs } = await file.state();
    const at = this.#base + this.#cutter.taken + this.#cutter.pending;
    // With what was read last before it, which tells whether it has been written anew.
    const block = await file.read(at - this.#seen.length, this.#seen.length + (size > at ? BLOCK_BYTES : 0));
    if (!block.subarray(0, this.#seen.length).equals(this.#seen)) return undefined;
    const fresh = block.subarray(this.#seen.length);
    if (fresh.length === 0) return undefined;
    this.#quietSince = undefined;
    const records = this.#cutter.cut(fresh);
    this.#moveOn(block, writtenMs);
    return { records, position: encodePosition(this.#position) };
  }

  /** `bytes` end where has been read to; where the place has moved, it has moved within them. */
  #moveOn(bytes: Buffer, writtenMs: number): void {
    const { pending, taken, inside } = this.#cutter;
    const offset = this.#base + taken;
    const end = bytes.length - pending;
    const hasMoved = offset !== this.#position.offset;
    const mark = hasMoved ? markOf(bytes.subarray(Math.max(0, end - MARK_BYTES), end)) : this.#position.mark;
    this.#seen = Buffer.from(bytes.subarray(Math.max(0, bytes.length - MARK_BYTES)));
    const { inode, bornMs } = this.#position;
    this.#position = { inode, offset, mark, writtenMs, bornMs, inside };
  }

  /** What is to be done at the end of a file. */
  async #atEnd(): Promise<{ readonly lines?: Lines; readonly next: 'read' | 'wait' | 'leaving' }> {
    const { path, leaveMs, warn } = this.#options;
    try {
      const file = this.#file;
      if (file === undefined) return { next: await this.#goOn() };
      if (!(await this.#isAsRead(file))) return { ...(await this.#beginAnew(file)), next: 'read' };
      const current = await LogFile.open(path);
      await current?.close();
      if (current === undefined || current.inode === file.inode) return { next: 'wait' };
      const { writtenMs } = await file.state();
      // Who writes it has it open still, perhaps. A clock that is wrong holds nothing up.
      this.#quietSince ??= performance.now();
      if (Date.now() - writtenMs < leaveMs && performance.now() - this.#quietSince < leaveMs) {
        return { next: 'leaving' };
      }
      await this.#enter(undefined, AT_START);
      return { ...this.#rest(), next: 'read' };
    } catch (error) {
      // It may not be read yet: it was made this moment.
      this.#warnOnce(messageOf(error), warn);
      return { next: 'wait' };
    }
  }

  async #isAsRead(file: LogFile): Promise<boolean> {
    const at = this.#base + this.#cutter.taken + this.#cutter.pending;
    return (await file.read(at - this.#seen.length, this.#seen.length)).equals(this.#seen);
  }

  /** It was truncated: first the rest of what it had, where there is a copy. */
  async #beginAnew(file: LogFile): Promise<{ readonly lines?: Lines }> {
    const { path, warn } = this.#options;
    const copy = await findRead(path, this.#position);
    if (copy !== undefined) {
      await this.#enter(copy, this.#position);
      return {};
    }
    warn(`${path} was truncated, and there is no copy: what it had gained since it was read last may be lost`);
    const lines = this.#rest();
    await this.#enter(file, AT_START);
    if (lines.lines === undefined) return {};
    return { lines: { records: lines.lines.records, position: encodePosition(this.#position) } };
  }

  /** A line without an end, where there is one. */
  #rest(): { readonly lines?: Lines } {
    const rest = this.#cutter.rest();
    this.#moveOn(this.#seen, this.#position.writtenMs);
    if (rest === undefined) return {};
    return { lines: { records: [rest], position: encodePosition(this.#position) } };
  }

  #warnOnce(text: string, warn: (text: string) => void): void {
    if (this.#warned === text) return;
    this.#warned = text;
    warn(text);
  }
}
