/**
 * Reads the intake log of a queue. A generation has its name when it is whole, so the newest says all. Never writes.
 *
 * Of two copies of a frame one may be rotten. What a log had promised and what is not there is damage: a message that came in once may come in again, a source may begin too early. A torn end is
 * none, since nobody was told of it.
 */
import { COMMIT_HEADER_BYTES } from '../frame/commit-header.js';
import { CommitScanner } from '../frame/commit-scanner.js';
import { decodeFileHeader, FILE_HEADER_BYTES } from '../frame/file-header.js';
import type { VfsFile } from '../vfs/vfs.js';
import { decodeIntake, KIND_INTAKE, KIND_INTAKE_SNAPSHOT } from './intake-frame.js';
import { folderMark } from './intake-log.js';
import { IntakeState } from './intake-state.js';

export interface IntakeDamage {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
  readonly what: string;
  readonly lossless: boolean;
}

export interface ListedIntakeLog {
  readonly path: string;
  readonly generation: number;
}

export interface IntakeSource {
  readonly dir: string;
  readonly storeUuid: Buffer;
  readonly nowMs: number;
  /** `undefined` where it is gone. */
  readonly open: (path: string) => Promise<VfsFile | undefined>;
  /** Throws for a file of a newer format. */
  readonly unsupported: (path: string, major: number) => Error;
}

export interface LoadedIntake {
  readonly state: IntakeState;
  readonly damage: readonly IntakeDamage[];
}

/** `logs`: oldest first. Rejects with what `open` and `unsupported` say, or with the system error. */
export async function loadIntake(logs: readonly ListedIntakeLog[], source: IntakeSource): Promise<LoadedIntake> {
  let state = new IntakeState();
  const damage: IntakeDamage[] = [];
  for (const { path, generation } of [...logs].reverse()) {
    const file = await source.open(path);
    if (file === undefined) continue;
    try {
      const one = await loadOne(file, generation, source);
      damage.push(...one.damage);
      if (one.damage.length > 0) one.state.damaged.add(path);
      for (const known of state.damaged) one.state.damaged.add(known);
      state = one.state;
      if (state.file !== undefined) break;
    } finally {
      await file.close().catch(() => undefined);
    }
  }
  state.generation = logs.at(-1)?.generation ?? 0;
  state.older.push(...logs.map(({ path }) => path).filter((path) => path !== state.file?.path));
  return { state, damage };
}

async function loadOne(file: VfsFile, generation: number, source: IntakeSource): Promise<LoadedIntake> {
  const { path } = file;
  const { dir, storeUuid, nowMs } = source;
  const state = new IntakeState();
  const damage: IntakeDamage[] = [];
  const size = await file.size();
  const head = Buffer.alloc(FILE_HEADER_BYTES);
  const headBytes = await file.readAt(head, 0, FILE_HEADER_BYTES, 0);
  const decoding = decodeFileHeader(head.subarray(0, headBytes), 'intake');
  if (decoding.kind === 'unsupported') throw source.unsupported(path, decoding.major);
  if (
    decoding.kind !== 'ok' ||
    !decoding.header.storeUuid.equals(storeUuid) ||
    decoding.header.fileId !== generation ||
    decoding.header.idHighWater !== folderMark(dir)
  ) {
    const what =
      'the header of an intake log is damaged, or of another queue: message IDs and checkpoints may be forgotten';
    return { state, damage: [{ file: path, offset: 0, bytes: size, what, lossless: false }] };
  }
  if (decoding.damaged) {
    const what = 'one copy of a header is damaged; the other is intact';
    damage.push({ file: path, offset: 0, bytes: FILE_HEADER_BYTES, what, lossless: true });
  }
  const { header, seed } = decoding;
  const scanner = new CommitScanner(file, seed, FILE_HEADER_BYTES, size, 'resync', true);
  const bad: { readonly offset: number; readonly end: number }[] = [];
  let promised = header.baseId;
  let end = FILE_HEADER_BYTES;
  let isWhole = true;
  try {
    for (let outcome = await scanner.next(); outcome !== 'end'; outcome = await scanner.next()) {
      if (outcome === 'bad') {
        bad.push({ offset: scanner.bad.offset, end: scanner.bad.end });
        continue;
      }
      const { kind, firstId, durableOffset, bodyBytes } = scanner.header;
      if (kind !== KIND_INTAKE && kind !== KIND_INTAKE_SNAPSHOT) continue;
      const delta = decodeIntake(scanner.header, scanner.buffer, scanner.bodyAt);
      end = scanner.offset + COMMIT_HEADER_BYTES + bodyBytes;
      if (delta === undefined) bad.push({ offset: scanner.offset, end });
      else {
        state.load(delta, nowMs);
        if (state.number > 0 && firstId > state.number + 1) isWhole = false;
        state.number = Math.max(state.number, firstId);
      }
      promised = Math.max(promised, durableOffset);
    }
  } finally {
    await scanner.settled();
  }
  const what = 'message IDs and checkpoints that had been synced may be forgotten';
  const healed = 'a part of an intake log is damaged; its copy is intact';
  for (const range of bad) {
    if (range.offset >= promised) continue;
    const lossless = isWhole && range.offset >= header.baseId && range.end < end;
    const bytes = range.end - range.offset;
    damage.push({ file: path, offset: range.offset, bytes, what: lossless ? healed : what, lossless });
  }
  if (end < promised && damage.every(({ lossless }) => lossless))
    damage.push({ file: path, offset: end, bytes: promised - end, what, lossless: false });
  state.file = {
    path,
    seed,
    snapshotBytes: header.baseId,
    promisedOffset: promised,
    end: Math.max(end, promised),
    // A crash may have come before the folder was synced.
    isNamed: false,
  };
  return { state, damage };
}
