/**
 * The intake log of a queue, open for writing: what a segment that is to be sealed tells of messages and checkpoints, and checkpoints that come
 * without a record. It is written before the footer of the segment, so about once a segment; the file is open only meanwhile.
 *
 *    file header (128 B) | snapshot | intake | intake | …
 *
 * A generation is made whole before it is named: written as `.tmp`, synced, renamed, the folder synced. A log that has grown past twice its snapshot is
 * replaced by one, and so is one that a crash has left, and one that is damaged (which is kept aside).
 *
 * One write at a time, in the order of the calls. Each resolves when it is durable, whatever the durability mode. What could not be written is not in
 * the log: rejects with the system error, or with EVAQ_FAILED where a sync failed.
 */
import { assert } from '../assert.js';
import { crc32 } from '../checksum.js';
import { EvaqError, isNotFound } from '../errors.js';
import { type FailStop, SyncFailure, syncFile, syncFolder } from '../fail-stop.js';
import { encodeFileHeader, FILE_HEADER_BYTES, type FileHeader, fileSeed } from '../frame/file-header.js';
import { MessageEntries } from '../frame/message-entries.js';
import type { RecordCheckpoint } from '../frame/metadata.js';
import { type Host, timeOf } from '../vfs/host.js';
import type { Vfs, VfsFile } from '../vfs/vfs.js';
import { encodeIntake, type IntakeDelta, KIND_INTAKE, KIND_INTAKE_SNAPSHOT } from './intake-frame.js';
import { intakeFileName, unfinishedIntakeFileName } from './intake-name.js';
import type { IntakeFile, IntakeState } from './intake-state.js';

/** A log below this size is not replaced. */
const REWRITE_BYTES_MIN = 64 * 1024;
/** Where a log that a crash has left cannot be replaced, what it may hold unsynced is written again, so much at a time. */
const COPY_BYTES = 1024 * 1024;

export interface IntakeLogOptions {
  readonly vfs: Vfs;
  readonly host: Host;
  readonly dir: string;
  readonly storeUuid: Buffer;
  readonly failStop: FailStop;
}

const NOTHING: IntakeDelta = { messages: new MessageEntries(), checkpoints: [] };

export class IntakeLog {
  readonly state: IntakeState;
  readonly #options: IntakeLogOptions;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: IntakeLogOptions, state: IntakeState) {
    this.#options = options;
    this.state = state;
  }

  /** A log of the queue has a durable name: this one, or the one that it replaces. */
  get isNamed(): boolean {
    return this.state.isNamed;
  }

  /** As far as it is written. */
  get bytes(): number {
    return this.state.file?.end ?? 0;
  }

  /** Whether the records up to an ID tell of anything that is not in the log. */
  owes(through: number): boolean {
    return this.state.due(through) !== undefined;
  }

  /** Brings what the records up to an ID tell into the log. They must be durable. */
  keep(through: number): Promise<void> {
    return this.#next(async () => {
      const due = this.state.due(through);
      if (due !== undefined) await this.#write(due, through);
    });
  }

  /** Brings a checkpoint without records into the log: then it is committed. All that was pushed before it must be durable. */
  commit(checkpoint: RecordCheckpoint): Promise<void> {
    return this.#next(() => this.#write({ messages: new MessageEntries(), checkpoints: [checkpoint] }, 0));
  }

  /** For opening: the log is made anew, with what the records up to an ID tell. */
  renew(through: number): Promise<void> {
    return this.#next(async () => {
      const due = this.state.due(through) ?? NOTHING;
      await this.#guarded(() => this.#renew(due));
      this.state.noteLogged(due, through);
    });
  }

  /** For opening, where there is no space to make it anew: after a sync that failed what was not promised may be in the page cache alone. */
  rewriteTail(): Promise<void> {
    return this.#next(() =>
      this.#guarded(async () => {
        const held = this.state.file;
        if (held === undefined) return;
        await this.#using(held, async (file) => {
          const bytes = Buffer.alloc(COPY_BYTES);
          for (let at = held.promisedOffset; at < held.end; ) {
            const read = await file.readAt(bytes, 0, Math.min(bytes.length, held.end - at), at);
            if (read === 0) break;
            await file.writeAt(bytes, 0, read, at);
            at += read;
          }
          await syncFile(file);
        });
      }),
    );
  }

  #next(work: () => Promise<void>): Promise<void> {
    const done = this.#writing.then(work);
    this.#writing = done.catch(() => undefined);
    return done;
  }

  /** Writes, and takes it for written. */
  async #write(delta: IntakeDelta, through: number): Promise<void> {
    await this.#guarded(async () => {
      const { file: before, damaged } = this.state;
      const isDue = before === undefined || damaged.has(before.path);
      if (isDue || before.end > Math.max(REWRITE_BYTES_MIN, 2 * before.snapshotBytes)) {
        try {
          // Without what is to be told: should this fail half-way, nothing of that is there.
          await this.#renew(NOTHING);
        } catch (cause) {
          // The log as it is serves on.
          if (isDue || cause instanceof SyncFailure) throw cause;
        }
      }
      const { file } = this.state;
      assert(file !== undefined, 'a log is there once it was made');
      await this.#append(file, delta);
    });
    this.state.noteLogged(delta, through);
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    const { failStop, dir } = this.#options;
    failStop.throwIfFailed();
    try {
      await work();
    } catch (cause) {
      if (cause instanceof SyncFailure) throw failStop.fail(cause, 'a sync', cause.path);
      if (cause instanceof CutFailure) throw failStop.fail(cause.cause, 'cutting a failed write back', dir);
      throw cause;
    }
    failStop.throwIfFailed();
  }

  async #append(held: IntakeFile, delta: IntakeDelta): Promise<void> {
    const nowMs = timeOf(this.#options.host);
    await this.#named(held);
    await this.#using(held, async (file) => {
      const { seed, end } = held;
      const place = { seed, fileOffset: end, durableOffset: end, number: this.state.number + 1, nowMs };
      let at = end;
      let last = this.state.number;
      try {
        // What a crash has left behind the end.
        await file.truncate(end);
        for (const { bytes, number } of encodeIntake(KIND_INTAKE, delta, place)) {
          await file.writeAt(bytes, 0, bytes.length, at);
          at += bytes.length;
          last = number;
        }
      } catch (cause) {
        // What is told as failed must not be found by the next open.
        await cutBack(file, end);
        throw cause;
      }
      await syncFile(file);
      held.end = at;
      this.state.number = last;
    });
  }

  async #renew(delta: IntakeDelta): Promise<void> {
    const { vfs, dir } = this.#options;
    const { state } = this;
    const generation = state.generation + 1;
    const temporary = `${dir}/${unfinishedIntakeFileName(generation)}`;
    const path = `${dir}/${intakeFileName(generation)}`;
    if ((await vfs.stat(temporary)) !== undefined) await vfs.remove(temporary);
    const file = await vfs.create(temporary);
    let end: number;
    let seed: number;
    try {
      ({ end, seed } = await this.#writeSnapshot(file, generation, delta));
      await syncFile(file);
      await file.close().catch(() => undefined);
      await vfs.rename(temporary, path);
    } catch (cause) {
      await file.close().catch(() => undefined);
      await vfs.remove(temporary).catch(() => undefined);
      throw cause;
    }
    // From here on the next open may find it, and takes it for the newest: nothing more goes into the one before.
    if (state.file !== undefined) state.older.push(state.file.path);
    const held = { path, seed, snapshotBytes: end, promisedOffset: end, end, isNamed: false };
    state.file = held;
    state.generation = generation;
    await this.#named(held);
    await this.#removeOlder();
  }

  /** A log is written to when its name is durable. */
  async #named(held: IntakeFile): Promise<void> {
    if (held.isNamed) return;
    await syncFolder(this.#options.vfs, this.#options.dir);
    held.isNamed = true;
    this.state.isNamed = true;
  }

  async #writeSnapshot(file: VfsFile, generation: number, delta: IntakeDelta): Promise<{ seed: number; end: number }> {
    const { host, dir, storeUuid } = this.#options;
    const salt = Buffer.alloc(4);
    host.random(salt);
    const nowMs = timeOf(host);
    const headerTo = (end: number): FileHeader => ({
      kind: 'intake',
      flags: 0,
      storeUuid,
      fileId: generation,
      baseId: end,
      idHighWater: folderMark(dir),
      createdMs: nowMs,
      salt: salt.readUInt32LE(0),
    });
    const seed = fileSeed(headerTo(0));
    let end = FILE_HEADER_BYTES;
    const place = { seed, fileOffset: end, durableOffset: 0, number: this.state.number + 1, nowMs };
    for (const { bytes, number } of encodeIntake(KIND_INTAKE_SNAPSHOT, this.state.snapshotWith(delta), place)) {
      await file.writeAt(bytes, 0, bytes.length, end);
      end += bytes.length;
      this.state.number = number;
      await host.yield();
    }
    const header = encodeFileHeader(headerTo(end));
    await file.writeAt(header, 0, header.length, 0);
    return { seed, end };
  }

  /** Tidiness: the next generation tries again, and whatever is left says less than the newest. */
  async #removeOlder(): Promise<void> {
    const { vfs, dir } = this.#options;
    const { older, damaged } = this.state;
    for (const path of older.splice(0)) {
      try {
        if (!damaged.has(path)) {
          await vfs.remove(path);
          continue;
        }
        const aside = `${dir}/quarantine`;
        await vfs.makeDir(aside);
        await vfs.rename(path, `${aside}/${path.slice(dir.length + 1)}`);
        await vfs.syncDir(aside);
        damaged.delete(path);
      } catch (error) {
        if (!isNotFound(error)) older.push(path);
        if (error instanceof EvaqError) throw error;
      }
    }
  }

  async #using(held: IntakeFile, work: (file: VfsFile) => Promise<void>): Promise<void> {
    const file = await this.#options.vfs.open(held.path, 'write');
    try {
      await work(file);
    } finally {
      await file.close().catch(() => undefined);
    }
  }
}

/** It is unknown what of a write that failed is in the file. */
class CutFailure extends Error {
  override readonly name = 'CutFailure';
}

async function cutBack(file: VfsFile, end: number): Promise<void> {
  try {
    await file.truncate(end);
  } catch (cause) {
    throw new CutFailure('a failed write could not be cut back', { cause });
  }
  await syncFile(file);
}

/** What a log says of the queue that it belongs to, as a tombstone log does: CRC-32 of the name of the folder. */
export function folderMark(dir: string): number {
  return crc32(Buffer.from(dir.slice(dir.lastIndexOf('/') + 1), 'utf8'));
}
