/**
 * What stands in an intake log: commits (`frame/commit-header.ts`) of two kinds, SNAPSHOT and INTAKE, which read alike.
 *
 *    commit header: kind, count = number of messages, firstId = number of the frame, durable offset = of this file
 *    0                               16              24              32
 *    +-------------------------------+---------------+---------------+-----+------------------------------------------+
 *    |  hash of the message ID       |   record ID   |    time ms    |  …  | checkpoints: MessagePack, or nothing      |
 *    +-------------------------------+---------------+---------------+-----+------------------------------------------+
 *     \______________ one message, 32 bytes; `count` of them ______________/
 *
 * An INTAKE frame is written twice in a row, so that one rotten byte costs nothing. Numbers go up by one; a copy has the number of its frame.
 *
 * Checkpoints are a list of `[source, position, sequence]`. Reading a frame twice is reading it once, in whatever order: a message is known by its
 * record's ID, and of two positions of a source the one with the higher sequence counts.
 */
import { decode, encode } from '@msgpack/msgpack';
import { COMMIT_HEADER_BYTES, type CommitHeader, completeCommit, newCommitHeader } from '../frame/commit-header.js';
import { HASH_BYTES, MessageEntries } from '../frame/message-entries.js';
import { checkpointOf, checkpointValue, type RecordCheckpoint } from '../frame/metadata.js';
import { readU64, writeU64 } from '../ids.js';
import { clampTime } from '../times.js';

export const KIND_INTAKE_SNAPSHOT = 48;
export const KIND_INTAKE = 49;

const MESSAGE_BYTES = 32;
/** So much goes into one frame. */
const MESSAGES_MAX = 32 * 1024;
const CHECKPOINTS_MAX = 256;

/** What is written together. */
export interface IntakeDelta {
  readonly messages: MessageEntries;
  readonly checkpoints: readonly RecordCheckpoint[];
}

export interface IntakePlace {
  readonly seed: number;
  readonly fileOffset: number;
  readonly durableOffset: number;
  /** Of the first frame. */
  readonly number: number;
  readonly nowMs: number;
}

export interface EncodedIntake {
  /** Overwritten by the next. */
  readonly bytes: Buffer;
  readonly number: number;
}

const COPIES = { [KIND_INTAKE_SNAPSHOT]: 1, [KIND_INTAKE]: 2 } as const;

/** As frames, one behind the other; at least one. */
export function* encodeIntake(
  kind: typeof KIND_INTAKE | typeof KIND_INTAKE_SNAPSHOT,
  { messages, checkpoints }: IntakeDelta,
  place: IntakePlace,
): Generator<EncodedIntake, void, undefined> {
  let { fileOffset, number } = place;
  let message = 0;
  let checkpoint = 0;
  do {
    const count = Math.min(messages.count - message, MESSAGES_MAX);
    const some = checkpoints.slice(checkpoint, checkpoint + CHECKPOINTS_MAX);
    const packed = some.length === 0 ? new Uint8Array(0) : encode(some.map(checkpointValue));
    const bytes = Buffer.alloc(COMMIT_HEADER_BYTES + count * MESSAGE_BYTES + packed.length);
    let at = COMMIT_HEADER_BYTES;
    for (let i = message; i < message + count; i++) {
      for (const [word, value] of messages.hashAt(i).entries()) bytes.writeUInt32LE(value, at + word * 4);
      writeU64(bytes, messages.idAt(i), at + HASH_BYTES);
      writeU64(bytes, clampTime(messages.timeAt(i)), at + HASH_BYTES + 8);
      at += MESSAGE_BYTES;
    }
    bytes.set(packed, at);
    const header = newCommitHeader();
    header.kind = kind;
    header.count = count;
    header.firstId = number;
    header.durableOffset = place.durableOffset;
    header.timestamp = clampTime(place.nowMs);
    for (let copy = 0; copy < COPIES[kind]; copy++) {
      completeCommit(bytes, header, place.seed, fileOffset);
      yield { bytes, number };
      fileOffset += bytes.length;
    }
    number++;
    message += count;
    checkpoint += some.length;
  } while (message < messages.count || checkpoint < checkpoints.length);
}

/** Of a commit whose checksum held; `undefined` where its body is none of this kind. */
export function decodeIntake(header: CommitHeader, buffer: Buffer, bodyAt: number): IntakeDelta | undefined {
  const messagesEnd = bodyAt + header.count * MESSAGE_BYTES;
  const end = bodyAt + header.bodyBytes;
  if (messagesEnd > end) return undefined;
  const messages = new MessageEntries();
  for (let at = bodyAt; at < messagesEnd; at += MESSAGE_BYTES) {
    const id = readU64(buffer, at + HASH_BYTES);
    const timeMs = readU64(buffer, at + HASH_BYTES + 8);
    if (id < 0 || timeMs < 0) return undefined;
    const word = (i: number): number => buffer.readUInt32LE(at + i * 4);
    messages.add([word(0), word(1), word(2), word(3)], id, timeMs);
  }
  const checkpoints = messagesEnd === end ? [] : checkpointsOf(buffer.subarray(messagesEnd, end));
  return checkpoints === undefined ? undefined : { messages, checkpoints };
}

function checkpointsOf(bytes: Uint8Array): RecordCheckpoint[] | undefined {
  let list: unknown;
  try {
    list = decode(bytes);
  } catch {
    return undefined;
  }
  if (!Array.isArray(list)) return undefined;
  const checkpoints: RecordCheckpoint[] = [];
  for (const one of list) {
    const checkpoint = checkpointOf(one);
    if (checkpoint === undefined) return undefined;
    checkpoints.push(checkpoint);
  }
  return checkpoints;
}
