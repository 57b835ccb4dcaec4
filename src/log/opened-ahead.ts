/**
 * Files that are read one after the other are opened a few ahead, each with its first and last KiB in hand already: opening a store then waits
 * for the slowest file and not for the sum of all. A small file, as there are many where there are many queues, is read in one go.
 */
import type { VfsFile } from '../vfs/vfs.js';

/** What the header and link of a segment, and most footers, fit into. */
const END_BYTES = 4096;
/** Where there are less, that is all there is: nobody has to ask how long the file is. */
const FRONT_BYTES: number = 2 * END_BYTES;
const AHEAD_MAX = 8;
const NOTHING = Buffer.alloc(0);

/** The part of a file that loading needs. */
export type LoadedFile = Pick<VfsFile, 'size' | 'readAt'>;

class FileWithEnds implements LoadedFile {
  readonly #file: VfsFile;
  readonly #size: number;
  readonly #head: Buffer;
  readonly #tail: Buffer;
  readonly #tailAt: number;

  private constructor(file: VfsFile, size: number, head: Buffer, tail: Buffer, tailAt: number) {
    this.#file = file;
    this.#size = size;
    this.#head = head;
    this.#tail = tail;
    this.#tailAt = tailAt;
  }

  static async read(file: VfsFile): Promise<FileWithEnds> {
    const head = await readWhole(file, FRONT_BYTES, 0);
    if (head.length < FRONT_BYTES) return new FileWithEnds(file, head.length, head, NOTHING, head.length);
    const size = await file.size();
    // Who writes may have cut it meanwhile.
    const tailAt = Math.max(0, size - END_BYTES);
    return new FileWithEnds(file, size, head, await readWhole(file, END_BYTES, tailAt), tailAt);
  }

  size(): Promise<number> {
    return Promise.resolve(this.#size);
  }

  readAt(target: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    const end = position + length;
    const tailAt = this.#tailAt;
    if (end <= this.#head.length) {
      target.set(this.#head.subarray(position, end), offset);
    } else if (position >= tailAt && end <= tailAt + this.#tail.length) {
      target.set(this.#tail.subarray(position - tailAt, end - tailAt), offset);
    } else {
      return this.#file.readAt(target, offset, length, position);
    }
    return Promise.resolve(length);
  }
}

/** As many bytes as there are. */
async function readWhole(file: VfsFile, bytes: number, position: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(bytes);
  return buffer.subarray(0, await file.readAt(buffer, 0, bytes, position));
}

interface Opening {
  readonly file: VfsFile;
  readonly loaded: LoadedFile;
}

/**
 * The files at `paths` in turn, opened by `open`; `undefined` where that resolves with nothing. Each is closed when the next is asked for. A
 * failure shows in its file's turn. The first is read alone: beside a writer it may speak of what the others hold by then.
 */
export async function* openedAhead(
  paths: readonly string[],
  open: (path: string) => Promise<VfsFile | undefined>,
): AsyncGenerator<LoadedFile | undefined, void, undefined> {
  const openings: Promise<Opening | undefined>[] = [];
  const closings: Promise<void>[] = [];
  let started = 0;
  try {
    for (let i = 0; i < paths.length; i++) {
      const wanted = i === 0 ? 1 : i + AHEAD_MAX;
      for (; started < Math.min(paths.length, wanted); started++) {
        const opening = openOne(paths[started] ?? '', open);
        // It is awaited in its turn, or never.
        opening.catch(() => undefined);
        openings.push(opening);
      }
      const opening = await openings[0];
      yield opening?.loaded;
      void openings.shift();
      if (opening !== undefined) closings.push(closeQuietly(opening.file));
    }
  } finally {
    for (const opening of openings) {
      const left = await opening.catch(() => undefined);
      if (left !== undefined) closings.push(closeQuietly(left.file));
    }
    await Promise.all(closings);
  }
}

async function openOne(
  path: string,
  open: (path: string) => Promise<VfsFile | undefined>,
): Promise<Opening | undefined> {
  const file = await open(path);
  if (file === undefined) return undefined;
  try {
    return { file, loaded: await FileWithEnds.read(file) };
  } catch (error) {
    await closeQuietly(file);
    throw error;
  }
}

/** A descriptor that was only read from has nothing to report at its close. */
async function closeQuietly(file: VfsFile): Promise<void> {
  await file.close().catch(() => undefined);
}
